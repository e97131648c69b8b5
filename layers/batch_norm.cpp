#include "layers/batch_norm.hpp"

#include "engine/communicator.hpp"
#include "engine/error.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/formulas/batch_norm.hpp"

namespace pixeldp::layers {
namespace {

// What is saved, for passes in training mode and in inference mode by turns, whose zeros no other
// pass writes to.
enum : std::size_t { mean, invstd, workspace, variance, zeros, saved_tensors };
enum : std::size_t { scale = mean, shift = invstd };

/// Two statistics of each channel, in memory of the stream's device, of every rank: those of rank r
/// begin at r * 2 * channels.
std::vector<float> of_all_ranks(const Pass& pass, std::int64_t channels, const float* first,
                                const float* second) {
  const auto count = static_cast<std::size_t>(channels);
  std::vector<float> mine(2 * count),
      all(mine.size() * static_cast<std::size_t>(pass.ranks->size()));
  for (const float* const statistic : {first, second})
    copy_memory(pass.stream, mine.data() + (statistic == first ? 0 : count), {}, statistic,
                pass.stream.device(), count * sizeof(float));
  pass.ranks->all_gather(mine.data(), mine.size() * sizeof(float), all.data());
  return all;
}

/// The mean over the ranks, added up in their order, of what `of` says of each.
template <class Of>
double mean_over(const Communicator& ranks, Of of) {
  double sum = 0.0;
  for (int rank = 0; rank < ranks.size(); ++rank) sum += of(static_cast<std::size_t>(rank));
  return sum / ranks.size();
}

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

bool BatchNorm::rounds(const Pass& pass) const {
  constexpr std::int64_t chunk = 8;  // of channels of a product, which are not filled up here
  return pass.stream.device().kind != DeviceKind::cpu && !by_running_statistics(pass) &&
         options_.channels % chunk == 0;
}

void BatchNorm::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
                        Saved& saved) {
  const Stream& stream = pass.stream;
  const kernels::BatchNormParams p = params(x[0]->shape());
  y.resize(x[0]->shape(), stream.device());
  if (by_running_statistics(pass)) {
    saved.resize(saved_tensors);
    fold(stream, saved[scale], saved[shift]);
    kernels::batch_norm_inference(stream, p, x[0]->data(), saved[scale].data(), saved[shift].data(),
                                  y.data());
    return;
  }
  saved.resize(saved_tensors);
  for (const std::size_t statistic : {mean, invstd})
    saved[statistic].resize({options_.channels}, stream.device());
  saved[workspace].resize({kernels::batch_norm_workspace_size(p)}, stream.device());
  if (pass.ranks)
    statistics_over_ranks(pass, p, *x[0], saved);
  else
    kernels::batch_norm_statistics(stream, p, x[0]->data(), running_mean_.value.data(),
                                   running_variance_.value.data(), saved[mean].data(),
                                   saved[invstd].data(), saved[workspace].data());
  kernels::batch_norm_normalise(stream, p, x[0]->data(), saved[mean].data(), saved[invstd].data(),
                                weight_.value.data(), bias_.value.data(),
                                pass.rounded_y.alone ? nullptr : y.data(), pass.rounded_y.values);
}

void BatchNorm::statistics_over_ranks(const Pass& pass, const kernels::BatchNormParams& params,
                                      const Tensor& x, Saved& saved) {
  const Stream& stream = pass.stream;
  // Running statistics that keep nothing of the zeros they were are those of these rows.
  kernels::BatchNormParams of_rows = params;
  of_rows.momentum = 0.0f;
  saved[variance].resize({params.channels}, stream.device());
  const auto channels = static_cast<std::size_t>(params.channels);
  zero_memory(stream, saved[variance].data(), channels * sizeof(float));
  kernels::batch_norm_statistics(stream, of_rows, x.data(), nullptr, saved[variance].data(),
                                 saved[mean].data(), saved[invstd].data(), saved[workspace].data());
  const std::vector<float> all =
      of_all_ranks(pass, params.channels, saved[mean].data(), saved[variance].data());
  Tensor to_mean(Shape{params.channels}), to_invstd(Shape{params.channels});
  Tensor running_mean = running_mean_.value.to(stream, Device()),
         running_variance = running_variance_.value.to(stream, Device());
  for (std::size_t c = 0; c < channels; ++c) {
    const auto mean_of = [&](std::size_t r) { return double{all[2 * r * channels + c]}; };
    const double of_batch = mean_over(*pass.ranks, mean_of);
    const auto squares_of = [&](std::size_t r) {
      const double distance = mean_of(r) - of_batch;
      return all[(2 * r + 1) * channels + c] + distance * distance;
    };
    const auto batch_variance = static_cast<float>(mean_over(*pass.ranks, squares_of));
    const auto set = [&](Tensor& tensor, float value) { tensor.data()[c] = value; };
    const auto follow = [&](Tensor& running, float batch) {
      set(running, kernels::update_running(params.momentum, running.data()[c], batch));
    };
    set(to_mean, static_cast<float>(of_batch));
    set(to_invstd, kernels::inverse_deviation(batch_variance, params.epsilon));
    follow(running_mean, to_mean.data()[c]);
    follow(running_variance, batch_variance);
  }
  saved[mean].copy_from(stream, to_mean);
  saved[invstd].copy_from(stream, to_invstd);
  running_mean_.value.copy_from(stream, running_mean);
  running_variance_.value.copy_from(stream, running_variance);
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
  float* const sums = saved[workspace].data();
  kernels::batch_norm_gradient_sums(stream, p, x[0]->data(), saved[mean].data(),
                                    saved[invstd].data(), weight_.value.data(), bias_.value.data(),
                                    dy.data(), gradient_of(weight_), gradient_of(bias_), sums);
  if (pass.ranks) {
    const auto count = static_cast<std::size_t>(2 * p.channels);
    const std::vector<float> all = of_all_ranks(pass, p.channels, sums, sums + p.channels);
    std::vector<float> of_batch;
    for (std::size_t i = 0; i < count; ++i)
      of_batch.push_back(static_cast<float>(
          mean_over(*pass.ranks, [&](std::size_t r) { return double{all[r * count + i]}; })));
    copy_memory(stream, sums, stream.device(), of_batch.data(), {}, count * sizeof(float));
  }
  kernels::batch_norm_input_gradient(stream, p, x[0]->data(), saved[mean].data(),
                                     saved[invstd].data(), weight_.value.data(), bias_.value.data(),
                                     sums, dy.data(), pass.rounded_dx.alone ? nullptr : dy.data(),
                                     pass.rounded_dx.values);
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
