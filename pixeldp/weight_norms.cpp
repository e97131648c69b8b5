#include "pixeldp/weight_norms.hpp"

#include "engine/error.hpp"
#include "kernels/slice_norms.hpp"

namespace pixeldp {

namespace {

void check_size(std::span<float> weight, const ConvGeometry& g) {
  if (std::ssize(weight) != g.weight_size())
    fail("normalisation: the weight holds {} values, but its shape needs {}", weight.size(),
         g.weight_size());
}

}  // namespace

void normalise_columns(const Stream& stream, std::span<float> weight, const ConvGeometry& geometry,
                       Mechanism mechanism) {
  check_size(weight, geometry);
  const auto norm = [&] {
    switch (norm_of(mechanism)) {
      case AttackNorm::l1:
        return kernels::SliceNorm::l1;
      case AttackNorm::l2:
        return kernels::SliceNorm::l2;
      case AttackNorm::linf:
        break;
    }
    fail("normalisation: columns have a 1-norm and a 2-norm");
  };
  kernels::normalise_slices(stream,
                            {.outer = geometry.out_c,
                             .slices = geometry.in_c,
                             .inner = geometry.kernel_h * geometry.kernel_w,
                             .norm = norm()},
                            weight.data());
}

void normalise_rows(const Stream& stream, std::span<float> weight, const ConvGeometry& geometry) {
  check_size(weight, geometry);
  kernels::normalise_slices(stream,
                            {.outer = 1,
                             .slices = geometry.out_c,
                             .inner = geometry.weight_size() / geometry.out_c,
                             .norm = kernels::SliceNorm::l1},
                            weight.data());
}

}  // namespace pixeldp
