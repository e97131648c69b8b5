#include "engine/error.hpp"
#include "kernels/cuda/slice_norms.hpp"

namespace pixeldp::kernels {

SliceNormGrid SliceNormGrid::plan(const SliceNormParams& params) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  if (params.slices > most_blocks)
    fail("{} slices cannot be normalised: one launch can do {}", params.slices, most_blocks);
  const bool empty = params.outer == 0 || params.inner == 0;
  return {empty ? 0 : static_cast<unsigned>(params.slices)};
}

}  // namespace pixeldp::kernels
