#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"

/// Convolutions by warpgroups that the tests run both through the emulator and as compiled PTX.
/// wgmma_on_device.cu is compiled twice, into namespace cuda and into namespace emulated.
namespace pixeldp::kernels {

/// The passes one after the other, with every part of the epilogue that is not empty.
struct WgmmaCase {
  std::vector<ConvPass> passes;
  std::vector<std::uint16_t> x;
  std::vector<float> weight;  ///< OIHW
  std::vector<std::uint16_t> residual;
  std::vector<float> scale, shift, next_scale, next_shift;
  Activation activation, next_activation;
  std::size_t size = 0;  ///< of y
};

struct WgmmaResult {
  std::vector<float> y;             ///< to_float
  std::vector<std::uint16_t> bits;  ///< to_bf16
  std::vector<std::uint16_t> next;
  bool operator==(const WgmmaResult&) const = default;
};

/// A gradient in the weight by one tile; channels are filled up.
struct WgmmaWeightCase {
  Conv2dShape shape;
  WgmmaWeightTile tile;
  std::vector<std::uint16_t> x, dy;
};

namespace cuda {
/// Whether there is a device, and of the architecture.
bool has_warpgroup_products();
WgmmaResult run_to_float(const WgmmaCase& conv);
WgmmaResult run_to_bf16(const WgmmaCase& conv);
std::vector<float> run_weight_gradient(const WgmmaWeightCase& conv);
}  // namespace cuda

namespace emulated {
bool has_warpgroup_products();
WgmmaResult run_to_float(const WgmmaCase& conv);
WgmmaResult run_to_bf16(const WgmmaCase& conv);
std::vector<float> run_weight_gradient(const WgmmaWeightCase& conv);
}  // namespace emulated

}  // namespace pixeldp::kernels
