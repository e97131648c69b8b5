#include <cmath>
#include <functional>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/loss.hpp"
#include "layers/basic_block.hpp"
#include "layers/conv2d.hpp"
#include "layers/dense.hpp"
#include "layers/global_pool.hpp"
#include "layers/networks/network_spec.hpp"
#include "layers/normalise.hpp"
#include "layers/residual_unit.hpp"
#include "layers/standardise.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;

namespace {

Tensor random_tensor(const Shape& shape, std::uint64_t seed) {
  Tensor tensor(shape);
  const auto values = reference::reals(tensor.size(), seed);
  std::copy(values.begin(), values.end(), tensor.data());
  return tensor;
}

/// What a finite difference needs: the objective, and the signs of all activations, which tell
/// whether a step crossed a kink, where there is no derivative to compare with.
struct Evaluation {
  double objective = 0.0;
  std::vector<bool> signs;
};

/// Compares `gradient` with central differences of `evaluate` in a sample of the coordinates of
/// `x`.
void check_gradient(std::span<float> x, std::span<const float> gradient,
                    const std::function<Evaluation()>& evaluate) {
  const std::size_t stride = std::max<std::size_t>(1, x.size() / 40);
  int compared = 0, tried = 0;
  double largest = 0.0;
  for (const float g : gradient) largest = std::max(largest, std::abs(double{g}));
  REQUIRE(largest > 0.0);
  for (std::size_t i = 0; i < x.size(); i += stride) {
    const float kept = x[i], h = 1.0f / 256;
    x[i] = kept + h;
    const Evaluation up = evaluate();
    x[i] = kept - h;
    const Evaluation down = evaluate();
    x[i] = kept;
    ++tried;
    if (up.signs != down.signs) continue;
    ++compared;
    CHECK(std::abs(gradient[i] - (up.objective - down.objective) / (2.0 * h)) <= 2e-3 * largest);
  }
  CHECK(compared * 2 >= tried);
}

/// The objective sum(c * y) of a layer, for fixed random c.
class LayerObjective {
 public:
  LayerObjective(Layer& layer, const Shape& input, Mode mode)
      : layer_(layer), x(random_tensor(input, 1)) {
    for (Parameter* p : layer.parameters()) p->value = random_tensor(p->value.shape(), 2);
    for (LayerBuffer* b : layer.buffers()) {
      if (!b->saved) continue;  // a constant
      b->value = random_tensor(b->value.shape(), 5);
      for (float& value : b->value.values()) value = std::abs(value) + 0.1f;
    }
    saved_.mode = mode;
    layer.forward(stream_, x, y_, saved_);
    c_ = random_tensor(y_.shape(), 3);
  }

  void backward() {
    layer_.forward(stream_, x, y_, saved_);
    Tensor dy = c_.clone();
    layer_.backward(stream_, x, y_, saved_, dy, &dx);
  }

  /// `kinks` where the signs of y tell them.
  Evaluation operator()(bool kinks = true) {
    Evaluation e;
    layer_.forward(stream_, x, y_, saved_);
    for (std::int64_t i = 0; i < y_.size(); ++i) {
      e.objective += double{c_.data()[i]} * double{y_.data()[i]};
      if (kinks) e.signs.push_back(y_.data()[i] > 0.0f);
    }
    return e;
  }

 private:
  Stream stream_;
  Layer& layer_;
  Saved saved_;
  Tensor y_, c_;

 public:
  Tensor x, dx;
};

/// Coordinate by coordinate: for layers whose kinks all show in their output, or that have none.
void check_layer(Layer& layer, const Shape& input, Mode mode = Mode::training, bool kinks = true) {
  LayerObjective objective(layer, input, mode);
  objective.backward();
  const auto evaluate = [&] { return objective(kinks); };
  check_gradient(objective.x.values(), objective.dx.values(), evaluate);
  for (Parameter* p : layer.parameters()) {
    CAPTURE(p->name);
    if (mode == Mode::training)
      check_gradient(p->value.values(), p->gradient.values(), evaluate);
    else
      CHECK(p->gradient.empty());
  }
}

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

void check_layer_along(Layer& layer, const Shape& input, Mode mode) {
  LayerObjective objective(layer, input, mode);
  objective.backward();
  const auto evaluate = [&] { return objective().objective; };
  const Tensor gradient = objective.dx.clone();
  check_along(objective.x.values(), gradient.values(), evaluate);
  for (Parameter* p : layer.parameters()) {
    CAPTURE(p->name);
    if (mode == Mode::training)
      check_along(p->value.values(), p->gradient.values(), evaluate);
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

TEST_CASE("finite differences confirm the backward of residual units, in both modes") {
  using kernels::Activation;
  for (const Mode mode : {Mode::training, Mode::inference}) {
    for (const auto& [in_c, out_c, stride] :
         {std::tuple{4, 4, 1}, std::tuple{4, 6, 1}, std::tuple{4, 8, 2}}) {
      CAPTURE(out_c);
      CAPTURE(stride);
      BasicBlock block("block", {.in_c = in_c, .out_c = out_c, .stride = stride});
      check_layer_along(block, {3, 4, 6, in_c}, mode);
      for (const bool activate_shortcut : {false, true}) {
        CAPTURE(activate_shortcut);
        // Without activations there are no kinks, and every coordinate can be compared.
        ResidualUnit smooth("unit", {.in_c = in_c,
                                     .out_c = out_c,
                                     .stride = stride,
                                     .activation = Activation::identity(),
                                     .activate_shortcut = activate_shortcut});
        check_layer(smooth, {3, 4, 6, in_c}, mode, false);
        ResidualUnit unit("unit", {.in_c = in_c,
                                   .out_c = out_c,
                                   .stride = stride,
                                   .activation = Activation::leaky_relu(0.1f),
                                   .activate_shortcut = activate_shortcut});
        check_layer_along(unit, {3, 4, 6, in_c}, mode);
      }
    }
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
      net.noise.distribution = kernels::NoiseDistribution::gaussian;
      net.noise.scale = 0.2;
      TrainingPass pass(net);
      Tensor images = random_tensor({3, 8, 8, 1}, 4);
      const std::vector<std::int32_t> labels = {1, 9, 4};
      const std::vector<kernels::NoiseRow> rows = {{0, 10, 0}, {1, 11, 0}, {2, 12, 5}};
      const Noise::Draws draws{.seed = 3, .tag = StreamTag::training, .factor = 0.5f, .rows = rows};

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
