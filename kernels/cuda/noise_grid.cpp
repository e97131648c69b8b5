#include "engine/error.hpp"
#include "kernels/cuda/noise.hpp"

namespace pixeldp::kernels {

NoiseGrid NoiseGrid::plan(std::int64_t row_count, std::int64_t elements, const float* prefix,
                          const float* y) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  NoiseGrid grid;
  grid.segments = (elements + segment_elements - 1) / segment_elements;
  if (grid.segments > 0 && row_count > most_blocks * block_warps / grid.segments) {
    fail("noise for {} rows of {} elements: more than one launch can do; share the rows out",
         row_count, elements);
  }
  grid.warps = row_count * grid.segments;
  grid.blocks = (grid.warps + block_warps - 1) / block_warps;
  const auto addresses =
      reinterpret_cast<std::uintptr_t>(prefix) | reinterpret_cast<std::uintptr_t>(y);
  grid.vectorised = elements % 4 == 0 && addresses % 16 == 0;
  return grid;
}

}  // namespace pixeldp::kernels
