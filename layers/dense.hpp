#pragma once

#include "kernels/activation.hpp"
#include "kernels/dense.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// Fully connected layer with bias, followed by an activation. x [N, ...] is flattened to [N, in]
/// in NHWC order; y [N, out].
class Dense : public Layer {
 public:
  struct Options {
    std::int64_t in = 1, out = 1;
    kernels::Activation activation;
    kernels::Precision precision = kernels::Precision::fp32;  ///< in training
  };

  Dense(std::string name, const Options& options);

  std::string name() const override { return name_; }
  Shape output_shape(const Shape& input) const override;
  void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) override;
  void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved, Tensor& dy,
                Tensor* dx) override;
  std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                             kernels::Precision precision) const override;
  int plan(kernels::InferencePlan& plan, int x, const Shape& input) const override;
  std::vector<Parameter*> parameters() override { return {&weight_, &bias_}; }

  const Options& options() const { return options_; }
  const Parameter& weight() const { return weight_; }
  const Parameter& bias() const { return bias_; }
  Parameter& weight() { return weight_; }
  Parameter& bias() { return bias_; }

 private:
  kernels::DenseShape kernel_shape(const Shape& input) const;

  std::string name_;
  Options options_;
  Parameter weight_, bias_;
};

}  // namespace pixeldp::layers
