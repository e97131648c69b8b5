#include "layers/batch_norm.hpp"

#include "engine/error.hpp"
#include "kernels/elementwise.hpp"

namespace pixeldp::layers {
namespace {

// What Saved holds: of a pass in training mode, or of one in inference mode.
enum : std::size_t { mean, invstd, workspace, training_tensors };
enum : std::size_t { scale, shift, zeros, inference_tensors };

}  // namespace

BatchNorm::BatchNorm(std::string name, const Options& options)
    : name_(std::move(name)),
      options_(options),
      weight_(name_ + ".weight", {options.channels}),
      bias_(name_ + ".bias", {options.channels}),
      running_mean_(name_ + ".running_mean", {options.channels}),
      running_variance_(name_ + ".running_var", {options.channels}) {
  weight_.value.fill(1.0f);
  running_variance_.value.fill(1.0f);
  running_variance_.not_negative = true;
  weight_.decays = bias_.decays = false;
}

Shape BatchNorm::output_shape(const Shape& input) const {
  if (input[input.rank() - 1] != options_.channels) {
    fail("layer {} takes {} channels, not those of {}", name_, options_.channels, input.text());
  }
  return input;
}

kernels::BatchNormParams BatchNorm::params(const Shape& input) const {
  return {.rows = output_shape(input).size() / options_.channels,
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

void BatchNorm::forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) {
  const kernels::BatchNormParams p = params(x.shape());
  y.resize(x.shape(), stream.device());
  if (saved.mode == Mode::inference) {
    saved.hold(inference_tensors);
    fold(stream, saved.tensors[scale], saved.tensors[shift]);
    kernels::batch_norm_inference(stream, p, x.data(), saved.tensors[scale].data(),
                                  saved.tensors[shift].data(), y.data());
    return;
  }
  saved.hold(training_tensors);
  auto& kept = saved.tensors;
  for (const std::size_t statistic : {mean, invstd})
    kept[statistic].resize({options_.channels}, stream.device());
  kept[workspace].resize({kernels::batch_norm_workspace_size(p)}, stream.device());
  kernels::batch_norm_forward(stream, p, x.data(), weight_.value.data(), bias_.value.data(),
                              running_mean_.value.data(), running_variance_.value.data(),
                              kept[mean].data(), kept[invstd].data(), y.data(),
                              kept[workspace].data());
}

void BatchNorm::backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved,
                         Tensor& dy, Tensor* dx) {
  kernels::BatchNormParams p = params(x.shape());
  auto& kept = saved.tensors;
  if (saved.mode == Mode::inference) {
    if (!dx) return;
    dx->resize(x.shape(), stream.device());
    kernels::activation_backward(stream, p.activation, y.size(), y.data(), dy.data());
    if (kept[zeros].empty() || kept[zeros].device() != stream.device())
      kept[zeros] = Tensor({options_.channels}, stream.device());
    p.activation = kernels::Activation::identity();
    kernels::batch_norm_inference(stream, p, dy.data(), kept[scale].data(), kept[zeros].data(),
                                  dx->data());
    return;
  }
  for (Parameter* parameter : parameters())
    parameter->gradient.resize(parameter->value.shape(), stream.device());
  if (!dx) dx = &dy;  // it is used up anyway
  dx->resize(x.shape(), stream.device());
  kernels::batch_norm_backward(stream, p, x.data(), kept[mean].data(), kept[invstd].data(),
                               weight_.value.data(), bias_.value.data(), dy.data(), dx->data(),
                               weight_.gradient.data(), bias_.gradient.data(),
                               kept[workspace].data());
}

std::unique_ptr<kernels::Prepared> BatchNorm::prepare(const Stream& stream, const Shape& input,
                                                      kernels::Precision) const {
  Tensor to_scale, to_shift;
  fold(stream, to_scale, to_shift);
  return std::make_unique<PreparedScaling>(stream, params(input), std::move(to_scale),
                                           std::move(to_shift));
}

int BatchNorm::plan(kernels::InferencePlan& plan, int x, const Shape& input) const {
  output_shape(input);
  return plan.add(planned(x));
}

kernels::InferenceStep BatchNorm::planned(int x) const {
  Tensor scale, shift;
  fold(Stream(), scale, shift);
  const auto values = [](const Tensor& t) {
    return std::vector<float>(t.values().begin(), t.values().end());
  };
  return {.kind = kernels::InferenceStep::Kind::scaling,
          .name = name_,
          .input = x,
          .activation = options_.activation,
          .outputs = options_.channels,
          .scale = values(scale),
          .shift = values(shift)};
}

}  // namespace pixeldp::layers
