#include "engine/error.hpp"
#include "kernels/cuda/standardise.hpp"

namespace pixeldp::kernels {

StandardiseGrid StandardiseGrid::plan(std::int64_t images, std::int64_t values) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  if (images < 0 || values < 1)
    fail("{} images of {} values cannot be standardised", images, values);
  const std::int64_t blocks = images / block_warps + (images % block_warps != 0);
  if (blocks > most_blocks) {
    fail("{} images cannot be standardised: one launch can do {}", images,
         most_blocks * block_warps);
  }
  return {static_cast<unsigned>(blocks)};
}

}  // namespace pixeldp::kernels
