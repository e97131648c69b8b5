#pragma once

#include "layers/layer.hpp"

namespace pixeldp::layers {

/// The noise: row i of y is activation(x + scale * z) for the row of x and the draw that rows[i] of
/// the pass names. It is told its distribution and scale and knows nothing of how they were
/// calibrated.
class Noise : public Layer {
 public:
  Noise(std::string name, kernels::Activation activation)
      : Layer(std::move(name)), activation_(activation) {}

  kernels::NoiseDistribution distribution = kernels::NoiseDistribution::none;
  double scale = 0.0;

  const kernels::Activation& activation() const { return activation_; }

  Shape output_shape(std::span<const Shape> x) const override { return x[0]; }
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  /// The noise itself does not depend on x: what is made of row i of dy is a share of the gradient
  /// in the row of x that row i of y is a draw of.
  bool gradient_in_place() const override { return true; }
  bool uses_up_gradient() const override { return !activation_.is_identity(); }
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;

 private:
  kernels::Activation activation_;
};

}  // namespace pixeldp::layers
