#pragma once

#include "kernels/activation.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// y = activation(x[0] + x[1]), of the same shape.
class Add : public Layer {
 public:
  Add(std::string name, kernels::Activation activation)
      : Layer(std::move(name)), activation_(activation) {}

  std::size_t operands() const override { return 2; }
  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  bool gradient_in_place() const override { return true; }
  bool uses_up_gradient() const override { return !activation_.is_identity(); }
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;

 private:
  kernels::Activation activation_;
};

}  // namespace pixeldp::layers
