#include "kernels/slice_norms.hpp"

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

void normalise_slices(const Stream& stream, const SliceNormParams& params, float* weight) {
  const auto [outer, slices, inner, norm] = params;
  if (outer < 0 || slices < 0 || inner < 0)
    fail("normalisation of {} slices of {} x {} values", slices, outer, inner);
  if (norm != SliceNorm::l1 && norm != SliceNorm::l2)
    fail("normalisation: slices have a 1-norm and a 2-norm, not {}", static_cast<int>(norm));
  operations(stream).normalise_slices(stream, params, weight);
}

}  // namespace pixeldp::kernels
