#include <iterator>

#include "engine/error.hpp"
#include "kernels/cuda/draw_statistics.hpp"

namespace pixeldp::kernels {

StatisticsGrid StatisticsGrid::plan(const DrawStatisticsParams& params) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  for (const Shape& shape : shapes) {
    if (params.classes > shape.capacity) continue;
    const std::int64_t block_rows = shape.warps * warp_rows;
    const std::int64_t blocks = params.rows / block_rows + (params.rows % block_rows != 0);
    if (blocks > most_blocks) {
      fail("draw statistics of {} rows: one launch can do {}", params.rows,
           most_blocks * block_rows);
    }
    return {shape, static_cast<unsigned>(blocks)};
  }
  fail("draw statistics of {} classes: the kernel has room for {}", params.classes,
       shapes[std::size(shapes) - 1].capacity);
}

}  // namespace pixeldp::kernels
