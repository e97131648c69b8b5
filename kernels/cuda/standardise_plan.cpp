#include "engine/error.hpp"
#include "kernels/cuda/standardise.hpp"

namespace pixeldp::kernels {

StandardiseGrid StandardiseGrid::plan(std::int64_t images) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  const std::int64_t blocks = images / block_warps + (images % block_warps != 0);
  if (blocks > most_blocks) {
    fail("{} images cannot be standardised: one launch can do {}", images,
         most_blocks * block_warps);
  }
  return {static_cast<unsigned>(blocks)};
}

}  // namespace pixeldp::kernels
