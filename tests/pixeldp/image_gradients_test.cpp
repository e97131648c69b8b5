#include "pixeldp/image_gradients.hpp"

#include <cmath>
#include <numeric>
#include <string>

#include <doctest/doctest.h>
#include <omp.h>

#include "tests/layers/made_network.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

constexpr std::int64_t image_values = 8 * 8 * 3;

layers::Network noisy_network(const std::string& architecture, int position, double scale) {
  layers::NetworkSpec spec = tests::small_resnet_spec(architecture, position);
  if (architecture == "mnist-cnn") spec.depth = spec.widening = 0;
  layers::Network network = layers::make_network(spec, 3);
  tests::unsettle_normalisations(network);
  network.noise->distribution = kernels::NoiseDistribution::gaussian;
  network.noise->scale = scale;
  return network;
}

/// Images 0 ... count - 1, each the same in any company.
Tensor made_images(const std::vector<std::uint32_t>& ids) {
  Tensor images({static_cast<std::int64_t>(ids.size()), 8, 8, 3});
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto values = reference::reals(image_values, 50 + ids[i]);
    std::copy(values.begin(), values.end(), images.row(static_cast<std::int64_t>(i)));
  }
  return images;
}

AimedImage aimed(std::uint32_t id, bool targeted) {
  return {.id = id, .aim = {.label = static_cast<int>(id % 10), .targeted = targeted}};
}

std::vector<AimedImage> aimed(const std::vector<std::uint32_t>& ids, bool targeted = false) {
  std::vector<AimedImage> all;
  for (const std::uint32_t id : ids) all.push_back(aimed(id, targeted));
  return all;
}

struct Gradients {
  double loss = 0.0;
  std::uint64_t reached = 0;
  std::vector<float> gradient;
  bool operator==(const Gradients&) const = default;
};

std::vector<Gradients> run(ImageGradients& gradients, const std::vector<std::uint32_t>& ids,
                           DrawsLoss loss, const DrawRange& draws) {
  Tensor result;
  const auto values = gradients.run(made_images(ids), aimed(ids), loss, draws, result);
  std::vector<Gradients> all;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const float* const row = result.row(static_cast<std::int64_t>(i));
    all.push_back({values[i].loss, values[i].reached, {row, row + image_values}});
  }
  return all;
}

