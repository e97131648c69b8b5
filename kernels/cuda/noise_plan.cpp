#include <algorithm>

#include "engine/error.hpp"
#include "kernels/cuda/noise.hpp"

namespace pixeldp::kernels {

NoiseGrid NoiseGrid::plan(std::int64_t row_count, std::int64_t elements, const float* prefix,
                          const float* y) {
  constexpr std::int64_t most_row_blocks = 0x7fffffff, most_segment_blocks = 1024;
  const std::int64_t row_blocks = (row_count + block_warps - 1) / block_warps;
  const std::int64_t segments = (elements + segment_elements - 1) / segment_elements;
  if (row_blocks > most_row_blocks)
    fail("noise for {} rows: one launch can do {}", row_count, most_row_blocks * block_warps);
  NoiseGrid grid;
  grid.row_blocks = static_cast<unsigned>(row_blocks);
  grid.segment_blocks = static_cast<unsigned>(std::min(segments, most_segment_blocks));
  const auto addresses =
      reinterpret_cast<std::uintptr_t>(prefix) | reinterpret_cast<std::uintptr_t>(y);
  grid.vectorised = elements % 4 == 0 && addresses % 16 == 0;
  return grid;
}

}  // namespace pixeldp::kernels
