#pragma once

#include "layers/layer.hpp"

namespace pixeldp::layers {

/// y = (x - mean) / max(deviation, 1 / sqrt(n)), mean and deviation those of all n values of the
/// image: TensorFlow's per_image_standardization. PixelDP's own networks go without, for what it
/// does to the sensitivity (pixeldp/sensitivity.hpp, standardise_norms).
class Standardise : public Layer {
 public:
  explicit Standardise(std::string name) : name_(std::move(name)) {}

  std::string name() const override { return name_; }
  Shape output_shape(const Shape& input) const override { return input; }
  void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) override;
  void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved, Tensor& dy,
                Tensor* dx) override;
  std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                             kernels::Precision precision) const override;

 private:
  std::string name_;
};

}  // namespace pixeldp::layers
