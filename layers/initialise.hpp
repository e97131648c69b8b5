#pragma once

#include <cstdint>

#include "engine/tensor.hpp"
#include "layers/conv2d.hpp"
#include "layers/convolution.hpp"
#include "layers/dense.hpp"

namespace pixeldp::layers {

/// Values with mean 0 and the given standard deviation, addressed by (seed, parameter): the same on
/// every machine. `parameter` counts the network's parameters.
void fill_normal(Tensor& tensor, double deviation, std::uint64_t seed, std::uint32_t parameter);

/// Uniform values in (-limit, limit).
void fill_uniform(Tensor& tensor, double limit, std::uint64_t seed, std::uint32_t parameter);

/// Initialises a network's layers one after the other, as PixelDP's programs do.
class Initialiser {
 public:
  explicit Initialiser(std::uint64_t seed) : seed_(seed) {}

  /// Normal, of deviation sqrt(2 / (kernel^2 out_c)). `rescaled`: as NetworkSpec::rescale_prefix
  /// says.
  void convolution(Conv2d& conv, bool rescaled = false);
  /// Normal, of deviation sqrt(2 / (kernel_h kernel_w out_c)).
  void convolution(Convolution& conv, const kernels::GroupedConv2dShape& shape);
  /// Uniform in +- sqrt(3 / in); no bias.
  void dense(Dense& dense);

 private:
  std::uint64_t seed_;
  std::uint32_t parameter_ = 0;
};

}  // namespace pixeldp::layers
