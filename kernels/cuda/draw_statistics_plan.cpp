#include <iterator>

#include "engine/error.hpp"
#include "kernels/cuda/draw_statistics.hpp"

namespace pixeldp::kernels {

StatisticsGrid StatisticsGrid::plan(const DrawStatisticsParams& params, const Arch& arch) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  for (const Shape& shape : shapes) {
    if (params.classes > shape.capacity) continue;
    if (shape.shared_bytes > arch.shared_per_block)
      fail_shared_memory(arch, fmt::format("draw statistics of {} classes", params.classes),
                         shape.shared_bytes);
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
