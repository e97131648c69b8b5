#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

/// Channels filled up to whole chunks.
template <class Element>
constexpr std::int64_t filled_channels(std::int64_t channels) {
  return (channels + chunk_of<Element> - 1) / chunk_of<Element> * chunk_of<Element>;
}

// What the tensor cores read, from single precision; Element is std::uint16_t (bf16, rounded to
// nearest, ties to even) or float (a copy). Everything in device memory, results aligned to 16
// bytes, `stream` a cudaStream_t (in `emulated`, of the emulator). Return before the work is
// done.
//
// fill_channels: x [pixels, channels] to y [pixels, filled_channels], zeros in the last ones.
// pack_weight: OIHW to the packed weights of the passes (ConvPass), which follow each other.

PIXELDP_ON_DEVICES(  //
    template <class Element> void fill_channels(void* stream, std::int64_t pixels,
                                                std::int64_t channels, const float* x, Element* y);
    template <class Element> void pack_weight(void* stream, const std::vector<ConvPass>& passes,
                                              const float* weight, Element* packed);)

}  // namespace pixeldp::kernels
