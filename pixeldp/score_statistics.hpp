#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace pixeldp {

enum class ScoreType { argmax, softmax };
inline constexpr ScoreType score_types[] = {ScoreType::argmax, ScoreType::softmax};

/// "argmax", "softmax".
std::string_view name(ScoreType type);
ScoreType parse_score_type(std::string_view text);

/// What is kept of the draws of one image: integers, one entry per class, that merge exactly by
/// addition.
struct ScoreStatistics {
  std::uint64_t draws = 0;
  std::vector<std::uint64_t> votes;  ///< draws in which the class had the highest score
  std::vector<std::uint64_t>
      sums;  ///< sum of softmax scores in units of 2^-32 (kernels::score_unit)
  std::vector<std::uint64_t> squares;  ///< sum of squared softmax scores in units of 2^-32

  int classes() const { return static_cast<int>(votes.empty() ? sums.size() : votes.size()); }
  /// Votes (argmax) or sums (softmax).
  const std::vector<std::uint64_t>& scores(ScoreType type) const;
  /// The label with the most votes (argmax) or the largest sum (softmax); the lowest index wins a
  /// tie.
  int top_label(ScoreType type) const;
  /// Adds those of other draws of the same image; to statistics of no draws, any.
  ScoreStatistics& operator+=(const ScoreStatistics& others);
};

}  // namespace pixeldp
