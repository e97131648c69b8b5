#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "layers/add.hpp"
#include "layers/conv2d.hpp"
#include "layers/global_pool.hpp"
#include "layers/networks/network_spec.hpp"
#include "layers/training_pass.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;

// A network that is const lets nothing of it be changed, and no graph the places of its nodes.
template <class T>
constexpr bool is_const = std::is_const_v<std::remove_reference_t<T>>;
using Fixed = const Network&;
static_assert(is_const<decltype(*std::declval<Fixed>().noise)>);
static_assert(is_const<decltype(*std::declval<Fixed>().head)>);
static_assert(is_const<decltype(*std::declval<Fixed>().parameters()[0])>);
static_assert(is_const<decltype(*std::declval<Fixed>().buffers()[0])>);
static_assert(is_const<decltype(std::declval<Fixed>().graph.layer(0))>);
static_assert(!is_const<decltype(*std::declval<Network&>().parameters()[0])>);
static_assert(is_const<decltype(*std::declval<Network&>().graph.nodes()[0].layer)>);
static_assert(is_const<decltype(std::declval<Network&>().graph.nodes()[0])>);

TEST_CASE("the MNIST CNN has the shapes and the parameters of the paper") {
  const Network net = make_network({}, 1);
  CHECK(net.noise_shape(2) == Shape{2, 14, 14, 32});
  CHECK(net.head->options().in == 1024);
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
    CHECK(before.prefix_size() == static_cast<std::size_t>(position));
    CHECK(before.graph.nodes().size() == 5);
    CHECK(before.noise->activation().is_identity() == (position == 0));
    CHECK(after.noise->activation().is_identity());
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
      net.noise->distribution = kernels::NoiseDistribution::laplace;
      net.noise->scale = 0.0;
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
  const Shape grey{1, 8, 8, 1}, eleven{1, 11};
  CHECK_FAILS(conv.output_shape({&grey, 1}), "stem");
  Dense dense("head", {.in = 10, .out = 2, .activation = {}});
  CHECK_FAILS(dense.output_shape({&eleven, 1}), "head");
}

TEST_CASE("a graph refuses nodes that cannot be evaluated, and stays as it was") {
  Graph graph({1, 8, 8, 3});
  const auto add = [&](std::vector<Value> inputs) {
    return graph.add(std::make_unique<Add>("sum", kernels::Activation::relu()), std::move(inputs));
  };
  CHECK_FAILS(add({0}), "layer sum reads 2 values, not 1");
  CHECK_FAILS(add({0, 1}), "layer sum reads value 1, which is not there yet");
  CHECK_FAILS(add({-1, 0}), "value -1");
  const Value pooled = graph.add(std::make_unique<GlobalAveragePool>("pool"), {0});
  CHECK_FAILS(add({0, pooled}), "layer sum adds values of one shape, not 1x8x8x3 and 1x3");
  CHECK(graph.result() == 1);
  CHECK(add({0, 0}) == 2);
  CHECK(graph.shape(2) == Shape{1, 8, 8, 3});
}

TEST_CASE(
    "what is lowered must have one noise, that hides all before it, and end in a dense layer") {
  const auto refused = [](auto append, const char* part) {
    Network net;
    net.graph = Graph({1, 4, 4, 1});
    append(net.graph);
    CHECK_FAILS(lower(Stream(), net), part);
  };
  const auto noise = [](Graph& g, Value x) {
    return g.add(std::make_unique<Noise>("noise", kernels::Activation::identity()), {x});
  };
  const auto head = [](Graph& g, Value x) {
    return g.add(
        std::make_unique<Dense>("fc", Dense::Options{.in = 16, .out = 2, .activation = {}}), {x});
  };
  const auto sum = [](Graph& g, Value x, Value y) {
    return g.add(std::make_unique<Add>("sum", kernels::Activation::identity()), {x, y});
  };
  refused([&](Graph& g) { head(g, 0); }, "one noise step, not 0");
  refused([&](Graph& g) { head(g, noise(g, noise(g, 0))); }, "one noise step, not 2");
  refused([&](Graph& g) { head(g, sum(g, noise(g, 0), 0)); },
          "layer sum reads what lies before the noise");
  refused([&](Graph& g) { noise(g, 0); }, "layer noise is no dense layer");
  refused(
      [&](Graph& g) {
        sum(g, 0, 0);
        head(g, noise(g, 0));
      },
      "layer noise does not read what is calculated last before it");
}
