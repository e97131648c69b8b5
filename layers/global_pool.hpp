#pragma once

#include "layers/layer.hpp"

namespace pixeldp::layers {

/// The mean over the pixels of each channel: x [N, H, W, C] -> y [N, C].
class GlobalAveragePool : public Layer {
 public:
  explicit GlobalAveragePool(std::string name) : name_(std::move(name)) {}

  std::string name() const override { return name_; }
  Shape output_shape(const Shape& input) const override;
  void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) override;
  void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved, Tensor& dy,
                Tensor* dx) override;
  std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                             kernels::Precision precision) const override;
  int plan(kernels::InferencePlan& plan, int x, const Shape& input) const override;

 private:
  std::string name_;
};

}  // namespace pixeldp::layers
