#include "kernels/cpu/plan_products.hpp"

#include "kernels/cpu/dense_product.hpp"
#include "kernels/cpu/winograd.hpp"
#include "kernels/int8.hpp"

namespace pixeldp::kernels {

namespace cpu {
namespace {

using Kind = InferenceStep::Kind;

/// Whether a dense layer is multiplied a panel of its weight at a time.
bool by_panels(const InferenceStep& step, Precision precision) {
  if (step.kind != Kind::dense) return false;
  const Conv2dShape shape = step.product_shape();
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
      // The bits are the same. What multiplies bytes as they are is fast enough; and of a single
      // group of channels the transforms take longer than the products that they save.
      return takes_winograd(step.convolution) && !cpu_features().vnni &&
             (step.convolution.in_c > group_outputs || step.convolution.stride > 1);
    case Precision::tf32:
    case Precision::bf16:
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
    const Conv2dShape shape = step.product_shape();
    bytes += cpu::by_winograd(step, precision, algorithm)
                 ? cpu::winograd_weight_bytes(shape, precision)
                 : cpu::product_weight_bytes(shape, precision);
  }
  return bytes;
}

}  // namespace pixeldp::kernels
