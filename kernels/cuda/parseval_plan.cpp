#include <algorithm>

#include "engine/error.hpp"
#include "kernels/cuda/parseval.hpp"

namespace pixeldp::kernels {

ParsevalPlan ParsevalPlan::make(std::int64_t rows, std::int64_t cols, const Arch& arch) {
  const std::int64_t side = std::min(rows, cols);
  if (side > most_side)
    fail("Parseval projection of a weight of {} x {}: its smaller side may have {}", rows, cols,
         most_side);
  ParsevalPlan plan;
  plan.side = static_cast<int>(side);
  plan.wide = rows <= cols;
  plan.one_block = side <= most_shared_side && rows * cols <= most_shared_size &&
                   shared_bytes <= arch.shared_per_block;
  const std::int64_t blocks = (rows * cols + grid_threads - 1) / grid_threads;
  plan.blocks = static_cast<unsigned>(std::min<std::int64_t>(blocks, most_blocks));
  return plan;
}

}  // namespace pixeldp::kernels
