#pragma once

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "pixeldp/score_statistics.hpp"

namespace pixeldp {

/// What draws with these votes leave.
inline ScoreStatistics votes(std::vector<std::uint64_t> counts) {
  ScoreStatistics s;
  s.draws = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  s.votes = std::move(counts);
  return s;
}

}  // namespace pixeldp
