#include "engine/error.hpp"
#include "kernels/cuda/bounds.hpp"

namespace pixeldp::kernels {

BoundsGrid BoundsGrid::plan(const BoundsParams& params) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  const std::int64_t blocks = params.images / block_warps + (params.images % block_warps != 0);
  if (blocks > most_blocks)
    fail("bounds of {} images: one launch can do {}", params.images, most_blocks * block_warps);
  return {static_cast<unsigned>(blocks)};
}

}  // namespace pixeldp::kernels
