#include "pixeldp/precision.hpp"

#include "engine/error.hpp"
#include "engine/named.hpp"

namespace pixeldp {

using kernels::Algorithm, kernels::Precision;

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
  if (precision != Precision::bf16 && precision != Precision::int8)
    fail_usage("the device {} evaluates draws in bf16 or int8, not in {}", device.name(),
               name(precision));
  return precision;
}

std::string_view name(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::direct:
      return "direct";
    case Algorithm::winograd:
      return "winograd";
  }
  fail("not an algorithm: {}", static_cast<int>(algorithm));
}

Algorithm algorithm_on(const Device& device, std::optional<Algorithm> chosen) {
  if (device.kind != DeviceKind::cpu) {
    if (chosen)
      fail_usage("algorithm {}: the device {} has its own; there is a choice on processors only",
                 name(*chosen), device.name());
    return Algorithm::direct;
  }
  return chosen.value_or(Algorithm::winograd);
}

std::string function_text(const BodyFunction& function) {
  if (function.algorithm == "tensor-core") return function.precision + " by tensor cores";
  if (function.algorithm == name(Algorithm::winograd))
    return function.precision + " by Winograd's algorithm";
  return function.precision;
}

BodyFunction body_function(const Device& device, const BodyPrecision& chosen,
                           const kernels::InferencePlan& body) {
  const Precision precision = precision_on(device, chosen.precision);
  const Algorithm algorithm = algorithm_on(device, chosen.algorithm);
  const bool half = precision == Precision::bf16;
  // Sums of int8 are exact by any algorithm, and on any device.
  const bool shows = precision != Precision::int8 && takes_winograd(body, precision);
  const bool tensor_core = device.kind != DeviceKind::cpu && precision != Precision::int8;
  return {.precision = std::string(name(precision)),
          .residual_precision = std::string(name(half ? Precision::bf16 : Precision::fp32)),
          .algorithm = tensor_core ? "tensor-core"
                                   : std::string(name(shows ? algorithm : Algorithm::direct))};
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
