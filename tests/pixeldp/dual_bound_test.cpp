#include "pixeldp/dual_bound.hpp"

#include <algorithm>
#include <cmath>

#include "engine/philox.hpp"
#include "layers/conv2d.hpp"
#include "layers/networks/network_spec.hpp"
#include "layers/training_pass.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

constexpr PixelRange centred{-0.5f};

/// Pictures of 1 x 2 pixels in three classes: a convolution, and two dense layers.
layers::Network tiny_network(std::uint64_t seed) {
  constexpr auto relu = kernels::Activation::relu();
  layers::Network net;
  net.architecture = "tiny";
  net.graph = layers::Graph({1, 1, 2, 1});
  layers::Value x = net.graph.add(
      std::make_unique<layers::Conv2d>(
          "conv1", layers::Conv2d::Options{.out_c = 3, .kernel = 1, .activation = relu}),
      {0});
  auto noise = std::make_unique<layers::Noise>("noise", kernels::Activation::identity());
  net.noise = noise.get();
  x = net.graph.add(std::move(noise), {x});
  x = net.graph.add(std::make_unique<layers::Dense>(
                        "fc1", layers::Dense::Options{.in = 6, .out = 4, .activation = relu}),
                    {x});
  auto head = std::make_unique<layers::Dense>(
      "fc2",
      layers::Dense::Options{.in = 4, .out = 3, .activation = kernels::Activation::identity()});
  net.head = head.get();
  net.graph.add(std::move(head), {x});
  std::uint32_t at = 0;
  for (layers::Parameter* parameter : net.parameters())
    for (float& value : parameter->value.values())
      value = static_cast<float>(Philox::generate({at++, 0, 0, 0}, seed)[0] * 0x1p-31 - 1.0);
  return net;
}

std::vector<float> margins_of(layers::Network& net, const Tensor& pictures, std::int32_t label) {
  layers::TrainingPass pass(net);
  std::vector<kernels::NoiseRow> rows;
  for (std::int64_t i = 0; i < pictures.rows(); ++i) rows.push_back({.source = i});
  const Tensor& z = pass.forward(Stream(), layers::Mode::inference, pictures, {.rows = rows});
  std::vector<float> margins;
  for (std::int64_t i = 0; i < z.rows(); ++i)
    for (std::int64_t c = 0; c < net.classes(); ++c)
      margins.push_back(z.row(i)[label] - z.row(i)[c]);
  return margins;
}

/// The least margins of all pictures on a grid of a box around an image, clipped to the pixels.
std::vector<float> least_margins(layers::Network& net, const float* image, std::int32_t label,
                                 double size) {
  constexpr int steps = 80;
  Tensor pictures({(steps + 1) * (steps + 1), 1, 2, 1});
  for (int i = 0; i <= steps; ++i)
    for (int j = 0; j <= steps; ++j) {
      float* const picture = pictures.row(i * (steps + 1) + j);
      const double shift[] = {2.0 * i / steps - 1.0, 2.0 * j / steps - 1.0};
      for (int p = 0; p < 2; ++p)
        picture[p] = static_cast<float>(std::clamp(image[p] + shift[p] * size, -0.5, 0.5));
    }
  const std::vector<float> all = margins_of(net, pictures, label);
  std::vector<float> least(static_cast<std::size_t>(net.classes()), INFINITY);
  for (std::size_t i = 0; i < all.size(); ++i)
    least[i % least.size()] = std::min(least[i % least.size()], all[i]);
  return least;
}

Tensor some_images() {
  Tensor images({3, 1, 2, 1});
  const float pixels[] = {0.1f, -0.2f, 0.48f, -0.45f, -0.3f, 0.3f};
  std::ranges::copy(pixels, images.data());
  return images;
}

}  // namespace

