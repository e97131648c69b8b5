#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/elementwise.hpp"
#include "kernels/loss.hpp"
#include "kernels/sgd.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;
using namespace pixeldp::kernels;

/// The loss of these logits; their gradient goes to `gradient`.
static LossResult loss_of(std::int64_t rows, std::int64_t classes, const std::vector<float>& logits,
                          const std::vector<std::int32_t>& labels, std::vector<float>& gradient) {
  LossResult result;
  softmax_cross_entropy(Stream(), rows, classes, logits.data(), labels.data(), gradient.data(),
                        &result);
  return result;
}

TEST_CASE("softmax cross-entropy: known values, ties and huge logits") {
  std::vector<float> logits = {0, 0, 0, 0, /**/ 1000, -1000, 0, 0, /**/ 1, 3, 3, 2};
  const std::vector<std::int32_t> labels = {2, 0, 2};
  std::vector<float> gradient(logits.size());
  const LossResult result = loss_of(3, 4, logits, labels, gradient);
  const double third = std::log(std::exp(-2.0) + 2.0 + std::exp(-1.0));
  CHECK(result.loss == doctest::Approx((std::log(4.0) + 0.0 + third) / 3));
  CHECK(result.correct ==
        1);  // a tie goes to the lowest index, so the first and the third row are wrong
  CHECK(gradient[0] == doctest::Approx(0.25 / 3));
  CHECK(gradient[2] == doctest::Approx(-0.75 / 3));
  CHECK(gradient[4] == 0.0f);
}

TEST_CASE("the loss's gradient agrees with finite differences") {
  const std::int64_t rows = 4, classes = 7;
  auto logits = reference::reals(rows * classes, 5);
  const std::vector<std::int32_t> labels = {0, 3, 6, 2};
  std::vector<float> gradient(logits.size()), ignored(logits.size());
  loss_of(rows, classes, logits, labels, gradient);
  const float h = 1.0f / 256;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float kept = logits[i];
    logits[i] = kept + h;
    const double up = loss_of(rows, classes, logits, labels, ignored).loss;
    logits[i] = kept - h;
    const double down = loss_of(rows, classes, logits, labels, ignored).loss;
    logits[i] = kept;
    CHECK(gradient[i] == doctest::Approx((up - down) / (2.0 * h)).epsilon(1e-4));
  }
}

TEST_CASE("one step of momentum SGD by hand") {
  const Stream stream;
  std::vector<float> weight = {2.0f, -1.0f}, velocity = {1.0f, 0.5f};
  const std::vector<float> gradient = {4.0f, -8.0f};
  const SgdStep step = {.params = {.learning_rate = 0.5f,
                                   .momentum = 0.5f,
                                   .weight_decay = 0.25f,
                                   .gradient_scale = 0.125f},
                        .size = 2,
                        .gradient = gradient.data(),
                        .velocity = velocity.data(),
                        .weight = weight.data()};
  sgd_steps(stream, {&step, 1});
  CHECK(velocity == std::vector<float>{0.5f + 0.5f + 0.5f, 0.25f - 1.0f - 0.25f});
  CHECK(weight == std::vector<float>{2.0f - 0.75f, -1.0f + 0.5f});
}

TEST_CASE("the mean of rows is summed in their order") {
  // (2^24 + 1) + 1 stays at 2^24 in floats, whereas 1 + 1 + 2^24 does not.
  const std::vector<float> x = {0x1p24f,   1.0f,    3.0f, /**/ 1.0f, 1.0f, 4.0f,
                                /**/ 1.0f, 0x1p24f, 0.0f};
  std::vector<float> y(3);
  average_rows(Stream(), 3, 3, x.data(), y.data());
  CHECK(y == std::vector<float>{0x1p24f / 3.0f, (0x1p24f + 2.0f) / 3.0f, 7.0f / 3.0f});
  std::vector<float> in_place = x;
  average_rows(Stream(), 3, 3, in_place.data(), in_place.data());
  in_place.resize(3);
  CHECK(in_place == y);
}

TEST_CASE("activations and their gradients") {
  const Stream stream;
  std::vector<float> y = {-2.0f, -0.0f, 0.0f, 3.0f};
  activate(stream, Activation::leaky_relu(0.25f), 4, y.data());
  CHECK(y == std::vector<float>{-0.5f, 0.0f, 0.0f, 3.0f});
  std::vector<float> gradient = {8.0f, 8.0f, 8.0f, 8.0f};
  activation_backward(stream, Activation::leaky_relu(0.25f), 4, y.data(), gradient.data());
  CHECK(gradient == std::vector<float>{2.0f, 2.0f, 2.0f, 8.0f});
  activation_backward(stream, Activation::identity(), 4, y.data(), gradient.data());
  CHECK(gradient == std::vector<float>{2.0f, 2.0f, 2.0f, 8.0f});
}
