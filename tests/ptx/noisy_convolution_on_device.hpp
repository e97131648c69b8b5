#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/noisy_convolution.hpp"

/// Noise inside the convolution, both through the emulator and as compiled PTX:
/// noisy_convolution_on_device.cu is compiled twice.
namespace pixeldp::kernels {

struct NoisyConvCase {
  Conv2dShape shape;
  NoisyInput input;  ///< without scale and shift
  std::vector<NoiseRow> rows;
  std::vector<float> prefix, weight;
  std::vector<float> in_scale, in_shift, scale, shift;  ///< may be empty
  std::vector<std::uint16_t> residual;                  ///< may be empty
  Activation ending;
};

struct NoisyConvResult {
  std::vector<float> y;
  std::vector<std::uint16_t> y16, x;
};

namespace cuda {
NoisyConvResult run(const NoisyConvCase& problem);
}
namespace emulated {
NoisyConvResult run(const NoisyConvCase& problem);
}

}  // namespace pixeldp::kernels
