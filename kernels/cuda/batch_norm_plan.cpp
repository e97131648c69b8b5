#include "engine/error.hpp"
#include "kernels/cuda/batch_norm.hpp"

namespace pixeldp::kernels {

BatchNormGrid BatchNormGrid::plan(const BatchNormParams& params,
                                  std::initializer_list<const void*> tensors) {
  constexpr std::int64_t most_channels = 0x7fffffff - BatchNormOrder::block_threads;
  if (params.channels > most_channels)
    fail("batch normalisation of {} channels: one launch can do {}", params.channels,
         most_channels);
  BatchNormGrid grid;
  grid.order = BatchNormOrder::make(params);
  grid.rows = params.rows, grid.channels = params.channels;
  grid.tiles = static_cast<unsigned>(grid.order.channel_tiles);
  grid.splits = static_cast<unsigned>(grid.order.splits);
  grid.merge_blocks =
      static_cast<unsigned>((params.channels + merge_channels - 1) / merge_channels);
  std::uintptr_t addresses = 0;
  for (const void* tensor : tensors) addresses |= reinterpret_cast<std::uintptr_t>(tensor);
  grid.vectorised = params.channels % 4 == 0 && addresses % 16 == 0;
  return grid;
}

}  // namespace pixeldp::kernels
