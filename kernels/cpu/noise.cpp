#include "kernels/noise.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/noise_arguments.hpp"

namespace pixeldp::kernels {

void check_noise_arguments(const NoiseParams& params, std::int64_t row_count,
                           std::int64_t elements) {
  if (!(params.scale >= 0.0f) || !std::isfinite(params.scale))
    fail("a noise scale of {} is not a finite number of at least 0", params.scale);
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

namespace cpu {
namespace {

/// Work is shared out in pieces of at most this many elements, a multiple of every group.
constexpr std::int64_t span_elements = 16384;
/// Below this many elements in all, waking other threads costs more than it gains.
constexpr std::int64_t parallel_elements = 65536;

/// Told to be vectors, or each sign that is guessed wrongly would cost more than several elements.
void activate(const Activation& activation, std::int64_t elements, const float* x, float* y) {
  const float slope = activation.slope;
  if (activation.is_identity()) {
    std::copy_n(x, elements, y);
  } else if (activation == Activation::relu()) {
#pragma omp simd
    for (std::int64_t i = 0; i < elements; ++i) y[i] = 0.0f > x[i] ? 0.0f : x[i];
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < elements; ++i) y[i] = x[i] > 0.0f ? x[i] : x[i] * slope;
  }
}

}  // namespace

void add_noise(InstructionSet set, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y) {
  check_noise_arguments(params, row_count, elements);
  const SimdKernels& kernels = simd_kernels(set);
  const bool noisy = params.distribution != NoiseDistribution::none && params.scale != 0.0f;
  const std::int64_t spans = (elements + span_elements - 1) / span_elements;

#pragma omp parallel for schedule(static) if (row_count * elements >= parallel_elements)
  for (std::int64_t item = 0; item < row_count * spans; ++item) {
    const std::int64_t r = item / spans, first = item % spans * span_elements;
    NoiseSpan span;
    span.row = rows[r];
    span.first_block = static_cast<std::uint32_t>(first / 4);
    span.elements = std::min(span_elements, elements - first);
    span.prefix = prefix + rows[r].source * elements + first;
    span.y = y + r * elements + first;
    if (noisy)
      kernels.add_noise(params, span);
    else
      activate(params.activation, span.elements, span.prefix, span.y);
  }
}

}  // namespace cpu

}  // namespace pixeldp::kernels
