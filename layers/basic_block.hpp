#pragma once

#include "layers/batch_norm.hpp"
#include "layers/conv2d.hpp"
#include "layers/shortcut.hpp"

namespace pixeldp::layers {

/// The block of the first residual networks (He et al., "Deep residual learning", 2015) with the
/// shortcut of option A and PyTorch's padding and batch normalisation:
///
///   y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))
///
/// Convolutions are 3x3, the first with the stride; the shortcut takes every stride-th pixel.
class BasicBlock : public Layer {
 public:
  struct Options {
    std::int64_t in_c = 1, out_c = 1, stride = 1;
    kernels::Precision precision = kernels::Precision::fp32;  ///< in training
  };

  static constexpr float epsilon = 1e-5f;  ///< of the batch normalisations

  BasicBlock(std::string name, const Options& options);

  std::string name() const override { return name_; }
  Shape output_shape(const Shape& input) const override { return shortcut_.output_shape(input); }
  void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) override;
  void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved, Tensor& dy,
                Tensor* dx) override;
  std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                             kernels::Precision precision) const override;
  int plan(kernels::InferencePlan& plan, int x, const Shape& input) const override;
  std::vector<Parameter*> parameters() override;
  std::vector<LayerBuffer*> buffers() override;

  Conv2d& conv1() { return conv1_; }
  Conv2d& conv2() { return conv2_; }

 private:
  std::string name_;
  Conv2d conv1_, conv2_;
  BatchNorm bn1_, bn2_;
  Shortcut shortcut_;
};

}  // namespace pixeldp::layers
