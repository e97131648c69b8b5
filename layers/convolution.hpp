#pragma once

#include "kernels/grouped_convolution.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// A convolution of any kind, without bias or activation: rectangular kernels and strides, padding
/// of every side, dilation, groups (kernels/grouped_convolution.hpp). What kernels/convolution.hpp
/// describes is calculated as Conv2d is, on every device; the rest is trained on processors only.
class Convolution : public Layer {
 public:
  /// Throws an Error for what is no convolution.
  Convolution(std::string name, const kernels::GroupedConv2dShape& shape);

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;
  std::vector<const Parameter*> parameters() const override { return {&weight_}; }

 private:
  kernels::Conv2dShape plain_shape(std::int64_t rows) const;

  kernels::GroupedConv2dShape shape_;
  Parameter weight_;
};

}  // namespace pixeldp::layers
