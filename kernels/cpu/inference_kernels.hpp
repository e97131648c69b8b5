#pragma once

#include <cstdint>

namespace pixeldp::kernels::cpu {

/// A real value in memory: fp32, or the upper half of one.
enum class Real : std::uint8_t { fp32, bf16 };

/// What a byte holds that means 0: bytes are stored as 128 more than the whole number they stand
/// for, since that is how processors multiply them.
inline constexpr std::uint8_t zero_byte = 128;

/// Where a step's results go: as real values, as multiples of a scale, or as both. Null: not there.
struct InferenceTarget {
  void* real = nullptr;
  std::uint8_t* bytes = nullptr;
  float inverse_scale = 0.0f;  ///< of the bytes
};

/// What to make of reals of `channels` values after each other. A residual has the kind of the
/// result; it goes with neither scale nor shift.
struct ScalingSpan {
  std::int64_t pixels = 0, channels = 0;
  const float* scale = nullptr;    ///< null: 1
  const float* shift = nullptr;    ///< null: 0
  const void* residual = nullptr;  ///< null: 0
  float slope = 1.0f;
};

/// A shortcut (kernels/pooling.hpp) of one row.
struct ShortcutSpan {
  std::int64_t in_w = 0, in_c = 0, out_h = 0, out_w = 0, out_c = 0, before = 0;
  std::int64_t stride = 1, extent = 1;
};

/// The steps of an inference that are not products, for one instruction set. In all of them x is of
/// the kind `from` and what is written, if real, of the kind `to`.
struct InferenceKernels {
  /// target = activation(scale * x + shift), or activation(x + residual)
  void (*scaling)(const ScalingSpan& span, Real from, Real to, const void* x,
                  const InferenceTarget& target);
  void (*shortcut)(const ShortcutSpan& span, Real kind, const void* x, void* y);
  /// y[c] = sum over pixels / pixels; `lanes` is scratch of pool_lanes * channels floats
  void (*pool)(std::int64_t pixels, std::int64_t channels, Real from, Real to, const void* x,
               void* y, float* lanes);
};

}  // namespace pixeldp::kernels::cpu
