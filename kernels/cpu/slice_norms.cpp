#include <algorithm>
#include <cmath>

#include "kernels/cpu/operations.hpp"

// kernels/cuda/slice_norms.cu adds up in the same order.
namespace pixeldp::kernels::cpu {

void normalise_slices(const Stream&, const SliceNormParams& params, float* weight) {
  const auto [outer, slices, inner, norm] = params;
  const bool squares = norm == SliceNorm::l2;
#pragma omp parallel for
  for (std::int64_t s = 0; s < slices; ++s) {
    const auto for_each_value = [&](auto visit) {
      for (std::int64_t o = 0; o < outer; ++o)
        for (std::int64_t i = 0; i < inner; ++i) visit(weight[(o * slices + s) * inner + i]);
    };
    double sum = 0.0;
    for_each_value([&](double value) { sum += squares ? value * value : std::abs(value); });
    const double length = std::max(squares ? std::sqrt(sum) : sum, least_slice_norm);
    for_each_value([&](float& value) { value = static_cast<float>(value / length); });
  }
}

}  // namespace pixeldp::kernels::cpu
