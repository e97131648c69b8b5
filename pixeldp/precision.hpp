#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/device.hpp"
#include "kernels/inference.hpp"

namespace pixeldp {

/// What it takes to evaluate what follows the noise in int8: made from noisy draws of training
/// images by quantise() and kept in the model's file. It is part of the function that is certified,
/// not of the proof: whatever follows the noise, a certificate is about just that.
struct Quantisation {
  std::map<std::string, float> scales;  ///< by layer: the unit of the whole numbers it reads
  std::int64_t images = 0;              ///< training images 0 ... images-1 were looked at
  std::uint64_t seed = 0;               ///< of their noise
  bool operator==(const Quantisation&) const = default;
};

/// In what the layers between the noise and the last one calculate, and how. All before the noise
/// is in fp32 whatever is chosen here, and so are the last layer and the scores; they are
/// multiplied directly.
struct BodyPrecision {
  std::optional<kernels::Precision> precision = {};  ///< none: the device's own
  const Quantisation* quantisation = nullptr;        ///< for int8
  std::optional<kernels::Algorithm> algorithm = {};  ///< none: the precision's own
};

/// What the layers between the noise and the last one compute, as far as equal weights leave it
/// open: a certificate is about just that function. Equal functions give equal counts, wherever
/// they are computed.
struct BodyFunction {
  std::string precision = "fp32";           ///< of what products multiply
  std::string residual_precision = "fp32";  ///< of values between layers
  /// How sums of products are rounded. "direct": each sum has one order, and each operation rounds
  /// once (kernels/inference.hpp). "winograd": likewise, but some convolutions are Winograd's.
  /// "tensor-core": as tensor cores do (mma.sync) in bf16.
  std::string algorithm = "direct";
  bool operator==(const BodyFunction&) const = default;
};

/// As that device computes this body, with what was chosen (precision_on, algorithm_on). The
/// algorithm of processors shows in fp32 and bf16, and where a layer takes it.
BodyFunction body_function(const Device& device, const BodyPrecision& chosen,
                           const kernels::InferencePlan& body);

/// For readers: the precision, and the algorithm where it is not the usual "direct".
std::string function_text(const BodyFunction& function);

/// "fp32", "bf16", "int8".
std::string_view name(kernels::Precision precision);
/// Throws a usage error for any other name.
kernels::Precision parse_precision(std::string_view text);

/// The one that was chosen, or the device's own: fp32 on processors, bf16 on all else. Throws an
/// Error where the device does not have it: few processors have bf16, other devices no fp32.
kernels::Precision precision_on(const Device& device,
                                std::optional<kernels::Precision> chosen = {});

/// "direct", "winograd".
std::string_view name(kernels::Algorithm algorithm);
inline constexpr kernels::Algorithm algorithms[] = {kernels::Algorithm::direct,
                                                    kernels::Algorithm::winograd};

/// The one that was chosen, or the usual one: Winograd's on processors. Throws a usage error on
/// other devices, where there is no such choice.
kernels::Algorithm algorithm_on(const Device& device,
                                std::optional<kernels::Algorithm> chosen = {});

/// Throws an Error where training on this device, a processor of those features if it is one,
/// cannot multiply in that precision: what a configuration says is not replaced by something else.
void check_training_precision(const Device& device, kernels::Precision precision,
                              const CpuFeatures& features = cpu_features());

}  // namespace pixeldp
