#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "kernels/batch_norm_formulas.hpp"
#include "kernels/cuda/convolution_shape.hpp"

namespace pixeldp::kernels {

BatchNormOrder BatchNormOrder::make(const BatchNormParams& params) {
  BatchNormOrder order;
  // Lanes without a channel are idle. Up to 8 lanes, 128 bytes of a row, are never split.
  const std::int64_t vectors = divide_up(params.channels, thread_channels);
  while (order.channel_lanes < std::min<std::int64_t>(vectors, 8)) order.channel_lanes *= 2;
  for (const int lanes : {16, 32}) {
    if (vectors >= lanes && divide_up(vectors, lanes) * lanes <=
                                divide_up(vectors, order.channel_lanes) * order.channel_lanes)
      order.channel_lanes = lanes;
  }
  order.row_lanes = block_threads / order.channel_lanes;
  order.channel_tiles = divide_up(vectors, order.channel_lanes);

  // Four blocks for each of 128 multiprocessors, but no split below one group for every lane.
  constexpr std::int64_t wanted_blocks = 512;
  const std::int64_t round = std::int64_t{order.row_lanes} * group_rows;
  const std::int64_t rounds = divide_up(params.rows, round);
  const std::int64_t splits = std::max<std::int64_t>(wanted_blocks / order.channel_tiles, 1);
  order.split_rows = std::max<std::int64_t>(divide_up(rounds, splits), 1) * round;
  order.splits = static_cast<int>(divide_up(params.rows, order.split_rows));
  return order;
}

void check_batch_norm_arguments(const BatchNormParams& params, std::int64_t least_rows) {
  constexpr std::int64_t most = std::int64_t{1} << 60;
  const auto [rows, channels, epsilon, momentum, activation] = params;
  if (channels < 1 || rows < least_rows || rows > most / channels) {
    fail(
        "batch normalisation of {} rows of {} channels: there must be at least {} rows and 1 "
        "channel, and at most 2^60 elements",
        rows, channels, least_rows);
  }
  if (!(epsilon >= 0.0f && std::isfinite(epsilon)))
    fail("batch normalisation with epsilon {}: it must be a finite number of at least 0", epsilon);
  if (!(momentum >= 0.0f && momentum <= 1.0f))
    fail("batch normalisation with momentum {}: it must lie between 0 and 1", momentum);
}

std::int64_t batch_norm_workspace_size(const BatchNormParams& params) {
  check_batch_norm_arguments(params, 0);
  // Two values of each split, and two of all splits together.
  return 2 * params.channels * (BatchNormOrder::make(params).splits + 1);
}

}  // namespace pixeldp::kernels
