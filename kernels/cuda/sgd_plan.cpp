#include <algorithm>

#include "kernels/cuda/sgd.hpp"

namespace pixeldp::kernels {

SgdBatch SgdBatch::plan(std::span<const SgdStep> steps) {
  SgdBatch batch;
  for (const SgdStep& step : steps.first(std::min<std::size_t>(steps.size(), most_steps))) {
    const std::int64_t blocks = step.size / block_elements + (step.size % block_elements != 0);
    const unsigned first = batch.blocks();
    batch.steps[batch.count++] = step;
    batch.first_block[batch.count] = first + static_cast<unsigned>(std::min(blocks, most_blocks));
  }
  return batch;
}

}  // namespace pixeldp::kernels
