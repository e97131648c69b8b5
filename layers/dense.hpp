#pragma once

#include "kernels/activation.hpp"
#include "kernels/dense.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// Fully connected layer with bias, followed by an activation. x [N, ...] is flattened to [N, in]
/// in NHWC order; y [N, out].
class Dense : public Layer {
 public:
  struct Options {
    std::int64_t in = 1, out = 1;
    kernels::Activation activation;
    kernels::Precision precision = kernels::Precision::fp32;  ///< in training
  };

  Dense(std::string name, const Options& options);

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  bool uses_up_gradient() const override { return !options_.activation.is_identity(); }
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;
  std::vector<const Parameter*> parameters() const override { return {&weight_, &bias_}; }

  const Options& options() const { return options_; }
  const Parameter& weight() const { return weight_; }
  const Parameter& bias() const { return bias_; }
  Parameter& weight() { return weight_; }
  Parameter& bias() { return bias_; }

 private:
  kernels::DenseShape kernel_shape(const Shape& x) const;

  Options options_;
  Parameter weight_, bias_;
};

}  // namespace pixeldp::layers
