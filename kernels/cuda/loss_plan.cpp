#include "engine/error.hpp"
#include "kernels/cuda/loss.hpp"

namespace pixeldp::kernels {

LossGrid LossGrid::plan(std::int64_t rows) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  const std::int64_t blocks = rows / block_warps + (rows % block_warps != 0);
  if (blocks > most_blocks)
    fail("the loss of {} rows: one launch can do {}", rows, most_blocks * block_warps);
  return {static_cast<unsigned>(blocks)};
}

}  // namespace pixeldp::kernels
