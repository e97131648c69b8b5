#include "engine/spelling.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace pixeldp {
namespace {

/// Insertions, deletions and replacements that turn one text into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::optional<std::string> nearest(std::string_view wrong, const std::vector<std::string>& words) {
  const auto distance = [&](const std::string& word) { return edit_distance(wrong, word); };
  const auto best = std::min_element(words.begin(), words.end(), [&](const auto& a, const auto& b) {
    return distance(a) < distance(b);
  });
  if (best == words.end()) return std::nullopt;
  const std::size_t tolerated = std::max<std::size_t>(2, best->size() / 3);
  const bool near = distance(*best) <= tolerated && distance(*best) < best->size();
  return near ? std::optional(*best) : std::nullopt;
}

}  // namespace pixeldp
