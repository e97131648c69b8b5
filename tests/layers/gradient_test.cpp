#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/loss.hpp"
#include "layers/add.hpp"
#include "layers/batch_norm.hpp"
#include "layers/conv2d.hpp"
#include "layers/dense.hpp"
#include "layers/global_pool.hpp"
#include "layers/networks/residual_unit.hpp"
#include "layers/normalise.hpp"
#include "layers/shortcut.hpp"
#include "layers/standardise.hpp"
#include "layers/training_pass.hpp"
#include "tests/layers/finite_differences.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;
using namespace pixeldp::tests;

namespace {

/// The derivative along the gradient itself, which must be its norm: for what has kinks inside.
void check_along(std::span<float> x, std::span<const float> gradient,
                 const std::function<double()>& evaluate) {
  const std::vector<float> kept(x.begin(), x.end());
  double norm = 0.0;
  for (const float g : gradient) norm += double{g} * double{g};
  norm = std::sqrt(norm);
  REQUIRE(norm > 0.0);
  const auto moved = [&](double step) {
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(kept[i] + step * gradient[i] / norm);
    return evaluate();
  };
  const double h = 2e-4, difference = (moved(h) - moved(-h)) / (2 * h);
  std::copy(kept.begin(), kept.end(), x.begin());
  CHECK(difference == doctest::Approx(norm).epsilon(0.01));
}

/// The objective sum(c * logits) of a network, for fixed random c.
class NetworkObjective {
 public:
  NetworkObjective(Network& network, Mode mode) : network_(network), pass_(network), mode_(mode) {
    randomise(network.parameters(), network.buffers());
    images = random_tensor(network.input().with_rows(rows), 1);
    for (std::int64_t i = 0; i < rows; ++i) noise_rows_.push_back({i, 0, 0});
    c_ = random_tensor({rows, network.classes()}, 3);
  }

  double operator()() {
    const Tensor& logits =
        pass_.forward(stream_, mode_, images, {.tag = StreamTag::training, .rows = noise_rows_});
    double sum = 0.0;
    for (std::int64_t i = 0; i < logits.size(); ++i)
      sum += double{c_.data()[i]} * double{logits.data()[i]};
    return sum;
  }
  void backward() {
    (*this)();
    pass_.backward(stream_, images, c_, &dimages);
  }

  Tensor images, dimages;

 private:
  static constexpr std::int64_t rows = 3;

  Stream stream_;
  Network& network_;
  TrainingPass pass_;
  Mode mode_;
  std::vector<kernels::NoiseRow> noise_rows_;
  Tensor c_;
};

/// A network that is little more than one unit: Unit is (builder, x) -> y.
template <class Unit>
Network network_around(std::int64_t channels, Unit unit) {
  NetworkBuilder net({.height = 4, .width = 6, .channels = channels, .noise_after_layers = 0}, 1);
  Value x = unit(net, net.start());
  x = net.append<GlobalAveragePool>({x}, "pool");
  net.dense("head", x, 5, kernels::Activation::identity());
  return std::move(net).finish();
}

void check_network(Network network, Mode mode, bool smooth) {
  NetworkObjective objective(network, mode);
  objective.backward();
  const auto evaluate = [&] { return objective(); };
  const auto check = [&](std::span<float> x, std::span<const float> gradient) {
    if (smooth)
      check_gradient(x, gradient, [&] { return Evaluation{objective(), {}}; });
    else
      check_along(x, gradient, evaluate);
  };
  const Tensor gradient = objective.dimages.clone();
  check(objective.images.values(), gradient.values());
  for (Parameter* p : network.parameters()) {
    CAPTURE(p->name);
    if (mode == Mode::training)
      check(p->value.values(), p->gradient.values());
    else
      CHECK(p->gradient.empty());
  }
}

}  // namespace

TEST_CASE("finite differences confirm the backward of every layer") {
  using kernels::Activation;
  for (const Activation activation :
       {Activation::identity(), Activation::relu(), Activation::leaky_relu(0.1f)}) {
    Conv2d conv("conv",
                {.in_c = 3, .out_c = 4, .kernel = 5, .stride = 2, .activation = activation});
    check_layer(conv, {2, 7, 6, 3});
    Dense dense("dense", {.in = 24, .out = 9, .activation = activation});
    check_layer(dense, {3, 2, 3, 4});
  }
}

