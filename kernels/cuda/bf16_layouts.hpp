#pragma once

#include <cstdint>

#include "kernels/convolution.hpp"
#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

// Tensors between single precision and bf16 (its bits in a std::uint16_t, rounded to nearest, ties
// to even), and weights between OIHW and [out_c, kernel_h, kernel_w, in_c] (OHWI): what libraries
// with channels-last operands want. Everything in device memory, of any alignment; results do not
// overlap operands. `stream` is a cudaStream_t (in `emulated`, of the emulator). Return before
// the work is done. Throw an Error for 2^38 elements or more.

PIXELDP_ON_DEVICES(
    void to_bf16(void* stream, std::int64_t size, const float* x, std::uint16_t* y);
    void from_bf16(void* stream, std::int64_t size, const std::uint16_t* x, float* y);
    /// OIHW in single precision to OHWI in bf16; of the shape only the weight matters.
    void weight_to_bf16(void* stream, const Conv2dShape& shape, const float* x, std::uint16_t* y);
    /// OHWI in bf16 to OIHW in single precision.
    void weight_from_bf16(void* stream, const Conv2dShape& shape, const std::uint16_t* x,
                          float* y);)

/// Blocks of 256 elements. Throws an Error for more than one launch can do.
unsigned bf16_layout_blocks(std::int64_t size);

}  // namespace pixeldp::kernels
