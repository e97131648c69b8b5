#include "pixeldp/score_statistics.hpp"

#include <algorithm>

#include "engine/error.hpp"

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
  for (const ScoreType type : {ScoreType::argmax, ScoreType::softmax})
    if (text == name(type)) return type;
  fail_usage("unknown score type '{}': use argmax or softmax", text);
}

int ScoreStatistics::top_label(ScoreType type) const {
  const auto& scores = type == ScoreType::argmax ? votes : sums;
  if (scores.empty()) fail("the statistics hold no {} scores to choose a label from", name(type));
  return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

}  // namespace pixeldp
