#include "pixeldp/precision.hpp"

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "kernels/inference.hpp"

namespace pixeldp {

using kernels::Precision;

std::string_view name(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return "fp32";
    case Precision::tf32:
      return "tf32";
    case Precision::bf16:
      return "bf16";
    case Precision::int8:
      return "int8";
  }
  fail("not a precision: {}", static_cast<int>(precision));
}

Precision parse_precision(std::string_view text) {
  constexpr Precision of_inference[] = {Precision::fp32, Precision::bf16, Precision::int8};
  return value_named(text, "precision", of_inference, name);
}

Precision precision_on(const Device& device, std::optional<Precision> chosen) {
  if (device.kind == DeviceKind::cpu) {
    const Precision precision = chosen.value_or(Precision::fp32);
    if (const std::string obstacle = kernels::inference_obstacle(precision); !obstacle.empty())
      fail("precision {}: {}; fp32 works everywhere", name(precision), obstacle);
    return precision;
  }
  const Precision precision = chosen.value_or(Precision::bf16);
  if (precision != Precision::bf16)
    fail_usage("the device {} evaluates draws in bf16 only, not in {}", device.name(),
               name(precision));
  return precision;
}

std::string function_text(const BodyFunction& function) {
  return function.algorithm == "tensor-core" ? function.precision + " by tensor cores"
                                             : function.precision;
}

BodyFunction body_function(const Device& device, std::optional<Precision> chosen) {
  const Precision precision = precision_on(device, chosen);
  const bool half = precision == Precision::bf16;
  return {.precision = std::string(name(precision)),
          .residual_precision = std::string(name(half ? Precision::bf16 : Precision::fp32)),
          .algorithm = device.kind == DeviceKind::cpu ? "direct" : "tensor-core"};
}

void check_training_precision(const Device& device, Precision precision,
                              const CpuFeatures& features) {
  if (device.kind != DeviceKind::cpu) return;
  if (const std::string obstacle = kernels::product_obstacle(precision, features);
      !obstacle.empty())
    fail("training.precision: {}: {}; training.precision: fp32 works everywhere", name(precision),
         obstacle);
}

}  // namespace pixeldp