TEST_CASE("the dual bound is below every margin that an exhaustive search finds") {
  const std::vector<std::int32_t> labels = {0, 2, 1};
  const Tensor images = some_images();
  int tight = 0, total = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    layers::Network net = tiny_network(seed);
    DualBound bound(net);
    for (const double size : {1e-4, 0.02, 0.1, 0.3, 2.0}) {
      const Tensor margins = bound.margins(images, labels, size, centred).clone();
      for (std::int64_t row = 0; row < images.rows(); ++row) {
        const auto label = labels[static_cast<std::size_t>(row)];
        const std::vector<float> least = least_margins(net, images.row(row), label, size);
        for (std::int64_t c = 0; c < net.classes(); ++c) {
          CAPTURE(seed);
          CAPTURE(size);
          const float proved = margins.row(row)[c], found = least[static_cast<std::size_t>(c)];
          CHECK(proved <= found + 1e-5f);
          if (c == label) CHECK(proved == 0.0f);
          if (c == label || size > 0.02) continue;
          ++total;
          tight += proved > found - 1e-4f;
        }
      }
    }
  }
  // Where no ReLU changes within the box, the network is linear there and the bound exact.
  CHECK(tight > total * 3 / 4);
}

TEST_CASE("a larger box never has a larger dual bound") {
  layers::Network net = tiny_network(3);
  DualBound bound(net);
  const std::vector<std::int32_t> labels = {0, 2, 1};
  Tensor before = bound.margins(some_images(), labels, 0.0, centred).clone();
  for (const double size : {0.01, 0.05, 0.2, 0.5}) {
    const Tensor& now = bound.margins(some_images(), labels, size, centred);
    for (std::int64_t i = 0; i < now.size(); ++i) CHECK(now.data()[i] <= before.data()[i] + 1e-6f);
    before = now.clone();
  }
}

TEST_CASE("gradients of the dual bound are what finite differences say") {
  layers::Network net = tiny_network(7);
  DualBound bound(net);
  const Tensor images = some_images();
  const std::vector<std::int32_t> labels = {0, 2, 1};
  constexpr double size = 0.15;
  Tensor weights({3, 3});
  for (std::int64_t i = 0; i < weights.size(); ++i)
    weights.data()[i] = 0.3f * static_cast<float>(i) - 1.0f;
  const auto objective = [&] {
    const Tensor& margins = bound.margins(images, labels, size, centred);
    double sum = 0.0;
    for (std::int64_t i = 0; i < margins.size(); ++i)
      sum += double{weights.data()[i]} * margins.data()[i];
    return sum;
  };
  objective();
  bound.backward(weights);
  std::vector<std::vector<float>> gradients;
  for (const layers::Parameter* parameter : net.parameters()) {
    const auto values = std::as_const(parameter->gradient).values();
    gradients.emplace_back(values.begin(), values.end());
  }
  const auto parameters = net.parameters();
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    for (std::int64_t i = 0; i < parameters[p]->value.size(); ++i) {
      float& value = parameters[p]->value.data()[i];
      const float kept = value;
      constexpr float step = 1e-3f;
      value = kept + step;
      const double above = objective();
      value = kept - step;
      const double below = objective();
      value = kept;
      CAPTURE(parameters[p]->name);
      CAPTURE(i);
      CHECK(gradients[p][static_cast<std::size_t>(i)] ==
            doctest::Approx((above - below) / (2.0 * step)).epsilon(0.02).scale(1.0));
    }
  }
}

TEST_CASE("the dual bound refuses networks that it does not cover, by the layer's name") {
  layers::Network noisy = tiny_network(1);
  noisy.noise->distribution = kernels::NoiseDistribution::gaussian;
  CHECK_THROWS_WITH(DualBound{noisy}, doctest::Contains("without noise"));
  layers::Network residual = layers::make_network({.architecture = "wide-resnet",
                                                   .height = 32,
                                                   .width = 32,
                                                   .channels = 3,
                                                   .depth = 10,
                                                   .widening = 1},
                                                  1);
  CHECK_THROWS_WITH(DualBound{residual}, doctest::Contains("does not cover layer"));
  layers::Network cnn = layers::make_network({}, 1);
  DualBound covered(cnn);
  Tensor wrong({1, 1, 2, 1});
  const std::vector<std::int32_t> labels = {0};
  CHECK_THROWS_AS(covered.margins(wrong, labels, 0.1, centred), Error);
}
