#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "engine/device.hpp"
#include "kernels/precision.hpp"

namespace pixeldp::kernels {

/// Zero padding on one axis. TensorFlow's "SAME" is asymmetric: the odd pixel goes after the image.
struct Padding {
  std::int64_t before = 0;
  std::int64_t after = 0;
  auto operator<=>(const Padding&) const = default;
};

/// total = max((ceil(n/s) - 1) s + k - n, 0), before = floor(total/2), after = the rest.
Padding same_padding(std::int64_t extent, std::int64_t kernel, std::int64_t stride);

/// Shape of a 2-D convolution (cross-correlation). x is [batch, in_h, in_w, in_c], the weight OIHW
/// [out_c, in_c, kernel_h, kernel_w], y [batch, out_h(), out_w(), out_c].
struct Conv2dShape {
  std::int64_t batch = 0, in_h = 0, in_w = 0, in_c = 0;
  std::int64_t out_c = 0, kernel_h = 0, kernel_w = 0, stride = 1;
  Padding pad_h, pad_w;

  std::int64_t out_h() const { return (in_h + pad_h.before + pad_h.after - kernel_h) / stride + 1; }
  std::int64_t out_w() const { return (in_w + pad_w.before + pad_w.after - kernel_w) / stride + 1; }
  std::int64_t weight_size() const { return out_c * in_c * kernel_h * kernel_w; }
  /// Multiply-adds of one image.
  std::int64_t multiply_adds() const { return out_h() * out_w() * weight_size(); }
  auto operator<=>(const Conv2dShape&) const = default;
};

/// "convolution 2x28x28x1 with 32 kernels 5x5, stride 2, padding 1+2, 1+2": for messages.
std::string describe(const Conv2dShape& shape);

/// Throws an Error for what is no convolution: an extent, a channel count or a stride below 1, a
/// batch or a padding below 0, a kernel larger than the padded image.
void check_conv2d_shape(const Conv2dShape& shape);

// All tensors are fp32 and lie in the memory of the stream's device, weights too. Operands may be
// rounded to the precision that is asked for:
//
// - by devices, which with Precision::fp32 round them for gradients, which prove nothing, to tf32;
// - by processors to bf16 only, and not where that would cost time: in weight gradients that are
//   strided or read fewer than 32 channels. One without AVX-512 BF16 (product_obstacle) refuses
//   bf16 with an Error. With tf32 they round no operand, but multiply what takes_winograd with
//   stride 1 (kernels/inference.hpp), forward and in the gradient in x, by that algorithm, whose
//   error is smaller. On a processor a result has the same bits for the same number of threads.
//
// Throw the Error of check_conv2d_shape, and one for Precision::int8.

/// y = x (*) weight
void conv2d_forward(const Stream& stream, const Conv2dShape& shape, Precision precision,
                    const float* x, const float* weight, float* y);

/// dx = gradient of the loss in x, from dy in y's layout.
void conv2d_backward_data(const Stream& stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx);

/// dweight (OIHW) = gradient of the loss in the weight; overwritten, not added to.
void conv2d_backward_weight(const Stream& stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight);

}  // namespace pixeldp::kernels
