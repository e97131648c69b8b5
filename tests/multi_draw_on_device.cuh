#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/multi_draw.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/multi_draw_problem.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// What the kernel adds with these weights; `block_draws` as in MultiDrawGrid::plan.
inline MultiDrawStatistics run(const MultiDrawProblem& problem, MultiDrawWeights weights,
                               int block_draws) {
  const MultiDrawNetwork& network = problem.network;
  const DeviceArray<float> x(problem.prefixes), b2(problem.dense_bias), w3(problem.head),
      b3(problem.head_bias);
  const DeviceArray<std::uint32_t> image_ids(problem.ids);
  MultiDrawStatistics result(problem.params.images * network.classes);
  const std::vector<std::uint64_t> good = {no_bad_row};
  const DeviceArray<std::uint64_t> votes(result.votes), sums(result.sums), squares(result.squares),
      bad_row(good);
  weights.dense_bias = problem.dense_bias.empty() ? nullptr : b2.data();
  weights.head = w3.data();
  weights.head_bias = problem.head_bias.empty() ? nullptr : b3.data();
  const auto multi_draw = pack_multi_draw(test_stream(), network, weights, block_draws);
  multi_draw->run(problem.params, x.data(), image_ids.data(), votes.data(), sums.data(),
                  squares.data(), bad_row.data());
  result.votes = votes.values(), result.sums = sums.values(), result.squares = squares.values();
  result.bad_row = bad_row.values()[0];
  return result;
}

inline MultiDrawStatistics run(const MultiDrawProblem& problem, int block_draws = 0) {
  const DeviceArray<float> w1(problem.conv), w2(problem.dense);
  return run(problem, {.conv = w1.data(), .dense = w2.data()}, block_draws);
}

inline MultiDrawStatistics run(const MultiDrawInt8Problem& problem, int block_draws = 0) {
  const DeviceArray<std::int8_t> w1(problem.conv_bytes), w2(problem.dense_bytes);
  const DeviceArray<float> conv_scale(problem.conv_scale), dense_scale(problem.dense_scale);
  return run(problem,
             {.int8 = {w1.data(), w2.data(), conv_scale.data(), dense_scale.data(),
                       problem.inverse[0], problem.inverse[1]}},
             block_draws);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
