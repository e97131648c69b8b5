#pragma once

#include <cstdint>

#include "kernels/activation.hpp"
#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

/// What a scaling or an addition by itself does to values [pixels, channels]. Null: 1, 0 and 0.
struct ScalingParams {
  std::int64_t pixels = 0, channels = 0;
  const float* scale = nullptr;  ///< of each channel
  const float* shift = nullptr;
  Activation activation = {};
};

// y = activation(scale[c] * x + shift[c]) or, where residual is not null, activation(x + residual),
// with everything in device memory, of any alignment. In, Residual and Output are float, or
// std::uint16_t for the bits of bf16, to which y is rounded. y may be x's or the residual's memory
// where it has the same type. The bits are those of batch_norm_inference and add, rounded. `stream`
// is a cudaStream_t (in `emulated`, of the emulator). Returns before the work is done.

PIXELDP_ON_DEVICES(  //
    template <class In, class Residual, class Output>
    void scale_values(void* stream, const ScalingParams& params, const In* x,
                      const Residual* residual, Output* y);)

/// Blocks of 256 threads, of four values each. Throws an Error for channels below 1 and more than
/// one launch can do.
unsigned scaling_blocks(const ScalingParams& params);

}  // namespace pixeldp::kernels
