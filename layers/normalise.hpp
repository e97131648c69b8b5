#pragma once

#include "layers/layer.hpp"

namespace pixeldp::layers {

/// y = (x - mean) / deviation for the channels of images, with constants that are part of the
/// network's description and never trained.
class Normalise : public Layer {
 public:
  /// As many means as deviations, which are above 0.
  Normalise(std::string name, std::span<const double> mean, std::span<const double> deviation);

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  bool gradient_in_place() const override { return true; }
  bool uses_up_gradient() const override { return true; }
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;
  std::vector<const LayerBuffer*> buffers() const override { return {&scale_, &shift_, &zeros_}; }

  /// max 1 / deviation, as it is calculated with.
  double largest_scale(const Stream& stream) const;

 private:
  LayerBuffer scale_, shift_, zeros_;  // none of them saved
};

}  // namespace pixeldp::layers
