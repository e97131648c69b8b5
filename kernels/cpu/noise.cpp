#include "kernels/noise.hpp"

#include <algorithm>

#include "kernels/cpu/operations.hpp"
#include "kernels/cpu/simd_kernels.hpp"

namespace pixeldp::kernels::cpu {
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

void add_noise(const Stream&, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y) {
  NoiseParams scaled = params;
  if (params.factor != nullptr) scaled.scale *= *params.factor;
  add_noise(best_instruction_set(), scaled, rows, row_count, elements, prefix, y);
}

}  // namespace pixeldp::kernels::cpu
