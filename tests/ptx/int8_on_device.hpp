#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/convolution_int8.hpp"

/// Kernels of plans in int8 that the tests run both through the emulator and as compiled PTX.
/// int8_on_device.cu is compiled twice, into namespace cuda and into namespace emulated.
namespace pixeldp::kernels {

/// A convolution with every part of its epilogue, and all results.
struct Int8ConvCase {
  Conv2dShape shape;
  Int8ConvKernel kernel;
  std::vector<std::int8_t> x, weight;  ///< as the kernel reads them
  std::vector<float> scale, shift, residual, next_scale, next_shift;
  Activation activation, next_activation;
};
struct Int8Results {
  std::vector<float> y, next;
  std::vector<std::int8_t> y_bytes, next_bytes;  ///< empty where channels are no multiples of 4
  bool operator==(const Int8Results&) const = default;
};

/// Values [pixels, channels], scaled, to reals and filled bytes, and noise of them to bytes.
struct Int8ValuesCase {
  std::int64_t pixels, channels;
  std::vector<float> x, scale, shift;
  Activation activation;
  NoiseParams noise;
  std::vector<NoiseRow> rows;  ///< of the pixels; none where channels are no multiples of 4
};

namespace cuda {
Int8Results run(const Int8ConvCase& conv);
Int8Results run(const Int8ValuesCase& values);
}  // namespace cuda
namespace emulated {
Int8Results run(const Int8ConvCase& conv);
Int8Results run(const Int8ValuesCase& values);
}  // namespace emulated

}  // namespace pixeldp::kernels
