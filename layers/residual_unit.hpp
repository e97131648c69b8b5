#pragma once

#include "layers/batch_norm.hpp"
#include "layers/conv2d.hpp"
#include "layers/shortcut.hpp"

namespace pixeldp::layers {

/// The unit of wide residual networks, activations before convolutions (He et al., "Identity
/// mappings in deep residual networks", 2016):
///
///   a = activation(bn1(x)),  y = conv2(activation(bn2(conv1(a)))) + shortcut(x)
///
/// Convolutions are 3x3, the first with the stride; the shortcut takes means of stride x stride
/// pixels. The first unit of a network takes its shortcut from a.
class ResidualUnit : public Layer {
 public:
  struct Options {
    std::int64_t in_c = 1, out_c = 1, stride = 1;
    kernels::Activation activation;
    bool activate_shortcut = false;                           ///< it takes a
    kernels::Precision precision = kernels::Precision::fp32;  ///< in training
  };

  ResidualUnit(std::string name, const Options& options);

  std::string name() const override { return name_; }
  Shape output_shape(const Shape& input) const override { return shortcut_.output_shape(input); }
  void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) override;
  void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved, Tensor& dy,
                Tensor* dx) override;
  std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                             kernels::Precision precision) const override;
  int plan(kernels::InferencePlan& plan, int x, const Shape& input) const override;
  /// For the first unit of a network.
  std::unique_ptr<PreparedNoisy> prepare_noisy(const Stream& stream, const Shape& input,
                                               kernels::Precision precision) const override;
  std::vector<Parameter*> parameters() override;
  std::vector<LayerBuffer*> buffers() override;

  Conv2d& conv1() { return conv1_; }
  Conv2d& conv2() { return conv2_; }

 private:
  std::string name_;
  bool activate_shortcut_;
  BatchNorm bn1_, bn2_;
  Conv2d conv1_, conv2_;
  Shortcut shortcut_;
};

}  // namespace pixeldp::layers
