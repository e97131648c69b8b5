#pragma once

#include "kernels/batch_norm.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// Batch normalisation of the channels of x [N, H, W, channels] or [N, channels], followed by an
/// activation. In training mode by the statistics of the batch, which the running ones follow: of
/// its rows in this process, or of those of all ranks where the pass names them. In inference mode,
/// or where the running ones are frozen, and all parameters with them, by those.
class BatchNorm : public Layer {
 public:
  struct Options {
    std::int64_t channels = 1;
    float epsilon = 1e-3f;  ///< these two are those of TensorFlow's wide ResNet
    float momentum = 0.9f;  ///< what the running statistics keep of themselves
    kernels::Activation activation;
  };

  BatchNorm(std::string name, const Options& options);

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  bool rounds(const Pass& pass) const override;
  bool gradient_in_place() const override { return true; }
  bool uses_up_gradient() const override { return true; }
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  /// A scaling by the running statistics.
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;
  std::vector<const Parameter*> parameters() const override { return {&weight_, &bias_}; }
  std::vector<const LayerBuffer*> buffers() const override {
    return {&running_mean_, &running_variance_};
  }

 private:
  kernels::BatchNormParams params(const Shape& x) const;
  bool by_running_statistics(const Pass& pass) const {
    return pass.mode == Mode::inference || running_mean_.frozen;
  }
  /// The statistics of a batch of which every rank has rows, from those of this rank's.
  void statistics_over_ranks(const Pass& pass, const kernels::BatchNormParams& params,
                             const Tensor& x, Saved& saved);
  /// What the layer does to channels in inference mode, before the activation: y = scale * x +
  /// shift.
  void fold(const Stream& stream, Tensor& scale, Tensor& shift) const;

  Options options_;
  Parameter weight_, bias_;
  LayerBuffer running_mean_, running_variance_;
};

}  // namespace pixeldp::layers
