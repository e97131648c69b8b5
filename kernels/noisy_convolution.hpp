#pragma once

#include <memory>

#include "engine/device.hpp"
#include "kernels/convolution.hpp"
#include "kernels/noise.hpp"

namespace pixeldp::kernels {

/// What lies between the noise and a convolution: where scale is given (a value per channel each,
/// in the memory of the stream's device), a batch norm with fixed statistics and an activation.
struct NoisyScaling {
  const float* scale = nullptr;
  const float* shift = nullptr;  ///< null: 0
  Activation activation;
};

/// Noise and the convolution behind it in one pass, for rows r < shape.batch:
///
///   x[r] = noise.activation(prefix[rows[r].source] + noise.scale * z)      as kernels/noise.hpp
///   x[r] = scaling.activation(scale[c] * x[r] + shift[c])                  where scale is not null
///   y[r] = epilogue(bf16(x[r]) (*) weight)                                 as prepare_conv2d
///
/// These are the bits of add_noise, batch_norm_inference and prepare_conv2d with Precision::bf16
/// (without noise up to the sign of zeros), rounded to bf16.
///
/// prefix [any, in_h, in_w, in_c] in single precision; in bf16 (its bits) y [batch, out_h, out_w,
/// out_c] and x, where not null, which gets what the convolution takes, [batch, in_h, in_w, in_c].
/// All in device memory, aligned to 16 bytes, none of them overlapping. Runs follow each other in
/// the stream that this was prepared for, which outlives it; a run returns before the work is done,
/// and throws an Error for noise that add_noise refuses and arrays that are not aligned.
class NoisyConv2d {
 public:
  virtual ~NoisyConv2d() = default;
  virtual void run(const NoiseParams& noise, const NoiseRow* rows, const float* prefix,
                   std::uint16_t* y, std::uint16_t* x = nullptr) const = 0;
};

/// Whether the device has a kernel for this convolution, of any batch. A caller without one goes
/// from layer to layer.
bool noisy_conv2d_supported(const Device& device, const Conv2dShape& shape);

/// Packs the weight (OIHW) and copies what scaling and epilogue point to, as work of the stream;
/// changes after it are not seen. Throws an Error where noisy_conv2d_supported is false, and for an
/// epilogue with a residual.
std::unique_ptr<NoisyConv2d> prepare_noisy_conv2d(const Stream& stream, const Conv2dShape& shape,
                                                  const float* weight, const NoisyScaling& scaling,
                                                  const Conv2dEpilogue& epilogue);

}  // namespace pixeldp::kernels
