#include "kernels/cpu/plan_products.hpp"

#include "kernels/cpu/dense_product.hpp"
#include "kernels/cpu/winograd.hpp"
#include "kernels/int8.hpp"

namespace pixeldp::kernels {

namespace cpu {
namespace {

using Kind = InferenceStep::Kind;

/// Whether Winograd's algorithm, whose bits are the same, multiplies bytes faster than Product
/// does: not where AMX does, and not of so few channels that the transforms take longer than the
/// products that they save, which are fewer where bytes are multiplied as they are.
bool int8_pays(const Conv2dShape& shape) {
  if (cpu_features().amx) return false;
  if (multiplies_bytes()) return shape.in_c >= 64 && shape.stride == 1;
  return shape.in_c > group_outputs || shape.stride > 1;
}

/// Whether a dense layer is multiplied a panel of its weight at a time.
bool by_panels(const InferenceStep& step, Precision precision) {
  if (step.kind != Kind::dense) return false;
  const Conv2dShape shape = step.product_shape();
  switch (precision) {
    case Precision::fp32:
      return DenseProduct::takes(shape.in_c, shape.out_c);
    case Precision::int8:
      // Panels are multiplied in 16 bits, which is slower than bytes as they are.
      return DenseProduct::takes(shape.in_c, shape.out_c) && !multiplies_bytes();
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
    case Precision::bf16:
      return takes_winograd(step.convolution, precision);
    case Precision::int8:
      return takes_winograd(step.convolution, precision) && int8_pays(step.convolution);
    case Precision::tf32:
      return false;
  }
  return false;
}

std::unique_ptr<PreparedProduct> prepare_product(const InferenceStep& step, Precision precision,
                                                 Algorithm algorithm, float inverse_scale,
                                                 bool never_negative) {
  const Conv2dShape shape = step.product_shape();
  const bool winograd = by_winograd(step, precision, algorithm);
  if (precision == Precision::int8) {
    const RoundedWeight rounded(step, inverse_scale);
    if (winograd && Winograd::exact(rounded.weight, step.outputs))
      return std::make_unique<Winograd>(shape, rounded.weight, rounded.scale, step.shift);
    if (by_panels(step, precision))
      return std::make_unique<DenseProduct>(step.outputs, rounded.weight, rounded.scale, step.shift,
                                            never_negative);
    return std::make_unique<Product>(shape, rounded.weight, rounded.scale, step.shift);
  }
  const std::vector<float> weight = scaled_weight(step.weight, step.scale);
  if (winograd) return std::make_unique<Winograd>(shape, precision, weight, step.shift);
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
    const Conv2dShape shape = step.product_shape();
    bytes += cpu::by_winograd(step, precision, algorithm)
                 ? cpu::winograd_weight_bytes(shape, precision)
                 : cpu::product_weight_bytes(shape, precision);
  }
  return bytes;
}

}  // namespace pixeldp::kernels