TEST_CASE("finite differences confirm the backward of normalisations and pooling, in both modes") {
  using kernels::Activation;
  for (const Mode mode : {Mode::training, Mode::inference}) {
    for (const Activation activation : {Activation::identity(), Activation::leaky_relu(0.1f)}) {
      BatchNorm norm("bn", {.channels = 3, .activation = activation});
      check_layer(norm, {4, 5, 6, 3}, mode);
    }
    GlobalAveragePool pool("pool");
    check_layer(pool, {3, 4, 5, 7}, mode);
    const std::vector<double> mean = {0.5, -1.0}, deviation = {0.25, 3.0};
    Normalise normalise("normalise", mean, deviation);
    check_layer(normalise, {2, 3, 4, 2}, mode);
    Standardise standardise("standardise");
    check_layer(standardise, {2, 3, 4, 2}, mode);
  }
}

TEST_CASE("finite differences confirm the backward of sums and shortcuts") {
  for (const auto activation :
       {kernels::Activation::identity(), kernels::Activation::leaky_relu(0.1f)}) {
    Add add("add", activation);
    check_layer(add, {2, 3, 4, 2});
  }
  for (const auto kind : {kernels::ShortcutKind::average, kernels::ShortcutKind::subsample}) {
    Shortcut shortcut("shortcut", {.in_c = 4, .out_c = 8, .stride = 2, .kind = kind});
    check_layer(shortcut, {2, 4, 6, 4});
  }
}

TEST_CASE("finite differences confirm the backward of residual units, in both modes") {
  using kernels::Activation;
  for (const Mode mode : {Mode::training, Mode::inference}) {
    for (const auto& [out_c, stride] : {std::tuple{4, 1}, std::tuple{6, 1}, std::tuple{8, 2}}) {
      CAPTURE(out_c);
      CAPTURE(stride);
      check_network(
          network_around(4, [&](NetworkBuilder& net,
                                Value x) { return basic_block(net, "block", x, out_c, stride); }),
          mode, false);
      for (const bool activate_shortcut : {false, true}) {
        CAPTURE(activate_shortcut);
        // Without activations there are no kinks, and every coordinate can be compared.
        for (const float slope : {1.0f, 0.1f}) {
          check_network(network_around(4,
                                       [&](NetworkBuilder& net, Value x) {
                                         return residual_unit(net, "unit", x, out_c, stride,
                                                              Activation::leaky_relu(slope),
                                                              activate_shortcut);
                                       }),
                        mode, slope == 1.0f);
        }
      }
    }
  }
}

TEST_CASE("gradients in deep networks") {
  // More memory is taken while gradients that lie in it are copied.
  Network deep = network_around(4, [](NetworkBuilder& net, Value x) {
    for (const char* name : {"a", "b", "c"}) x = basic_block(net, name, x, 4, 1);
    return x;
  });
  check_network(std::move(deep), Mode::training, false);
}

TEST_CASE("gradients of many draws of an image, from the logits to the noise and on to the image") {
  const Stream stream;
  for (const char* architecture : {"mnist-cnn", "wide-resnet", "resnet"}) {
    for (const int position : {0, 1, 2}) {
      if (position == 2 && architecture != std::string("mnist-cnn")) continue;
      CAPTURE(architecture);
      CAPTURE(position);
      NetworkSpec spec = tests::small_resnet_spec(architecture, position);
      if (architecture == std::string("mnist-cnn")) spec.depth = spec.widening = 0;
      Network network = make_network(spec, 3);
      tests::unsettle_normalisations(network);
      network.noise->distribution = kernels::NoiseDistribution::gaussian;
      network.noise->scale = 0.3;
      TrainingPass pass(network);
      Tensor images = random_tensor({2, 8, 8, 3}, 1);
      // Rows in no order, and not as many of one image as of the other.
      const std::vector<kernels::NoiseRow> rows = {
          {1, 8, 0}, {0, 7, 5}, {1, 8, 1}, {0, 7, 2}, {1, 8, 9}};
      const Tensor c = random_tensor({5, 10}, 2);
      const NoiseDraws draws{.seed = 4, .tag = StreamTag::attack, .rows = rows};
      const auto evaluate = [&] {
        const Tensor prefix = pass.forward_prefix(stream, images).clone();
        const Tensor& logits = pass.forward_rows(stream, prefix, draws);
        double sum = 0.0;
        for (std::int64_t i = 0; i < c.size(); ++i)
          sum += double{c.data()[i]} * double{logits.data()[i]};
        return sum;
      };
      const Tensor prefix = pass.forward_prefix(stream, images).clone();
      CHECK(prefix.shape() == network.noise_shape(2));
      CHECK(pass.forward_rows(stream, prefix, draws).rows() == 5);
      Tensor of_rows, of_images;
      pass.backward_rows(stream, prefix, c, of_rows);
      CHECK(of_rows.shape() == network.noise_shape(5));
      Tensor of_prefix(prefix.shape());
      for (std::size_t r = 0; r < rows.size(); ++r)
        for (std::int64_t i = 0; i < of_rows.shape().row_size(); ++i)
          of_prefix.row(rows[r].source)[i] += of_rows.row(static_cast<std::int64_t>(r))[i];
      pass.backward_prefix(stream, images, of_prefix, of_images);
      CHECK(of_images.shape() == images.shape());
      check_along(images.values(), of_images.values(), evaluate);
      for (const Parameter* p : network.parameters()) CHECK(p->gradient.empty());

      // In one piece there is one draw of each image.
      CHECK(pass.forward(stream, Mode::inference, images, draws).rows() == 5);
      CHECK_FAILS(pass.backward(stream, images, c, &of_images),
                  "gradients of a batch take one draw of each of 2 images, not 5 rows");
    }
  }
}

