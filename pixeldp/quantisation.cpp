#include "pixeldp/quantisation.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "pixeldp/precision.hpp"

namespace pixeldp {

Quantisation quantise(const Model& model, const Dataset& dataset, std::int64_t images,
                      std::uint64_t seed) {
  check_images_fit(model, dataset);
  if (images < 1 || images > dataset.size())
    fail_usage("{} images are not from 1 to the {} of {} ({})", images, dataset.size(),
               dataset.name, dataset.split);
  const Stream stream;
  const kernels::NetworkPlan network = lower(stream, model.network);
  const kernels::InferencePlan& plan = network.body;
  const auto prefix = kernels::prepare_inference(network.prefix, kernels::Precision::fp32);
  const auto body = kernels::prepare_inference(plan, kernels::Precision::fp32);

  constexpr std::int64_t batch = 64;
  const std::int64_t noise_size = network.noise_size();
  Tensor image(Shape{1, network.image_size()}), clean(Shape{batch, noise_size}),
      noisy(clean.shape());
  Tensor features(Shape{batch, plan.sizes.back()});
  const Memory workspace(
      {}, static_cast<std::size_t>(std::max(prefix->workspace_size(), body->workspace_size())));
  std::vector<float> largest(plan.steps.size(), 0.0f);
  const auto observe = [&](std::size_t step, std::span<const float> values) {
    for (const float value : values) {
      if (!std::isfinite(value))
        fail("layer {} reads a value that is not finite: no scale can hold it",
             plan.steps[step].name);
      largest[step] = std::max(largest[step], std::abs(value));
    }
  };
  for (std::int64_t first = 0; first < images; first += batch) {
    if (interrupted()) fail_interrupted("interrupted; the model is as it was, start again");
    const std::int64_t count = std::min(batch, images - first);
    std::vector<kernels::NoiseRow> rows;
    for (std::int64_t i = 0; i < count; ++i) {
      to_float(dataset, first + i, first + i + 1, image.data(),
               static_cast<float>(model.pixel_shift));
      prefix->run(1, image.data(), clean.row(i), workspace.data());
      rows.push_back({.source = i, .image = dataset.image_id(first + i), .draw = 0});
    }
    kernels::add_noise(stream, network.noise(seed, StreamTag::quantisation), rows.data(), count,
                       noise_size, clean.data(), noisy.data());
    body->run(count, noisy.data(), features.data(), workspace.data(), observe);
  }

  Quantisation result{.scales = {}, .images = images, .seed = seed};
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    if (!plan.steps[i].multiplies()) continue;
    const float scale = largest[i] / 127.0f;
    if (!std::isnormal(scale))
      fail("layer {} reads nothing larger than {} in any of {} images: it has no scale",
           plan.steps[i].name, largest[i], images);
    result.scales[plan.steps[i].name] = scale;
  }
  return result;
}

std::vector<float> scales_of(const kernels::InferencePlan& plan, kernels::Precision precision,
                             const Quantisation* quantisation) {
  if (precision != kernels::Precision::int8) return {};
  if (!quantisation) fail("the model has no scales for int8: 'pixeldp quantise RUN' makes them");
  std::vector<float> scales(plan.steps.size(), 0.0f);
  std::size_t used = 0;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    if (!plan.steps[i].multiplies()) continue;
    const auto found = quantisation->scales.find(plan.steps[i].name);
    if (found == quantisation->scales.end())
      fail("the model's scales for int8 lack that of layer {}: 'pixeldp quantise RUN' makes them",
           plan.steps[i].name);
    scales[i] = found->second;
    ++used;
  }
  if (used != quantisation->scales.size())
    fail(
        "the model has {} scales for int8, but {} layers that take one: 'pixeldp quantise RUN' "
        "makes them",
        quantisation->scales.size(), used);
  return scales;
}

}  // namespace pixeldp
