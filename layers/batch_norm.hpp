#pragma once

#include "kernels/batch_norm.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// Batch normalisation of the channels of x [N, H, W, channels] or [N, channels], followed by an
/// activation. In training mode by the statistics of the batch, which the running ones follow; in
/// inference mode by those.
class BatchNorm : public Layer {
 public:
  struct Options {
    std::int64_t channels = 1;
    float epsilon = 1e-3f;  ///< these two are those of TensorFlow's wide ResNet
    float momentum = 0.9f;  ///< what the running statistics keep of themselves
    kernels::Activation activation;
  };

  BatchNorm(std::string name, const Options& options);

  std::string name() const override { return name_; }
  Shape output_shape(const Shape& input) const override;
  void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) override;
  /// dx may be dy.
  void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved, Tensor& dy,
                Tensor* dx) override;
  std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                             kernels::Precision precision) const override;
  int plan(kernels::InferencePlan& plan, int x, const Shape& input) const override;
  std::vector<Parameter*> parameters() override { return {&weight_, &bias_}; }
  std::vector<LayerBuffer*> buffers() override { return {&running_mean_, &running_variance_}; }

  const Options& options() const { return options_; }

  /// What the layer does to channels in inference mode, before the activation: y = scale * x +
  /// shift, both in the memory of the stream's device.
  void fold(const Stream& stream, Tensor& scale, Tensor& shift) const;

  /// The layer as a step of a plan, for what can do it along with something else.
  kernels::InferenceStep planned(int x) const;

 private:
  kernels::BatchNormParams params(const Shape& input) const;

  std::string name_;
  Options options_;
  Parameter weight_, bias_;
  LayerBuffer running_mean_, running_variance_;
};

/// y = activation(scale * x + shift) for channels, prepared.
class PreparedScaling : public kernels::Prepared {
 public:
  PreparedScaling(const Stream& stream, const kernels::BatchNormParams& params, Tensor scale,
                  Tensor shift)
      : stream_(stream), params_(params), scale_(std::move(scale)), shift_(std::move(shift)) {}
  void run(const float* x, float* y, const float*) const override {
    kernels::batch_norm_inference(stream_, params_, x, scale_.data(), shift_.data(), y);
  }

 private:
  Stream stream_;
  kernels::BatchNormParams params_;
  Tensor scale_, shift_;
};

}  // namespace pixeldp::layers
