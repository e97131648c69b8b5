#include "layers/batch_norm.hpp"

#include "engine/error.hpp"
#include "kernels/elementwise.hpp"

namespace pixeldp::layers {
namespace {

// What is saved: of a pass in training mode, or of one in inference mode, whose zeros no other pass
// writes to.
enum : std::size_t { mean, invstd, workspace, training_tensors };
enum : std::size_t { scale, shift, zeros = training_tensors, inference_tensors };

}  // namespace

BatchNorm::BatchNorm(std::string name, const Options& options)
    : Layer(std::move(name)),
      options_(options),
      weight_(this->name() + ".weight", {options.channels}),
      bias_(this->name() + ".bias", {options.channels}),
      running_mean_(this->name() + ".running_mean", {options.channels}),
      running_variance_(this->name() + ".running_var", {options.channels}) {
  weight_.value.fill(1.0f);
  running_variance_.value.fill(1.0f);
  running_variance_.not_negative = true;
  weight_.decays = bias_.decays = false;
}

Shape BatchNorm::output_shape(std::span<const Shape> x) const {
  if (x[0][x[0].rank() - 1] != options_.channels) {
    fail("layer {} takes {} channels, not those of {}", name(), options_.channels, x[0].text());
  }
  return x[0];
}

kernels::BatchNormParams BatchNorm::params(const Shape& x) const {
  return {.rows = output_shape({&x, 1}).size() / options_.channels,
          .channels = options_.channels,
          .epsilon = options_.epsilon,
          .momentum = options_.momentum,
          .activation = options_.activation};
}

void BatchNorm::fold(const Stream& stream, Tensor& to_scale, Tensor& to_shift) const {
  const Shape channels = {options_.channels};
  to_scale.resize(channels, stream.device());
  to_shift.resize(channels, stream.device());
  kernels::fold_batch_norm(stream, params(channels), weight_.value.data(), bias_.value.data(),
                           running_mean_.value.data(), running_variance_.value.data(),
                           to_scale.data(), to_shift.data());
}

void BatchNorm::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
                        Saved& saved) {
  const Stream& stream = pass.stream;
  const kernels::BatchNormParams p = params(x[0]->shape());
  y.resize(x[0]->shape(), stream.device());
  if (by_running_statistics(pass)) {
    saved.resize(inference_tensors);
    fold(stream, saved[scale], saved[shift]);
    kernels::batch_norm_inference(stream, p, x[0]->data(), saved[scale].data(), saved[shift].data(),
                                  y.data());
    return;
  }
  saved.resize(training_tensors);
  for (const std::size_t statistic : {mean, invstd})
    saved[statistic].resize({options_.channels}, stream.device());
  saved[workspace].resize({kernels::batch_norm_workspace_size(p)}, stream.device());
  kernels::batch_norm_forward(stream, p, x[0]->data(), weight_.value.data(), bias_.value.data(),
                              running_mean_.value.data(), running_variance_.value.data(),
                              saved[mean].data(), saved[invstd].data(), y.data(),
                              saved[workspace].data());
}

void BatchNorm::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y,
                         Saved& saved, Tensor& dy, std::span<Tensor* const>) {
  const Stream& stream = pass.stream;
  kernels::BatchNormParams p = params(x[0]->shape());
  if (by_running_statistics(pass)) {
    kernels::activation_backward(stream, p.activation, y.size(), y.data(), dy.data());
    if (saved[zeros].empty() || saved[zeros].device() != stream.device())
      saved[zeros] = Tensor({options_.channels}, stream.device());
    p.activation = kernels::Activation::identity();
    kernels::batch_norm_inference(stream, p, dy.data(), saved[scale].data(), saved[zeros].data(),
                                  dy.data());
    return;
  }
  const auto gradient_of = [&](Parameter& parameter) -> float* {
    if (!pass.trains(parameter)) return nullptr;
    parameter.gradient.resize(parameter.value.shape(), stream.device());
    return parameter.gradient.data();
  };
  kernels::batch_norm_backward(stream, p, x[0]->data(), saved[mean].data(), saved[invstd].data(),
                               weight_.value.data(), bias_.value.data(), dy.data(), dy.data(),
                               gradient_of(weight_), gradient_of(bias_), saved[workspace].data());
}

kernels::InferenceStep BatchNorm::lower(const Stream& stream, std::span<const Shape> x) const {
  output_shape(x);
  // On the processor, wherever the parameters lie: the bits are the same.
  const auto on_host = [&](const NamedTensor& tensor) { return tensor.value.to(stream, Device()); };
  const Tensor weight = on_host(weight_), bias = on_host(bias_), of_mean = on_host(running_mean_),
               variance = on_host(running_variance_);
  const auto channels = static_cast<std::size_t>(options_.channels);
  std::vector<float> to_scale(channels), to_shift(channels);
  kernels::fold_batch_norm(Stream(), params(Shape{options_.channels}), weight.data(), bias.data(),
                           of_mean.data(), variance.data(), to_scale.data(), to_shift.data());
  return {.kind = kernels::InferenceStep::Kind::scaling,
          .name = name(),
          .activation = options_.activation,
          .outputs = options_.channels,
          .scale = std::move(to_scale),
          .shift = std::move(to_shift)};
}

}  // namespace pixeldp::layers
