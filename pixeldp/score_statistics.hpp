#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pixeldp {

enum class ScoreType { argmax, softmax };
inline constexpr ScoreType score_types[] = {ScoreType::argmax, ScoreType::softmax};

/// "argmax", "softmax".
std::string_view name(ScoreType type);
ScoreType parse_score_type(std::string_view text);

/// Softmax scores are counted against the thresholds 1/32, 2/32, ... 1.
inline constexpr std::uint64_t score_thresholds = 32;
/// How many of them a draw's score in units of 2^-32 reaches.
std::uint64_t thresholds_reached(std::uint64_t score);

/// What is kept of the draws of one image: integers, one entry per class, that merge exactly by
/// addition.
struct ScoreStatistics {
  std::uint64_t draws = 0;
  std::vector<std::uint64_t> votes;  ///< draws in which the class had the highest score
  std::vector<std::uint64_t>
      sums;  ///< sum of softmax scores in units of 2^-32 (kernels::score_unit)
  std::vector<std::uint64_t> squares;  ///< sum of squared softmax scores in units of 2^-32
  /// [classes, score_thresholds], where it was asked for: draws whose softmax score, in units of
  /// 2^-32, is at least 1, 2, ... 32 times 2^27.
  std::vector<std::uint64_t> histogram = {};

  int classes() const { return static_cast<int>(votes.empty() ? sums.size() : votes.size()); }
  /// Votes (argmax) or sums (softmax).
  const std::vector<std::uint64_t>& scores(ScoreType type) const;
  /// The label with the most votes (argmax) or the largest sum (softmax); the lowest index wins a
  /// tie.
  int top_label(ScoreType type) const;
  /// The place of a label in that order, from 1.
  int rank(ScoreType type, int label) const;
  /// Adds those of other draws of the same image; to statistics of no draws, any.
  ScoreStatistics& operator+=(const ScoreStatistics& others);
};

/// The histogram of one draw, from its scores in units of 2^-32.
std::vector<std::uint64_t> histogram_of_draw(const std::vector<std::uint64_t>& scores);

/// What draws with these votes leave, of which nothing else is known.
ScoreStatistics statistics_of_votes(std::vector<std::uint64_t> votes);

/// The place of the largest value of all but one; the lowest wins a tie. Of two values at least.
template <class Values>
std::size_t largest_other(const Values& values, std::size_t but) {
  std::size_t best = but == 0 ? 1 : 0;
  for (std::size_t i = best + 1; i < values.size(); ++i)
    if (i != but && values[i] > values[best]) best = i;
  return best;
}

}  // namespace pixeldp
