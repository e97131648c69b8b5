#pragma once

#include <cstdint>
#include <vector>

#include "kernels/convolution.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/dense.hpp"

/// Convolutions that the tests run both through the emulator and as compiled PTX.
/// convolution_on_device.cu is compiled twice, into namespace cuda and into namespace emulated.
namespace pixeldp::kernels {

struct DirectConvCase {
  Conv2dShape shape;
  Activation activation;
  std::vector<float> x, weight, bias;  ///< bias may be empty
};

/// The passes one after the other, with every part of the epilogue that is not empty.
template <class Element>
struct GemmConvCase {
  std::vector<ConvPass> passes;
  ConvTile tile;
  std::vector<Element> x;
  std::vector<float> weight;  ///< OIHW
  std::vector<std::uint16_t> residual;
  std::vector<float> scale, shift;
  Activation activation;
  std::size_t size = 0;  ///< of y
};

/// All operations of training, as the dispatch calls them.
struct TrainingCase {
  Conv2dShape shape;
  Precision precision;
  std::vector<float> x, weight, dy;
  bool shared = false;  ///< by a TrainingProduct, in bf16
};
struct DenseTrainingCase {
  DenseShape shape;
  Precision precision;
  std::vector<float> x, weight, bias, dy;
};

namespace cuda {
std::vector<float> run(const DirectConvCase& conv);
std::vector<float> run_to_float(const GemmConvCase<std::uint16_t>& conv);
std::vector<float> run_to_float(const GemmConvCase<float>& conv);
std::vector<std::uint16_t> run_to_bf16(const GemmConvCase<std::uint16_t>& conv);
/// y, y of the prepared operation (of convolutions with an epilogue of scales and shifts, which are
/// the weight's first values, and dy as residual), dx, dweight (and dbias), one after the other.
std::vector<float> run(const TrainingCase& training);
std::vector<float> run(const DenseTrainingCase& training);
}  // namespace cuda

namespace emulated {
std::vector<float> run(const DirectConvCase& conv);
std::vector<float> run_to_float(const GemmConvCase<std::uint16_t>& conv);
std::vector<float> run_to_float(const GemmConvCase<float>& conv);
std::vector<std::uint16_t> run_to_bf16(const GemmConvCase<std::uint16_t>& conv);
std::vector<float> run(const TrainingCase& training);
std::vector<float> run(const DenseTrainingCase& training);
}  // namespace emulated

}  // namespace pixeldp::kernels
