#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "layers/conv2d.hpp"
#include "layers/networks/network_spec.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;

TEST_CASE("the MNIST CNN has the shapes and the parameters of the paper") {
  const Network net = make_network({}, 1);
  CHECK(net.noise_shape(2) == Shape{2, 14, 14, 32});
  CHECK(net.feature_shape(2) == Shape{2, 1024});
  CHECK(net.parameter_count() == 25 * 32 + 25 * 32 * 64 + 3136 * 1024 + 1024 + 1024 * 10 + 10);
  std::vector<std::string> names;
  for (const Parameter* p : net.parameters()) names.push_back(p->name);
  CHECK(names == std::vector<std::string>{"conv1.weight", "conv2.weight", "fc1.weight", "fc1.bias",
                                          "fc2.weight", "fc2.bias"});
}

TEST_CASE("the position of the noise moves layers and activations, not parameters") {
  for (const int position : {0, 1, 2}) {
    const Network before =
        make_network({.noise_after_layers = position, .noise_before_activation = true}, 1);
    const Network after =
        make_network({.noise_after_layers = position, .noise_before_activation = false}, 1);
    CHECK(before.prefix.size() == static_cast<std::size_t>(position));
    CHECK(before.body.size() == static_cast<std::size_t>(3 - position));
    CHECK(before.noise.activation.is_identity() == (position == 0));
    CHECK(after.noise.activation.is_identity());
    CHECK(before.parameter_count() == after.parameter_count());
  }
  CHECK_THROWS_AS(make_network({.noise_after_layers = 3}, 1), Error);
  CHECK_THROWS_AS(make_network({.architecture = "unknown"}, 1), Error);
  CHECK_THROWS_AS(make_network({.height = 0}, 1), Error);
}

TEST_CASE(
    "without noise every position of the noise layer gives the same network, to the last bit") {
  const Stream stream;
  Tensor images(Shape{2, 28, 28, 1});
  const auto pixels = reference::reals(images.size(), 1);
  std::copy(pixels.begin(), pixels.end(), images.data());
  const std::vector<kernels::NoiseRow> rows = {{0, 0, 0}, {1, 1, 0}};
  std::vector<std::vector<float>> logits;
  for (const int position : {0, 1, 2}) {
    for (const bool before_activation : {true, false}) {
      Network net = make_network(
          {.noise_after_layers = position, .noise_before_activation = before_activation}, 1);
      net.noise.distribution = kernels::NoiseDistribution::laplace;
      net.noise.scale = 0.0;
      TrainingPass pass(net);
      const Tensor& out = pass.forward(stream, Mode::training, images,
                                       {.seed = 1, .tag = StreamTag::training, .rows = rows});
      logits.emplace_back(out.values().begin(), out.values().end());
      CHECK(logits.back() == logits.front());
    }
  }
}

TEST_CASE(
    "initial kernels have the stated deviation, and the rescaled ones a third of it before the "
    "noise") {
  const auto deviation = [](const Network& net, const char* name) {
    for (const Parameter* p : net.parameters()) {
      if (p->name != name) continue;
      double squares = 0.0;
      for (const float value : p->value.values()) squares += double{value} * double{value};
      return std::sqrt(squares / static_cast<double>(p->value.size()));
    }
    return 0.0;
  };
  const Network plain = make_network({.rescale_prefix = false}, 3),
                scaled = make_network({.rescale_prefix = true}, 3);
  CHECK(deviation(plain, "conv1.weight") ==
        doctest::Approx(std::sqrt(2.0 / (25 * 32))).epsilon(0.1));
  CHECK(deviation(plain, "conv2.weight") ==
        doctest::Approx(std::sqrt(2.0 / (25 * 64))).epsilon(0.02));
  CHECK(deviation(plain, "fc1.weight") == doctest::Approx(1.0 / std::sqrt(3136.0)).epsilon(0.01));
  CHECK(deviation(scaled, "conv1.weight") == doctest::Approx(deviation(plain, "conv1.weight") / 3));
  CHECK(deviation(scaled, "conv2.weight") == deviation(plain, "conv2.weight"));
  CHECK(scaled.parameters()[0]->gradient_scale == doctest::Approx(1.0 / 9));
}

TEST_CASE("layers refuse inputs that do not fit, by name") {
  Conv2d conv("stem", {.in_c = 3, .out_c = 4, .kernel = 3, .stride = 1, .activation = {}});
  CHECK_THROWS_WITH_AS(conv.output_shape({1, 8, 8, 1}), doctest::Contains("stem"), Error);
  Dense dense("head", {.in = 10, .out = 2, .activation = {}});
  CHECK_THROWS_WITH_AS(dense.output_shape({1, 11}), doctest::Contains("head"), Error);
}
