#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/convolution_bf16.hpp"
#include "kernels/cuda/convolution_bf16_weight.hpp"
#include "kernels/cuda/convolution_direct.hpp"

/// Convolutions that the tests run both through the emulator and as compiled PTX.
/// convolution_on_device.cu is compiled twice, into namespace cuda and into namespace emulated.
namespace pixeldp::kernels {

struct DirectConvCase {
  Conv2dShape shape;
  Activation activation;
  std::vector<float> x, weight;
};

/// The passes one after the other, with every part of the epilogue that is not empty.
struct Bf16ConvCase {
  std::vector<ConvPass> passes;
  ConvTile tile;
  std::vector<std::uint16_t> x, weight, residual;
  std::vector<float> scale, shift;
  Activation activation;
  std::size_t size = 0;  ///< of y
};

struct WeightGradientCase {
  Conv2dShape shape;
  std::vector<std::uint16_t> x, dy;
};

namespace cuda {
std::vector<float> run(const DirectConvCase& conv);
std::vector<float> run_to_float(const Bf16ConvCase& conv);
std::vector<std::uint16_t> run_to_bf16(const Bf16ConvCase& conv);
std::vector<float> run(const WeightGradientCase& gradient);
}  // namespace cuda

namespace emulated {
std::vector<float> run(const DirectConvCase& conv);
std::vector<float> run_to_float(const Bf16ConvCase& conv);
std::vector<std::uint16_t> run_to_bf16(const Bf16ConvCase& conv);
std::vector<float> run(const WeightGradientCase& gradient);
}  // namespace emulated

}  // namespace pixeldp::kernels
