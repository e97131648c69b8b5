#include <cmath>
#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/loss.hpp"
#include "layers/conv2d.hpp"
#include "layers/dense.hpp"
#include "layers/networks/network_spec.hpp"
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
void check_layer(Layer& layer, const Shape& input) {
  const Stream stream;
  Tensor x = random_tensor(input, 1);
  for (Parameter* p : layer.parameters()) p->value = random_tensor(p->value.shape(), 2);
  Tensor y;
  Saved saved;
  layer.forward(stream, x, y, saved);
  const Tensor c = random_tensor(y.shape(), 3);
  Tensor dy = c.clone(), dx;
  layer.backward(stream, x, y, saved, dy, &dx);

  const auto evaluate = [&] {
    Evaluation e;
    Tensor out;
    layer.forward(stream, x, out, saved);
    for (std::int64_t i = 0; i < out.size(); ++i) {
      e.objective += double{c.data()[i]} * double{out.data()[i]};
      e.signs.push_back(out.data()[i] > 0.0f);
    }
    return e;
  };
  check_gradient(x.values(), dx.values(), evaluate);
  for (Parameter* p : layer.parameters())
    check_gradient(p->value.values(), p->gradient.values(), evaluate);
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
        Evaluation e;
        const Tensor& logits = pass.forward(stream, Mode::training, images, draws);
        Tensor ignored(logits.shape());
        kernels::LossResult result;
        kernels::softmax_cross_entropy(stream, 3, 10, logits.data(), labels.data(), ignored.data(),
                                       &result);
        e.objective = result.loss;
        return e;
      };
      const Tensor& logits = pass.forward(stream, Mode::training, images, draws);
      Tensor dlogits(logits.shape()), dimages;
      kernels::LossResult result;
      kernels::softmax_cross_entropy(stream, 3, 10, logits.data(), labels.data(), dlogits.data(),
                                     &result);
      pass.backward(stream, images, dlogits, &dimages);

      // Kinks inside the network are not seen from outside, so no single coordinate is compared but
      // the derivative along the gradient itself, which must be its norm.
      const auto along = [&](std::span<float> x, std::span<const float> gradient) {
        const std::vector<float> kept(x.begin(), x.end());
        double norm = 0.0;
        for (const float g : gradient) norm += double{g} * double{g};
        norm = std::sqrt(norm);
        REQUIRE(norm > 0.0);
        const auto moved = [&](double step) {
          for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<float>(kept[i] + step * gradient[i] / norm);
          return evaluate().objective;
        };
        const double h = 2e-3, difference = (moved(h) - moved(-h)) / (2 * h);
        std::copy(kept.begin(), kept.end(), x.begin());
        CHECK(difference == doctest::Approx(norm).epsilon(0.01));
      };
      along(images.values(), dimages.values());
      for (Parameter* p : net.parameters()) {
        CAPTURE(p->name);
        along(p->value.values(), p->gradient.values());
      }
    }
  }
}
