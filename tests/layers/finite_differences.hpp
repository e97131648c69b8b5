#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include "layers/layer.hpp"
#include "tests/reference/values.hpp"

namespace pixeldp::tests {

inline Tensor random_tensor(const Shape& shape, std::uint64_t seed) {
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
inline void check_gradient(std::span<float> x, std::span<const float> gradient,
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

inline void randomise(const std::vector<layers::Parameter*>& parameters,
                      const std::vector<layers::LayerBuffer*>& buffers) {
  for (layers::Parameter* p : parameters) p->value = random_tensor(p->value.shape(), 2);
  for (layers::LayerBuffer* b : buffers) {
    if (!b->saved) continue;  // a constant
    b->value = random_tensor(b->value.shape(), 5);
    for (float& value : b->value.values()) value = std::abs(value) + 0.1f;
  }
}

/// The objective sum(c * y) of a layer, for fixed random c.
class LayerObjective {
 public:
  LayerObjective(layers::Layer& layer, const std::vector<Shape>& inputs, layers::Mode mode)
      : layer_(layer), pass_{stream_, mode} {
    for (const Shape& input : inputs) {
      x.push_back(random_tensor(input, 1 + x.size()));
      dx.emplace_back();
    }
    randomise(layer.parameters(), layer.buffers());
    forward();
    c_ = random_tensor(y_.shape(), 3);
  }

  void backward() {
    forward();
    Tensor dy = c_.clone();
    std::vector<Tensor*> to;
    for (Tensor& gradient : dx) to.push_back(&gradient);
    layer_.backward(pass_, inputs(), y_, saved_, dy, to);
    if (!layer_.uses_up_gradient())
      CHECK(std::equal(dy.values().begin(), dy.values().end(), c_.values().begin()));
    if (layer_.gradient_in_place())
      for (Tensor& gradient : dx) gradient = dy.clone();
  }

  /// `kinks` where the signs of y tell them.
  Evaluation operator()(bool kinks = true) {
    Evaluation e;
    forward();
    for (std::int64_t i = 0; i < y_.size(); ++i) {
      e.objective += double{c_.data()[i]} * double{y_.data()[i]};
      if (kinks) e.signs.push_back(y_.data()[i] > 0.0f);
    }
    return e;
  }

 private:
  std::vector<const Tensor*> inputs() const {
    std::vector<const Tensor*> all;
    for (const Tensor& input : x) all.push_back(&input);
    return all;
  }
  void forward() { layer_.forward(pass_, inputs(), y_, saved_); }

  Stream stream_;
  layers::Layer& layer_;
  layers::Pass pass_;
  layers::Saved saved_;
  Tensor y_, c_;

 public:
  std::vector<Tensor> x, dx;
};

/// Coordinate by coordinate: for layers whose kinks all show in their output, or that have none.
inline void check_layer(layers::Layer& layer, const std::vector<Shape>& inputs,
                        layers::Mode mode = layers::Mode::training, bool kinks = true) {
  LayerObjective objective(layer, inputs, mode);
  objective.backward();
  const auto evaluate = [&] { return objective(kinks); };
  for (std::size_t i = 0; i < objective.x.size(); ++i)
    check_gradient(objective.x[i].values(), objective.dx[i].values(), evaluate);
  for (layers::Parameter* p : layer.parameters()) {
    CAPTURE(p->name);
    if (mode == layers::Mode::training)
      check_gradient(p->value.values(), p->gradient.values(), evaluate);
    else
      CHECK(p->gradient.empty());
  }
}

/// All that it reads is of one shape.
inline void check_layer(layers::Layer& layer, const Shape& input,
                        layers::Mode mode = layers::Mode::training, bool kinks = true) {
  check_layer(layer, std::vector<Shape>(layer.operands(), input), mode, kinks);
}

}  // namespace pixeldp::tests
