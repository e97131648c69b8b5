#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/multi_draw.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/multi_draw_problem.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// What the kernel adds; `block_draws` as in MultiDrawGrid::plan.
inline MultiDrawStatistics run(const MultiDrawProblem& problem, int block_draws = 0) {
  const MultiDrawNetwork& network = problem.network;
  const DeviceArray<float> x(problem.prefixes), w1(problem.conv), w2(problem.dense),
      b2(problem.dense_bias), w3(problem.head), b3(problem.head_bias);
  const DeviceArray<std::uint32_t> image_ids(problem.ids);
  MultiDrawStatistics result(problem.params.images * network.classes);
  const std::vector<std::uint64_t> good = {no_bad_row};
  const DeviceArray<std::uint64_t> votes(result.votes), sums(result.sums), squares(result.squares),
      bad_row(good);
  const auto multi_draw =
      pack_multi_draw(test_stream(), network,
                      {w1.data(), w2.data(), problem.dense_bias.empty() ? nullptr : b2.data(),
                       w3.data(), problem.head_bias.empty() ? nullptr : b3.data()},
                      block_draws);
  multi_draw->run(problem.params, x.data(), image_ids.data(), votes.data(), sums.data(),
                  squares.data(), bad_row.data());
  result.votes = votes.values(), result.sums = sums.values(), result.squares = squares.values();
  result.bad_row = bad_row.values()[0];
  return result;
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
