#include "kernels/formulas/batch_norm.hpp"

#include <algorithm>

#include "kernels/divide_up.hpp"

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

}  // namespace pixeldp::kernels
