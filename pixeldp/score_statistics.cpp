#include "pixeldp/score_statistics.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/error.hpp"
#include "engine/named.hpp"

namespace pixeldp {

std::string_view name(ScoreType type) {
  switch (type) {
    case ScoreType::argmax:
      return "argmax";
    case ScoreType::softmax:
      return "softmax";
  }
  fail("not a score type: {}", static_cast<int>(type));
}

ScoreType parse_score_type(std::string_view text) {
  return value_named(text, "score type", score_types, name);
}

const std::vector<std::uint64_t>& ScoreStatistics::scores(ScoreType type) const {
  switch (type) {
    case ScoreType::argmax:
      return votes;
    case ScoreType::softmax:
      return sums;
  }
  fail("not a score type: {}", static_cast<int>(type));
}

int ScoreStatistics::top_label(ScoreType type) const {
  const auto& all = scores(type);
  if (all.empty()) fail("the statistics hold no {} scores to choose a label from", name(type));
  return static_cast<int>(std::ranges::max_element(all) - all.begin());
}

int ScoreStatistics::rank(ScoreType type, int label) const {
  const auto& all = scores(type);
  const auto place = all.begin() + label;
  const auto above = std::count_if(all.begin(), all.end(), [&](auto s) { return s > *place; });
  return static_cast<int>(1 + above + std::count(all.begin(), place, *place));
}

ScoreStatistics& ScoreStatistics::operator+=(const ScoreStatistics& others) {
  if (draws == 0) return *this = others;
  const auto add = [](std::vector<std::uint64_t>& to, const std::vector<std::uint64_t>& from) {
    if (to.size() != from.size())
      fail("statistics of {} and of {} classes cannot be added", to.size(), from.size());
    for (std::size_t c = 0; c < to.size(); ++c) to[c] += from[c];
  };
  add(votes, others.votes);
  add(sums, others.sums);
  add(squares, others.squares);
  add(histogram, others.histogram);
  draws += others.draws;
  return *this;
}

std::uint64_t thresholds_reached(std::uint64_t score) {
  return std::min(score >> 27, score_thresholds);
}

std::vector<std::uint64_t> histogram_of_draw(const std::vector<std::uint64_t>& scores) {
  std::vector<std::uint64_t> histogram(scores.size() * score_thresholds, 0);
  for (std::size_t c = 0; c < scores.size(); ++c)
    std::fill_n(histogram.begin() + static_cast<std::ptrdiff_t>(c * score_thresholds),
                thresholds_reached(scores[c]), 1);
  return histogram;
}

ScoreStatistics statistics_of_votes(std::vector<std::uint64_t> votes) {
  const std::uint64_t draws = std::accumulate(votes.begin(), votes.end(), std::uint64_t{0});
  return {.draws = draws, .votes = std::move(votes), .sums = {}, .squares = {}};
}

}  // namespace pixeldp
