#pragma once

#include <cstdint>

#include "kernels/activation.hpp"
#include "kernels/cuda/on_devices.hpp"
#include "kernels/cuda/scaling.hpp"
#include "kernels/noise.hpp"

/// Values between the layers of a plan in int8 (kernels/inference.hpp) on devices: real, in single
/// precision, and as bytes, which are signed. (Those of processors are 128 more; nothing but the
/// sums of their products could tell, and these are exact.)
namespace pixeldp::kernels {

/// Channels of a pixel of bytes filled up with zeros to whole vectors of 16, as products read them.
inline constexpr int int8_chunk = 16;
constexpr std::int64_t int8_channels(std::int64_t channels) {
  return (channels + int8_chunk - 1) / int8_chunk * int8_chunk;
}

/// Where values go: as they are, as bytes round(clamp(value * inverse_scale, -127, 127)), ties to
/// even, or as both. Null: not there.
struct Int8Target {
  float* real = nullptr;
  std::int8_t* bytes = nullptr;
  float inverse_scale = 0.0f;  ///< of the bytes
};

// Everything in device memory, `stream` a cudaStream_t (in `emulated`, of the emulator). Return
// before the work is done.
//
// round_values: target = activation(scale[c] * x + shift[c]) or, where residual is not null,
// activation(x + residual), from x [pixels, channels]; real has x's layout, bytes are [pixels,
// filled], zeros beyond the channels, aligned to 4, and not null. Each operation rounds once, in
// the order of a processor's (kernels/cpu/simd_inference.hpp).
//
// add_noise_bytes: as add_noise (kernels/noise.hpp), to bytes alone. Rows are multiples of 4
// elements, the prefix is aligned to 16 bytes, the bytes are to 4.

PIXELDP_ON_DEVICES(  //
    void round_values(void* stream, const ScalingParams& params, std::int64_t filled,
                      const float* x, const float* residual, const Int8Target& target);
    void add_noise_bytes(void* stream, const NoiseParams& params, const NoiseRow* rows,
                         std::int64_t row_count, std::int64_t elements, const float* prefix,
                         const Int8Target& target);)

/// How round_values is shared out: a thread makes four bytes, a block 1024.
struct RoundingGrid {
  static constexpr int block_threads = 256;

  unsigned blocks = 0;
  bool vectorised = false;  ///< four channels of x, residual and real are always 16 aligned bytes

  /// Throws an Error for channels below 1, `filled` below them or no multiple of 4, more than one
  /// launch can do, and bytes that are null or not aligned.
  static RoundingGrid plan(const ScalingParams& params, std::int64_t filled, const float* x,
                           const float* residual, const Int8Target& target);
};

/// The grid of add_noise_bytes is that of add_noise. Throws an Error for rows and addresses that
/// are not as it takes them.
void check_noise_bytes(std::int64_t elements, const float* prefix, const Int8Target& target);

}  // namespace pixeldp::kernels