double length(std::span<const float> values) {
  double sum = 0.0;
  for (const float v : values) sum += double{v} * double{v};
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("finite differences confirm the gradient of every loss of many draws in the image") {
  const Stream stream;
  const std::vector<std::uint32_t> ids = {1, 4};
  for (const char* architecture : {"mnist-cnn", "wide-resnet"}) {
    for (const int position : {0, 1}) {
      layers::Network network = noisy_network(architecture, position, 0.2);
      ImageGradients gradients(stream, network);
      for (const DrawsLoss loss : draws_losses) {
        for (const bool targeted : {false, true}) {
          CAPTURE(architecture);
          CAPTURE(position);
          CAPTURE(name(loss));
          CAPTURE(targeted);
          const DrawRange draws{.seed = 6, .tag = StreamTag::attack, .first = 40, .count = 19};
          Tensor images = made_images(ids), of_images, ignored;
          const auto evaluate = [&](std::size_t i) {
            return gradients.run(images, aimed(ids, targeted), loss, draws, ignored)[i].loss;
          };
          gradients.run(images, aimed(ids, targeted), loss, draws, of_images);
          for (std::size_t i = 0; i < ids.size(); ++i) {
            const auto row = static_cast<std::int64_t>(i);
            const std::span<float> x(images.row(row), image_values);
            const std::span<const float> g(of_images.row(row), image_values);
            const std::vector<float> kept(x.begin(), x.end());
            const double norm = length(g);
            if (loss == DrawsLoss::hinge && evaluate(i) == 0.0) {
              CHECK(norm == 0.0);
              continue;
            }
            REQUIRE(norm > 0.0);
            // Along the gradient the derivative is its norm.
            const auto moved = [&](double step) {
              for (std::size_t k = 0; k < x.size(); ++k)
                x[k] = static_cast<float>(kept[k] + step * g[k] / norm);
              return evaluate(i);
            };
            const double h = 2e-3, difference = (moved(h) - moved(-h)) / (2 * h);
            std::ranges::copy(kept, x.begin());
            CHECK(difference == doctest::Approx(norm).epsilon(0.02));
          }
        }
      }
    }
  }
}

TEST_CASE(
    "an image's gradient has the same bits in any company, micro-batch and number of threads") {
  const std::vector<std::uint32_t> ids = {5, 3, 9, 0, 7};
  const DrawRange draws{.seed = 1, .tag = StreamTag::attack, .first = 7, .count = 13};
  for (const char* architecture : {"mnist-cnn", "wide-resnet"}) {
    CAPTURE(architecture);
    layers::Network network = noisy_network(architecture, 1, 0.3);
    for (const DrawsLoss loss : {DrawsLoss::cross_entropy, DrawsLoss::mean_score}) {
      const Stream stream;
      ImageGradients usual(stream, network);
      const std::vector<Gradients> expected = run(usual, ids, loss, draws);
      CHECK(expected[0].gradient != expected[1].gradient);
      for (const std::int64_t micro_batch : {1, 17, 32, 48, 1000}) {
        CAPTURE(micro_batch);
        ImageGradients gradients(stream, network, micro_batch);
        CHECK(run(gradients, ids, loss, draws) == expected);
      }
      for (std::size_t i = 0; i < ids.size(); ++i) {
        CHECK(run(usual, {ids[i]}, loss, draws)[0] == expected[i]);
        CHECK(run(usual, {8, ids[i], 6}, loss, draws)[1] == expected[i]);
      }
      const int threads = omp_get_max_threads();
      for (const int other : {1, 3}) {
        CAPTURE(other);
        omp_set_num_threads(other);
        ImageGradients gradients(stream, network);
        CHECK(run(gradients, ids, loss, draws) == expected);
      }
      omp_set_num_threads(threads);
    }
  }
}

TEST_CASE(
    "devices take the gradients that the processor takes, with the same bits in any company") {
  const DrawRange draws{.seed = 1, .tag = StreamTag::attack, .first = 0, .count = 5};
  for (const char* architecture : {"mnist-cnn", "wide-resnet"}) {
    CAPTURE(architecture);
    layers::Network network = noisy_network(architecture, 1, 0.3);
    const Stream processor;
    ImageGradients here(processor, network);
    const std::vector<Gradients> expected = run(here, {2, 6, 1}, DrawsLoss::mean_score, draws);

    const Stream stream(Device{DeviceKind::emulated});
    network.move_to(stream, stream.device());
    ImageGradients there(stream, network), small(stream, network, 8);
    const std::vector<Gradients> results = run(there, {2, 6, 1}, DrawsLoss::mean_score, draws);
    for (std::size_t i = 0; i < results.size(); ++i) {
      CHECK(results[i].loss == doctest::Approx(expected[i].loss).epsilon(2e-2));
      std::vector<float> difference;
      for (std::size_t k = 0; k < expected[i].gradient.size(); ++k)
        difference.push_back(results[i].gradient[k] - expected[i].gradient[k]);
      // Operands are rounded to 11 significant bits; a ReLU near 0 may turn with them.
      CHECK(length(difference) < 0.03 * length(expected[i].gradient));
    }
    if (architecture == std::string("mnist-cnn")) continue;  // which takes long
    CHECK(run(small, {2, 6, 1}, DrawsLoss::mean_score, draws) == results);
    CHECK(run(there, {6}, DrawsLoss::mean_score, draws)[0] == results[1]);
  }
}

TEST_CASE("losses of draws are what they say, and mean-score keeps a direction where floats end") {
  const std::vector<std::vector<float>> logits = {{2.0f, 0.5f, -1.0f}, {0.0f, 3.0f, 1.0f}};
  const auto value = [&](DrawsLoss loss, Aim aim) {
    DrawsLossSum sum(loss, aim, logits.size());
    for (const auto& z : logits) sum.add(z);
    return sum.value();
  };
  const auto score = [&](std::size_t draw, std::size_t label) {
    double sum = 0.0;
    for (const float z : logits[draw]) sum += std::exp(z);
    return std::exp(logits[draw][label]) / sum;
  };
  const Aim away{.label = 0, .targeted = false}, to{.label = 0, .targeted = true};
  CHECK(value(DrawsLoss::cross_entropy, away).loss ==
        doctest::Approx((std::log(score(0, 0)) + std::log(score(1, 0))) / 2));
  CHECK(value(DrawsLoss::mean_score, away).loss ==
        doctest::Approx(std::log((score(0, 0) + score(1, 0)) / 2)));
  CHECK(value(DrawsLoss::hinge, away).loss == doctest::Approx(1.5 / 2));
  CHECK(value(DrawsLoss::margin, away).loss == doctest::Approx((1.5 - 3.0) / 2));
  CHECK(value(DrawsLoss::hinge, to).loss == doctest::Approx(3.0 / 2));
  CHECK(value(DrawsLoss::margin, to).loss == doctest::Approx((3.0 - 1.5) / 2));
  CHECK(value(DrawsLoss::cross_entropy, to).loss == -value(DrawsLoss::cross_entropy, away).loss);
  CHECK(value(DrawsLoss::hinge, away).reached == 1);
  CHECK(value(DrawsLoss::hinge, to).reached == 1);
  CHECK(value(DrawsLoss::hinge, away).mean_scores[1] ==
        doctest::Approx((score(0, 1) + score(1, 1)) / 2));

  std::vector<float> gradient(3);
  draws_loss_gradient(DrawsLoss::mean_score, to, 1, std::vector<float>{-500.0f, 0.0f, 400.0f},
                      gradient);
  CHECK(gradient[0] < 0.0f);
  CHECK(gradient[2] > 0.0f);
}

TEST_CASE("gradients that make no sense are refused") {
  const Stream stream;
  layers::Network network = noisy_network("mnist-cnn", 1, 0.3);
  ImageGradients gradients(stream, network);
  Tensor result;
  const auto refused = [&](const std::vector<AimedImage>& aims, const DrawRange& draws,
                           const std::string& text) {
    CHECK_FAILS(gradients.run(made_images({1}), aims, DrawsLoss::hinge, draws, result),
                text.c_str());
  };
  refused({{1, {.label = 10}}}, {}, "an attack on label 10: there are 10 classes, from 0 on");
  refused({{1, {.label = -1}}}, {}, "an attack on label -1: there are 10 classes, from 0 on");
  refused({{1, {}}}, {.count = 0}, "the number of draws must be at least 1");
  refused({}, {}, "gradients in images 1x8x8x3 with 0 aims: the network takes 1x8x8x3");
  CHECK_FAILS(parse_draws_loss("magic"),
              "unknown loss 'magic': use cross-entropy, mean-score, hinge or margin");
}
