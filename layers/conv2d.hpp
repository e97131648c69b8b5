#pragma once

#include "kernels/activation.hpp"
#include "kernels/convolution.hpp"
#include "layers/batch_norm.hpp"

namespace pixeldp::layers {

/// Convolution without bias, followed by an activation.
/// x [N, H, W, in_c] -> y [N, ceil(H/stride), ceil(W/stride), out_c].
class Conv2d : public Layer {
 public:
  struct Options {
    std::int64_t in_c = 1, out_c = 1, kernel = 3, stride = 1;
    kernels::Activation activation;
    kernels::Precision precision = kernels::Precision::fp32;  ///< in training
    /// Zeros around the image: kernel / 2 before it whatever the stride, as PyTorch has them, or as
    /// TensorFlow's SAME does, which only differs for strides above 1.
    bool centred = false;
  };

  Conv2d(std::string name, const Options& options);

  std::string name() const override { return name_; }
  Shape output_shape(const Shape& input) const override;
  void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) override;
  void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved, Tensor& dy,
                Tensor* dx) override;
  std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                             kernels::Precision precision) const override;
  int plan(kernels::InferencePlan& plan, int x, const Shape& input) const override;
  /// prepare, with this after the products in place of the activation.
  std::unique_ptr<kernels::Prepared> prepare_with(const Stream& stream, const Shape& input,
                                                  const kernels::Conv2dEpilogue& epilogue,
                                                  kernels::Precision precision) const;
  /// The layer as a step of a plan, with a batch normalisation and its activation, and a value to
  /// add, after the products.
  kernels::InferenceStep planned(int x, const Shape& input, const BatchNorm* norm = nullptr,
                                 int residual = -1) const;
  std::vector<Parameter*> parameters() override { return {&weight_}; }

  const Options& options() const { return options_; }
  Parameter& weight() { return weight_; }
  const Parameter& weight() const { return weight_; }
  /// The kernel's shape for this input.
  kernels::Conv2dShape kernel_shape(const Shape& input) const;

 private:
  kernels::Padding padding(std::int64_t extent) const;

  std::string name_;
  Options options_;
  Parameter weight_;
};

}  // namespace pixeldp::layers
