#pragma once

#include <cstdint>

#include "engine/device.hpp"
#include "kernels/activation.hpp"

namespace pixeldp::kernels {

// Pooling and the shortcuts of residual networks, on NHWC tensors in fp32, dense, of any alignment.
// An image's results do not depend on the other images; sums are taken in one fixed order, so that
// results have the same bits on processors and GPUs, for any number of threads. On a CPU a call
// from within a parallel region uses one thread.

/// Pixels are dealt to this many lanes (see global_average_pool).
inline constexpr int pool_lanes = 8;

struct GlobalPoolShape {
  std::int64_t batch = 0;
  std::int64_t pixels = 0;  ///< of an image: height * width
  std::int64_t channels = 0;
};

/// y[n, c] = (sum over the pixels p of x[n, p, c]) / pixels.
///
/// Pixels are dealt to pool_lanes lanes in turn, which sum theirs in ascending order; then lanes l
/// and l + 4, l + 2, l + 1 are summed.
void global_average_pool(const Stream& stream, const GlobalPoolShape& shape, const float* x,
                         float* y);

/// dx[n, p, c] = dy[n, c] / pixels.
void global_average_pool_backward(const Stream& stream, const GlobalPoolShape& shape,
                                  const float* dy, float* dx);

/// How the parameter-free shortcut of a residual unit loses resolution.
enum class ShortcutKind {
  average,   ///< means of windows stride x stride, VALID: the wide ResNet of TensorFlow's models
  subsample  ///< the first pixel of each: option A of He et al., "Deep residual learning", 2015
};

/// A shortcut from x [batch, in_h, in_w, in_c] to y [batch, out_h(), out_w(), out_c]. The channels
/// that x lacks are zeros, half of them before its own and half after.
struct ShortcutShape {
  std::int64_t batch = 0, in_h = 0, in_w = 0, in_c = 0, out_c = 0, stride = 1;
  ShortcutKind kind = ShortcutKind::average;

  std::int64_t out_h() const { return outputs(in_h); }
  std::int64_t out_w() const { return outputs(in_w); }
  std::int64_t channels_before() const { return (out_c - in_c) / 2; }

 private:
  /// VALID drops the pixels that fill no window.
  std::int64_t outputs(std::int64_t inputs) const {
    return (kind == ShortcutKind::average ? inputs : inputs + stride - 1) / stride;
  }
};

/// Throws an Error for what is no shortcut: an extent, channels or a stride below 1, a stride that
/// fits no window, fewer outputs than inputs, an odd number of channels to add.
void check_shortcut_shape(const ShortcutShape& shape);

/// y[n, p, q, channels_before + c] = the mean over r, s < stride (or just r = s = 0) of
/// x[n, p stride + r, q stride + s, c], summed for ascending r, then s; 0 in all other channels.
/// Throws the Error of check_shortcut_shape.
void shortcut_forward(const Stream& stream, const ShortcutShape& shape, const float* x, float* y);

/// dx = the gradient in x, from dy in y's layout; overwritten, not added to. Inputs that no output
/// depends on get 0.
void shortcut_backward(const Stream& stream, const ShortcutShape& shape, const float* dy,
                       float* dx);

/// y = activation(a + b). y may be the memory of a or b. (activation_backward of
/// kernels/elementwise.hpp makes of dy the gradient in a, which is that in b.)
void add(const Stream& stream, Activation activation, std::int64_t size, const float* a,
         const float* b, float* y);

}  // namespace pixeldp::kernels
