#pragma once

#include "kernels/batch_norm.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// y = activation(weight[c] * x + bias[c]) for the channels of x [N, ..., channels], or, with as
/// many channels as a row has values, for each value: the bias of a convolution, a batch
/// normalisation with statistics that stay, a factor. It begins as the identity.
class Affine : public Layer {
 public:
  struct Options {
    std::int64_t channels = 1;
    kernels::Activation activation = {};
    bool operator==(const Options&) const = default;
  };

  /// Throws an Error for fewer channels than 1 or more than 2^28.
  Affine(std::string name, const Options& options);

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  bool gradient_in_place() const override { return true; }
  bool uses_up_gradient() const override { return true; }
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  /// A scaling.
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;
  std::vector<const Parameter*> parameters() const override { return {&weight_, &bias_}; }

 private:
  kernels::BatchNormParams params(const Shape& x) const;

  Options options_;
  Parameter weight_, bias_;
};

}  // namespace pixeldp::layers
