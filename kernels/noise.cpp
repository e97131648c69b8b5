#include "kernels/noise.hpp"

#include <cmath>

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

void check_noise_arguments(const NoiseParams& params, std::int64_t row_count,
                           std::int64_t elements) {
  if (!(params.scale >= 0.0f) || !std::isfinite(params.scale))
    fail("a noise scale of {} is not a finite number of at least 0", params.scale);
  if (params.factor != nullptr)
    fail("this operation makes noise of a scale that does not change: multiply it by the factor");
  const auto known = [&] {
    switch (params.distribution) {
      case NoiseDistribution::none:
      case NoiseDistribution::gaussian:
      case NoiseDistribution::laplace:
        return true;
    }
    return false;
  };
  if (!known()) fail("{} is no distribution of noise", static_cast<int>(params.distribution));
  if (row_count < 0 || elements < 0 || elements > std::int64_t{4} << 32) {
    fail(
        "noise for {} rows of {} elements: both must be at least 0, and a row has addresses for "
        "{} elements",
        row_count, elements, std::int64_t{4} << 32);
  }
}

void add_noise(const Stream& stream, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y) {
  NoiseParams without_factor = params;
  without_factor.factor = nullptr;
  check_noise_arguments(without_factor, row_count, elements);
  operations(stream).add_noise(stream, params, rows, row_count, elements, prefix, y);
}

}  // namespace pixeldp::kernels
