#include "bench/network.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "bench/timing.hpp"
#include "layers/networks/autoencoder.hpp"
#include "pixeldp/quantisation.hpp"

namespace pixeldp::bench {

using kernels::Precision;

layers::Network noisy_network(const layers::NetworkSpec& spec) {
  layers::Network net = layers::make_network(spec, 1);
  net.noise->distribution = kernels::NoiseDistribution::gaussian;
  net.noise->scale = 0.2537;
  return net;
}

layers::NetworkSpec mnist_cnn_spec() { return {.rescale_prefix = true}; }

layers::NetworkSpec wide_resnet_spec(std::int64_t depth, std::int64_t widening) {
  return {.architecture = "wide-resnet",
          .height = 32,
          .width = 32,
          .channels = 3,
          .depth = depth,
          .widening = widening};
}
layers::NetworkSpec wide_resnet_spec(const Options& options) {
  return wide_resnet_spec(options.depth, options.widening);
}

layers::NetworkSpec resnet_spec(std::int64_t depth) {
  return {.architecture = "resnet",
          .height = 32,
          .width = 32,
          .channels = 3,
          .noise_after_layers = 0,
          .depth = depth,
          .input_mean = {0.485, 0.456, 0.406},
          .input_deviation = {0.229, 0.224, 0.225}};
}

layers::NetworkSpec inception_spec() {
  return {.architecture = "inception-v3",
          .height = 299,
          .width = 299,
          .channels = 3,
          .classes = 1000,
          .noise_after_layers = 0};
}

layers::NetworkSpec autoencoder_spec(int noise_after_layers) {
  layers::NetworkSpec spec = inception_spec();
  spec.classifier = {spec};
  spec.architecture = "autoencoder";
  spec.noise_after_layers = noise_after_layers;
  spec.encoder = layers::usual_encoder(spec.height, spec.width);
  return spec;
}

std::string wide_resnet_name(std::int64_t depth, std::int64_t widening) {
  return fmt::format("WRN-{}-{}", depth, widening);
}
std::string wide_resnet_name(const Options& options) {
  return wide_resnet_name(options.depth, options.widening);
}

std::vector<Precision> precisions() {
  std::vector<Precision> there;
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8})
    if (kernels::inference_obstacle(precision).empty()) there.push_back(precision);
  return there;
}

Quantisation some_scales(const layers::Network& net) {
  Quantisation made;
  const kernels::NetworkPlan plan = lower(Stream(), net);
  for (const kernels::InferenceStep& step : plan.body.steps)
    if (step.multiplies()) made.scales[step.name] = 0.03f;
  return made;
}

Draws::Draws(const layers::Network& net, Precision precision,
             std::optional<kernels::Algorithm> algorithm)
    : image_size_(net.input().row_size()),
      scales_(some_scales(net)),
      sampler_(Stream(), net, 0, {precision, &scales_, algorithm}) {}

double Draws::operator()(std::int64_t images, std::int64_t draws) {
  const auto run = [&] {
    sampler_.run(
        images, {.seed = 1, .count = static_cast<std::uint32_t>(draws)},
        [&](std::int64_t image, float* pixels) {
          std::fill_n(pixels, image_size_, 0.1f);
          return static_cast<std::uint32_t>(image);
        },
        [](std::int64_t, const ScoreStatistics&) { return true; });
  };
  return seconds(run) / static_cast<double>(images * draws);
}

Rows::Rows(const layers::Network& net, Precision precision, std::int64_t rows,
           std::optional<kernels::Algorithm> algorithm)
    : rows_(rows),
      plan_(lower(Stream(), net).body),
      x_(Shape{rows, plan_.sizes.front()}),
      y_(Shape{rows, plan_.sizes.back()}) {
  const Quantisation scales = some_scales(net);
  inference_ = kernels::prepare_inference(plan_, precision, scales_of(plan_, precision, &scales),
                                          algorithm_on({}, algorithm));
  workspace_ = Memory({}, static_cast<std::size_t>(inference_->workspace_size()));
  x_.fill(0.1f);
}

double Rows::operator()() {
  const auto run = [&] { inference_->run(rows_, x_.data(), y_.data(), workspace_.data()); };
  return seconds(run) / static_cast<double>(rows_);
}

}  // namespace pixeldp::bench
