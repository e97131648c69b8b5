#pragma once

#include "layers/layer.hpp"

namespace pixeldp::layers {

/// y = (x - mean) / max(deviation, 1 / sqrt(n)), mean and deviation those of all n values of the
/// image: TensorFlow's per_image_standardization. PixelDP's own networks go without, for what it
/// does to the sensitivity (pixeldp/sensitivity.hpp, standardise_norms).
class Standardise : public Layer {
 public:
  using Layer::Layer;

  Shape output_shape(std::span<const Shape> x) const override { return x[0]; }
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;
};

}  // namespace pixeldp::layers
