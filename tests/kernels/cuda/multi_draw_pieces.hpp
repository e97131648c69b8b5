#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/multi_draw_on_device.cuh"

namespace pixeldp::kernels::emulated {

/// What a problem of three images and ten classes adds up to in one launch for each of `pieces`
/// (first draw, draws), the images in another order.
inline MultiDrawStatistics run_in_pieces(
    const MultiDrawProblem& all,
    const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pieces) {
  const std::vector<std::size_t> order = {2, 0, 1};
  MultiDrawStatistics sum(30);
  for (const auto& [first, draws] : pieces) {
    MultiDrawProblem part = all;
    part.params.first_draw = all.params.first_draw + first;
    part.params.draws = draws;
    for (std::size_t i = 0; i < 3; ++i) {
      part.ids[i] = all.ids[order[i]];
      std::copy_n(all.prefixes.begin() + static_cast<std::ptrdiff_t>(order[i]) * all.row_size(),
                  all.row_size(),
                  part.prefixes.begin() + static_cast<std::ptrdiff_t>(i) * all.row_size());
    }
    const MultiDrawStatistics result = run(part), start(30);
    for (std::size_t i = 0; i < 30; ++i) {
      const std::size_t to = order[i / 10] * 10 + i % 10;
      sum.votes[to] += result.votes[i] - start.votes[i];
      sum.sums[to] += result.sums[i] - start.sums[i];
      sum.squares[to] += result.squares[i] - start.squares[i];
    }
  }
  return sum;
}

}  // namespace pixeldp::kernels::emulated
