#pragma once

#include "layers/layer.hpp"

namespace pixeldp::layers {

/// The mean over the pixels of each channel: x [N, H, W, C] -> y [N, C].
class GlobalAveragePool : public Layer {
 public:
  using Layer::Layer;

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;
};

}  // namespace pixeldp::layers
