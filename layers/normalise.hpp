#pragma once

#include <span>

#include "layers/layer.hpp"

namespace pixeldp::layers {

/// y = (x - mean) / deviation for the channels of images, with constants that are part of the
/// network's description and never trained.
class Normalise : public Layer {
 public:
  /// As many means as deviations, which are above 0.
  Normalise(std::string name, std::span<const double> mean, std::span<const double> deviation);

  std::string name() const override { return name_; }
  Shape output_shape(const Shape& input) const override;
  void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) override;
  void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved, Tensor& dy,
                Tensor* dx) override;
  std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                             kernels::Precision precision) const override;
  int plan(kernels::InferencePlan& plan, int x, const Shape& input) const override;
  std::vector<LayerBuffer*> buffers() override { return {&scale_, &shift_, &zeros_}; }

  /// max 1 / deviation, as it is calculated with.
  double largest_scale() const;

 private:
  std::string name_;
  LayerBuffer scale_, shift_, zeros_;  // none of them saved
};

}  // namespace pixeldp::layers
