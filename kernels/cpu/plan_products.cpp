#include "kernels/cpu/plan_products.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/dense_product.hpp"
#include "kernels/cpu/winograd.hpp"
#include "kernels/dense.hpp"

namespace pixeldp::kernels {

namespace cpu {
namespace {

using Kind = InferenceStep::Kind;

/// The convolution that a step which multiplies is.
Conv2dShape shape_of(const InferenceStep& step) {
  if (step.kind == Kind::convolution) return step.convolution;
  return as_convolution({.rows = 1,
                         .in = static_cast<std::int64_t>(step.weight.size()) / step.outputs,
                         .out = step.outputs});
}

/// Bytes of a weight, and by what their sums are to be multiplied.
struct RoundedWeight {
  std::vector<std::int8_t> weight;
  std::vector<float> scale;

  RoundedWeight(const std::vector<float>& real, std::int64_t outputs, float input_scale)
      : weight(real.size()), scale(static_cast<std::size_t>(outputs)) {
    const std::size_t of_output = real.size() / scale.size();
    for (std::size_t o = 0; o < scale.size(); ++o) {
      const float* const from = real.data() + o * of_output;
      float most = 0.0f;
      for (std::size_t i = 0; i < of_output; ++i) most = std::max(most, std::abs(from[i]));
      float unit = most / 127.0f;
      if (!std::isnormal(unit)) unit = 1.0f;  // all weights are as good as 0
      for (std::size_t i = 0; i < of_output; ++i)
        weight[o * of_output + i] =
            static_cast<std::int8_t>(std::clamp(std::nearbyint(from[i] / unit), -127.0f, 127.0f));
      scale[o] = unit * input_scale;
    }
  }
};

/// Whether a dense layer is multiplied a panel of its weight at a time.
bool by_panels(const InferenceStep& step, Precision precision) {
  if (step.kind != Kind::dense) return false;
  const Conv2dShape shape = shape_of(step);
  switch (precision) {
    case Precision::fp32:
      return DenseProduct::takes(shape.in_c, shape.out_c);
    case Precision::int8:
      // Panels are multiplied in 16 bits, which is slower than bytes as they are.
      return DenseProduct::takes(shape.in_c, shape.out_c) && !cpu_features().vnni;
    case Precision::tf32:
    case Precision::bf16:
      return false;
  }
  return false;
}

}  // namespace

bool by_winograd(const InferenceStep& step, Precision precision, Algorithm algorithm) {
  if (algorithm == Algorithm::direct || step.kind != Kind::convolution) return false;
  switch (precision) {
    case Precision::fp32:
      return takes_winograd(step.convolution);
    case Precision::int8:
      // The bits are the same, and what multiplies bytes as they are is fast enough.
      return takes_winograd(step.convolution) && !cpu_features().vnni;
    case Precision::tf32:
    case Precision::bf16:
      return false;
  }
  return false;
}

std::unique_ptr<PreparedProduct> prepare_product(const InferenceStep& step, Precision precision,
                                                 Algorithm algorithm, float inverse_scale) {
  const Conv2dShape shape = shape_of(step);
  const bool winograd = by_winograd(step, precision, algorithm);
  const std::vector<float> weight = scaled_weight(step.weight, step.scale);
  if (precision == Precision::int8) {
    const RoundedWeight rounded(weight, step.outputs, 1.0f / inverse_scale);
    if (winograd && Winograd::exact(rounded.weight, step.outputs))
      return std::make_unique<Winograd>(shape, rounded.weight, rounded.scale, step.shift);
    if (by_panels(step, precision))
      return std::make_unique<DenseProduct>(step.outputs, rounded.weight, rounded.scale,
                                            step.shift);
    return std::make_unique<Product>(shape, rounded.weight, rounded.scale, step.shift);
  }
  if (winograd) return std::make_unique<Winograd>(shape, weight, step.shift);
  if (by_panels(step, precision))
    return std::make_unique<DenseProduct>(step.outputs, weight, step.shift);
  return std::make_unique<Product>(shape, precision, weight, step.shift);
}

}  // namespace cpu

std::int64_t prepared_weight_bytes(const InferencePlan& plan, Precision precision,
                                   Algorithm algorithm) {
  std::int64_t bytes = 0;
  for (const InferenceStep& step : plan.steps) {
    if (!step.multiplies()) continue;
    const Conv2dShape shape = cpu::shape_of(step);
    bytes += cpu::by_winograd(step, precision, algorithm)
                 ? cpu::winograd_weight_bytes(shape, precision)
                 : cpu::product_weight_bytes(shape, precision);
  }
  return bytes;
}

}  // namespace pixeldp::kernels