TEST_CASE("a value that is used three times gets the sum of its gradients") {
  using kernels::Activation;
  // x + (x + x), each sum with an activation that changes what it is given.
  Network network = network_around(2, [](NetworkBuilder& net, Value x) {
    const Value twice = net.append<Add>({x, x}, "twice", Activation::leaky_relu(0.5f));
    return net.append<Add>({x, twice}, "thrice", Activation::leaky_relu(0.25f));
  });
  check_network(std::move(network), Mode::training, false);
}

TEST_CASE("a frozen parameter gets no gradient, and the others the same as without it") {
  const auto gradients = [](const std::string& frozen) {
    Network network = network_around(4, [](NetworkBuilder& net, Value x) {
      return residual_unit(net, "unit", x, 4, 1, kernels::Activation::relu(), true);
    });
    for (Parameter* p : network.parameters()) p->frozen = p->name.starts_with(frozen);
    NetworkObjective objective(network, Mode::training);
    objective.backward();
    std::map<std::string, std::vector<float>> all;
    for (const Parameter* p : network.parameters()) {
      CHECK(p->gradient.empty() == p->frozen);
      if (!p->frozen) all[p->name] = {p->gradient.values().begin(), p->gradient.values().end()};
    }
    return all;
  };
  const auto everything = gradients("nothing");
  for (const char* frozen : {"unit.bn1", "unit.conv1", "unit", "head"}) {
    CAPTURE(frozen);
    const auto rest = gradients(frozen);
    CHECK(rest.size() < everything.size());
    for (const auto& [name, values] : rest) CHECK(values == everything.at(name));
  }
}

TEST_CASE("finite differences confirm the backward of the whole network, through the noise") {
  const Stream stream;
  for (const int position : {0, 1, 2}) {
    for (const bool before_activation : {true, false}) {
      CAPTURE(position);
      Network net = make_network({.height = 8,
                                  .width = 8,
                                  .noise_after_layers = position,
                                  .noise_before_activation = before_activation,
                                  .rescale_prefix = true},
                                 7);
      net.noise->distribution = kernels::NoiseDistribution::gaussian;
      net.noise->scale = 0.2;
      TrainingPass pass(net);
      Tensor images = random_tensor({3, 8, 8, 1}, 4);
      const std::vector<std::int32_t> labels = {1, 9, 4};
      const std::vector<kernels::NoiseRow> rows = {{0, 10, 0}, {1, 11, 0}, {2, 12, 5}};
      const NoiseDraws draws{.seed = 3, .tag = StreamTag::training, .factor = 0.5f, .rows = rows};

      const auto evaluate = [&] {
        const Tensor& logits = pass.forward(stream, Mode::training, images, draws);
        Tensor ignored(logits.shape());
        kernels::LossResult result;
        kernels::softmax_cross_entropy(stream, 3, 10, logits.data(), labels.data(), ignored.data(),
                                       &result);
        return result.loss;
      };
      const Tensor& logits = pass.forward(stream, Mode::training, images, draws);
      Tensor dlogits(logits.shape()), dimages;
      kernels::LossResult result;
      kernels::softmax_cross_entropy(stream, 3, 10, logits.data(), labels.data(), dlogits.data(),
                                     &result);
      pass.backward(stream, images, dlogits, &dimages);

      check_along(images.values(), dimages.values(), evaluate);
      for (Parameter* p : net.parameters()) {
        CAPTURE(p->name);
        check_along(p->value.values(), p->gradient.values(), evaluate);
      }
    }
  }
}
