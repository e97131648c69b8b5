#pragma once

#include <span>

#include "engine/tensor.hpp"
#include "kernels/noise.hpp"

namespace pixeldp::layers {

/// The noise layer: y = activation(x + scale * z). It is told its distribution and scale and knows
/// nothing of how they were calibrated. Unlike other layers it draws, so the addresses of its draws
/// are arguments.
class Noise {
 public:
  kernels::NoiseDistribution distribution = kernels::NoiseDistribution::none;
  double scale = 0.0;
  kernels::Activation activation;

  /// Which random numbers a pass uses. `factor` multiplies the scale (noise ramp-up in training).
  struct Draws {
    std::uint64_t seed = 0;
    StreamTag tag = StreamTag::training;
    float factor = 1.0f;
    std::span<const kernels::NoiseRow> rows = {};  ///< one per row of y, in the device's memory
  };

  /// What the kernels are told of such a pass.
  kernels::NoiseParams params(const Draws& draws) const;
  /// y [rows.size(), ...] from x [any, ...]: row i of y is a draw of row rows[i].source of x.
  void forward(const Stream& stream, const Draws& draws, const Tensor& x, Tensor& y) const;
  /// The same over raw rows of `elements` values.
  void forward(const Stream& stream, const Draws& draws, std::int64_t elements, const float* x,
               float* y) const;
  /// Turns dy into the gradient in x, in place (the noise itself does not depend on x).
  void backward(const Stream& stream, const Tensor& y, Tensor& dy) const;
};

}  // namespace pixeldp::layers
