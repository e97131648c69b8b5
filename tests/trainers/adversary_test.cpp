#include "trainers/adversary.hpp"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "layers/networks/network_spec.hpp"
#include "pixeldp/attacks/attacks.hpp"
#include "pixeldp/dual_bound.hpp"
#include "pixeldp/model.hpp"
#include "tests/text_of.hpp"
#include "tests/trainers/fixture.hpp"

using namespace pixeldp;
using tests::Fixture;

namespace {

ConfigNode without_noise(const Fixture& fixture, int steps,
                         std::initializer_list<const char*> settings = {}) {
  ConfigNode config = fixture.config(steps);
  config.set("noise.mechanism=none");
  config.set("sensitivity.control=none");
  for (const char* setting : settings) config.set(setting);
  return config;
}

/// Eight images of made-up digits and a network with random weights, without noise.
struct Digits {
  TrainingConfig config;
  Dataset images;
  layers::Network network;
  layers::TrainingPass pass{network};
  TrainingBatch batch;

  explicit Digits(const Fixture& fixture)
      : config(read_training_config(without_noise(fixture, 24))),
        images(load_dataset("mnist", "train", fixture.folder.path(), image_form("mnist"))),
        network(layers::make_network(config.network, 1)) {
    apply_calibration(config.calibration, network);
    BatchSource(images, {.batch = 8, .seed = 1, .pixel_shift = -0.5f, .augmentation = {}})
        .prepare(0, batch);
  }

  Tensor perturbed(const AdversarialTraining& attack) {
    Tensor pictures = batch.images.clone();
    Adversary adversary(Stream(), attack, 1, -0.5f, network, pass);
    Adversary::Start start({}, pictures.shape(), attack);
    constexpr float factor = 1.0f;
    adversary.begin(batch, start, pictures);
    adversary.climb(batch.labels.data(), &factor, pictures);
    return pictures;
  }

  double loss(const Tensor& pictures) {
    const Tensor& logits =
        pass.forward(Stream(), layers::Mode::inference, pictures, {.seed = 1, .rows = batch.rows});
    Tensor gradient(logits.shape());
    kernels::LossResult result;
    kernels::softmax_cross_entropy(Stream(), logits.rows(), network.classes(), logits.data(),
                                   batch.labels.data(), gradient.data(), &result);
    return result.loss;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "pictures of an adversary lie in the ball and have larger losses") {
  Digits digits(*this);
  const double clean = digits.loss(digits.batch.images);
  for (const auto& [norm, size] : {std::pair(AttackNorm::l1, 20.0), std::pair(AttackNorm::l2, 2.0),
                                   std::pair(AttackNorm::linf, 0.2)}) {
    CAPTURE(name(norm));
    const Tensor pictures = digits.perturbed({norm, size, size / 4, 8});
    double farthest = 0.0;
    for (std::int64_t row = 0; row < pictures.rows(); ++row) {
      const std::size_t values = static_cast<std::size_t>(pictures.shape().row_size());
      farthest = std::max(farthest, distance(norm, {pictures.row(row), values},
                                             {digits.batch.images.row(row), values}));
    }
    CHECK(farthest <= size);
    CHECK(farthest > 0.9 * size);
    CHECK(std::ranges::all_of(pictures.values(), [](float x) { return x >= -0.5f && x <= 0.5f; }));
    const double attacked = digits.loss(pictures);
    // Of the 1-norm, the ball is so wide that where it starts alone lowers the loss.
    if (norm != AttackNorm::l1) CHECK(attacked > clean + 0.1);
    // Eight steps along the gradient get farther than the place where they start.
    CHECK(attacked > digits.loss(digits.perturbed({norm, size, 1e-6 * size, 1})) + 0.05);
  }
}

TEST_CASE_FIXTURE(Fixture, "an adversary's picture does not depend on its place in the batch") {
  Digits digits(*this);
  const AdversarialTraining attack = {AttackNorm::linf, 0.2, 0.05, 3};
  const Tensor before = digits.perturbed(attack);
  const std::int64_t rows = before.rows(), values = before.shape().row_size();
  TrainingBatch& batch = digits.batch;
  std::ranges::reverse(batch.labels);
  std::ranges::reverse(batch.rows);
  for (std::int64_t row = 0; row < rows / 2; ++row)
    std::swap_ranges(batch.images.row(row), batch.images.row(row + 1),
                     batch.images.row(rows - 1 - row));
  for (std::int64_t row = 0; row < rows; ++row)
    batch.rows[static_cast<std::size_t>(row)].source = row;
  const Tensor after = digits.perturbed(attack);
  for (std::int64_t row = 0; row < rows; ++row)
    CHECK(std::equal(before.row(row), before.row(row) + values, after.row(rows - 1 - row)));
}

TEST_CASE_FIXTURE(Fixture, "training on attacks withstands them, and gives the same model twice") {
  const ConfigNode attacked =
      without_noise(*this, 60,
                    {"training.adversarial.norm=inf", "training.adversarial.size=0.2",
                     "training.adversarial.step=0.05", "training.adversarial.steps=5"});
  train(without_noise(*this, 60), {.output = folder / "plain"});
  train(attacked, {.output = folder / "attacked"});
  train(attacked, {.output = folder / "again"});
  CHECK(tests::text_of(folder / "attacked" / "model.safetensors") ==
        tests::text_of(folder / "again" / "model.safetensors"));
  const auto loss_under_attack = [&](const char* run) {
    Digits digits(*this);
    digits.network = std::move(load_model(folder / run / "model.safetensors").network);
    return digits.loss(digits.perturbed({AttackNorm::linf, 0.2, 0.02, 20}));
  };
  CHECK(loss_under_attack("attacked") < 0.8 * loss_under_attack("plain"));
}

TEST_CASE_FIXTURE(Fixture, "training on the dual bound proves what no attack takes back") {
  constexpr double size = 0.05;
  const ConfigNode proving =
      without_noise(*this, 60, {"training.dual_bound.size=0.05", "training.dual_bound.ramp=30"});
  train(proving, {.output = folder / "proved"});
  Digits digits(*this);
  digits.network = std::move(load_model(folder / "proved" / "model.safetensors").network);
  DualBound bound(digits.network);
  const Tensor& margins =
      bound.margins(digits.batch.images, digits.batch.labels, size, PixelRange{-0.5f});
  // Some images are proved, and pictures of an attack are not below what is proved of theirs.
  const Tensor pictures = digits.perturbed({AttackNorm::linf, size, 0.01, 20});
  const Tensor& logits = digits.pass.forward(Stream(), layers::Mode::inference, pictures,
                                             {.seed = 1, .rows = digits.batch.rows});
  int proved = 0;
  for (std::int64_t row = 0; row < margins.rows(); ++row) {
    const auto label = digits.batch.labels[static_cast<std::size_t>(row)];
    bool all = true;
    for (std::int64_t c = 0; c < 10; ++c) {
      if (c == label) continue;
      all = all && margins.row(row)[c] > 0.0f;
      CHECK(logits.row(row)[label] - logits.row(row)[c] >= margins.row(row)[c] - 1e-4f);
    }
    proved += all;
  }
  CHECK(proved >= 4);
}
