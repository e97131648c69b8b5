#pragma once

#include "kernels/activation.hpp"
#include "kernels/convolution.hpp"
#include "layers/layer.hpp"

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

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  std::uint16_t* rounded_x(const Pass& pass, const Shape& x, Saved& saved) override;
  std::int64_t rounded_dy_size(const Pass& pass, const Saved& saved) const override;
  bool uses_up_gradient() const override { return !options_.activation.is_identity(); }
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;
  std::vector<const Parameter*> parameters() const override { return {&weight_}; }

  const Options& options() const { return options_; }
  Parameter& weight() { return weight_; }
  const Parameter& weight() const { return weight_; }
  /// The kernel's shape for this input.
  kernels::Conv2dShape kernel_shape(const Shape& x) const;

 private:
  kernels::Padding padding(std::int64_t extent) const;
  kernels::TrainingProduct* product(const Pass& pass, const Shape& x, Saved& saved) const;

  Options options_;
  Parameter weight_;
};

}  // namespace pixeldp::layers
