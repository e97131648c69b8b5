#include "pixeldp/multi_draw.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/error.hpp"
#include "kernels/draw_statistics.hpp"
#include "layers/training_pass.hpp"
#include "pixeldp/device_rows.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;
using kernels::Fusion;

namespace {

/// A network small enough for tests, whose votes are undecided, so that a last-bit change could
/// show.
layers::Network small_network(int noise_after_layers = 1) {
  layers::Network net =
      layers::make_network({.height = 8, .width = 8, .noise_after_layers = noise_after_layers}, 5);
  net.noise->distribution = kernels::NoiseDistribution::gaussian;
  net.noise->scale = 0.7;
  return net;
}

std::vector<float> pixels_of(std::uint32_t image) { return reference::reals(64, 100 + image); }

using Results = std::map<std::uint32_t, ScoreStatistics>;

Results run(const MultiDrawPredictor& predictor, const std::vector<std::uint32_t>& images,
            const DrawPlan& plan) {
  Results results;
  std::int64_t expected = 0;
  predictor.run(
      static_cast<std::int64_t>(images.size()), plan,
      [&](std::int64_t i, float* pixels) {
        const auto values = pixels_of(images[static_cast<std::size_t>(i)]);
        std::copy(values.begin(), values.end(), pixels);
        return images[static_cast<std::size_t>(i)];
      },
      [&](std::int64_t i, const ScoreStatistics& statistics) {
        CHECK(i == expected++);
        results[images[static_cast<std::size_t>(i)]] = statistics;
        return true;
      });
  CHECK(expected == static_cast<std::int64_t>(images.size()));
  return results;
}

void check_equal(const ScoreStatistics& a, const ScoreStatistics& b) {
  CHECK(a.draws == b.draws);
  CHECK(a.votes == b.votes);
  CHECK(a.sums == b.sums);
  CHECK(a.squares == b.squares);
}

}  // namespace

TEST_CASE(
    "an image's statistics do not depend on its neighbours, their order, the threads or the "
    "micro-batch") {
  const layers::Network net = small_network();
  const DrawPlan plan{.seed = 3, .draws = 101};
  const std::vector<std::uint32_t> images = {4, 0, 9, 2, 7};
  const Results reference = run(MultiDrawPredictor(Stream(), net), images, plan);
  REQUIRE(reference.size() == 5);
  for (const auto& [image, statistics] : reference) {
    CHECK(std::accumulate(statistics.votes.begin(), statistics.votes.end(), std::uint64_t{0}) ==
          101);
    CHECK(*std::max_element(statistics.votes.begin(), statistics.votes.end()) < 101);
  }

  const int threads = omp_get_max_threads();
  for (const int team : {1, 2, 3}) {
    omp_set_num_threads(team);
    for (const std::int64_t micro_batch : {1, 5, 64, 200}) {
      CAPTURE(team);
      CAPTURE(micro_batch);
      const MultiDrawPredictor predictor(Stream(), net, micro_batch);
      for (const auto& [image, statistics] : run(predictor, {9, 7, 2, 0, 4}, plan)) {
        check_equal(statistics, reference.at(image));
      }
      check_equal(run(predictor, {2}, plan).at(2), reference.at(2));
    }
  }
  omp_set_num_threads(threads);
}

TEST_CASE("draws add up: any split of the draws merges to the same statistics") {
  const layers::Network net = small_network();
  const MultiDrawPredictor predictor(Stream(), net);
  const ScoreStatistics whole = run(predictor, {6}, {.seed = 1, .draws = 150}).at(6);
  ScoreStatistics merged = run(predictor, {6}, {.seed = 1, .first_draw = 0, .draws = 37}).at(6);
  const ScoreStatistics rest =
      run(predictor, {6}, {.seed = 1, .first_draw = 37, .draws = 113}).at(6);
  merged.draws += rest.draws;
  for (std::size_t c = 0; c < merged.votes.size(); ++c) {
    merged.votes[c] += rest.votes[c];
    merged.sums[c] += rest.sums[c];
    merged.squares[c] += rest.squares[c];
  }
  check_equal(merged, whole);
}

TEST_CASE("seed, stream tag and image id change the noise") {
  const layers::Network net = small_network();
  const MultiDrawPredictor predictor(Stream(), net);
  const auto sums = [&](const DrawPlan& plan) { return run(predictor, {6}, plan).at(6).sums; };
  const auto base = sums({.seed = 1, .draws = 20});
  CHECK(base != sums({.seed = 2, .draws = 20}));
  CHECK(base != sums({.seed = 1, .tag = StreamTag::selection, .draws = 20}));
  CHECK(base != sums({.seed = 1, .first_draw = 20, .draws = 20}));
}

TEST_CASE("every draw of a network without noise is the plain network") {
  for (const int position : {0, 1, 2}) {
    layers::Network net = small_network(position);
    net.noise->scale = 0.0;
    Tensor images(Shape{1, 8, 8, 1});
    const auto pixels = pixels_of(3);
    std::copy(pixels.begin(), pixels.end(), images.data());
    const std::vector<kernels::NoiseRow> rows = {{0, 0, 0}};
    layers::TrainingPass pass(net);
    const Tensor& logits = pass.forward(Stream(), layers::Mode::inference, images,
                                        {.tag = StreamTag::training, .rows = rows});

    const ScoreStatistics statistics =
        run(MultiDrawPredictor(Stream(), net), {3}, {.draws = 10}).at(3);
    double total = 0.0;
    for (int c = 0; c < 10; ++c) total += std::exp(double{logits.data()[c]});
    for (std::size_t c = 0; c < 10; ++c) {
      const double score = std::exp(double{logits.data()[c]}) / total;
      CHECK(statistics.sums[c] % 10 == 0);  // all draws alike
      CHECK(static_cast<double>(statistics.sums[c]) * kernels::score_unit / 10 ==
            doctest::Approx(score).epsilon(1e-5));
    }
    CHECK(statistics.votes[static_cast<std::size_t>(statistics.top_label(ScoreType::softmax))] ==
          10);
  }
}

TEST_CASE(
    "the GPU kernels count what the processor counts, up to the rounding to bf16 after the noise") {
  for (const int position : {0, 1, 2}) {
    CAPTURE(position);
    const layers::Network net = small_network(position);
    const DrawPlan plan{.seed = 3, .draws = 40};
    const Results cpu = run(MultiDrawPredictor(Stream(), net), {4, 9}, plan);
    const Stream emulated(Device::parse("emulated"));
    const Results gpu = run(MultiDrawPredictor(emulated, net, 16), {4, 9}, plan);
    for (const std::uint32_t image : {4u, 9u}) {
      const ScoreStatistics &a = cpu.at(image), &b = gpu.at(image);
      CHECK(b.draws == 40);
      CHECK(std::accumulate(b.votes.begin(), b.votes.end(), std::uint64_t{0}) == 40);
      for (std::size_t c = 0; c < 10; ++c) {
        // A logit is a sum of products of numbers rounded to 8 bits; a draw votes otherwise only on
        // a near tie.
        const double mean_a = static_cast<double>(a.sums[c]) * kernels::score_unit / 40;
        const double mean_b = static_cast<double>(b.sums[c]) * kernels::score_unit / 40;
        CHECK(std::abs(mean_a - mean_b) < 2e-3);
        CHECK(std::abs(static_cast<double>(a.votes[c]) - static_cast<double>(b.votes[c])) <= 2);
      }
    }
    // On this device too, neighbours and the micro-batch do not matter.
    check_equal(run(MultiDrawPredictor(emulated, net, 5), {9}, plan).at(9), gpu.at(9));
  }
}

namespace {

layers::Network small_wide_resnet(int position, std::int64_t height = 8, std::int64_t width = 8) {
  layers::NetworkSpec spec = tests::small_resnet_spec("wide-resnet", position);
  spec.height = height, spec.width = width;
  layers::Network net = layers::make_network(spec, 5);
  tests::unsettle_normalisations(net);
  net.noise->distribution = kernels::NoiseDistribution::gaussian;
  net.noise->scale = 0.3;
  return net;
}

/// Predictor: a MultiDrawPredictor or a DrawLoop.
template <class Predictor>
Results run_wide(const Predictor& predictor, const std::vector<std::uint32_t>& images,
                 const DrawPlan& plan, std::int64_t pixel_count = 8 * 8) {
  Results results;
  predictor.run(
      std::ssize(images), plan,
      [&](std::int64_t i, float* pixels) {
        const std::uint32_t image = images[static_cast<std::size_t>(i)];
        const auto values = reference::reals(pixel_count * 3, 100 + image);
        std::copy(values.begin(), values.end(), pixels);
        return image;
      },
      [&](std::int64_t i, const ScoreStatistics& statistics) {
        results[images[static_cast<std::size_t>(i)]] = statistics;
        return true;
      });
  return results;
}

}  // namespace

TEST_CASE("a wide residual network's statistics do not depend on the work around them") {
  const layers::Network net = small_wide_resnet(1);
  const DrawPlan plan{.seed = 3, .draws = 23};
  const Results reference = run_wide(MultiDrawPredictor(Stream(), net), {4, 0, 9}, plan);
  const int threads = omp_get_max_threads();
  for (const int team : {1, 3}) {
    omp_set_num_threads(team);
    for (const std::int64_t micro_batch : {1, 7, 64}) {
      CAPTURE(team);
      CAPTURE(micro_batch);
      for (const auto& [image, statistics] :
           run_wide(MultiDrawPredictor(Stream(), net, micro_batch), {9, 4}, plan))
        check_equal(statistics, reference.at(image));
    }
  }
  omp_set_num_threads(threads);
}

TEST_CASE("a wide residual network without noise is the plain network in inference mode") {
  for (const int position : {0, 1}) {
    layers::Network net = small_wide_resnet(position);
    net.noise->scale = 0.0;
    Tensor images(Shape{1, 8, 8, 3});
    const auto pixels = reference::reals(images.size(), 100 + 3);
    std::copy(pixels.begin(), pixels.end(), images.data());
    const std::vector<kernels::NoiseRow> rows = {{0, 0, 0}};
    layers::TrainingPass pass(net);
    const Tensor& logits = pass.forward(Stream(), layers::Mode::inference, images,
                                        {.tag = StreamTag::training, .rows = rows});
    double total = 0.0;
    for (int c = 0; c < 10; ++c) total += std::exp(double{logits.data()[c]});
    const ScoreStatistics statistics =
        run_wide(MultiDrawPredictor(Stream(), net), {3}, {.draws = 4}).at(3);
    for (std::size_t c = 0; c < 10; ++c) {
      CHECK(statistics.sums[c] % 4 == 0);  // all draws alike
      CHECK(static_cast<double>(statistics.sums[c]) * kernels::score_unit / 4 ==
            doctest::Approx(std::exp(double{logits.data()[c]}) / total).epsilon(1e-4));
    }
  }
}

TEST_CASE("the GPU kernels count what the processor counts, of a wide residual network") {
  const Stream emulated(Device::parse("emulated"));
  for (const int position : {0, 1}) {
    CAPTURE(position);
    const layers::Network net = small_wide_resnet(position);
    const DrawPlan plan{.seed = 3, .draws = 6};
    const Results cpu = run_wide(MultiDrawPredictor(Stream(), net), {4, 9}, plan);
    const Results gpu = run_wide(MultiDrawPredictor(emulated, net, 4), {4, 9}, plan);
    for (const std::uint32_t image : {4u, 9u}) {
      for (std::size_t c = 0; c < 10; ++c) {
        const auto mean = [&](const Results& r) {
          return static_cast<double>(r.at(image).sums[c]) * kernels::score_unit / 6;
        };
        CHECK(std::abs(mean(cpu) - mean(gpu)) < 1e-2);  // rounding to bf16 in eight layers
        const auto votes = [&](const Results& r) {
          return static_cast<std::int64_t>(r.at(image).votes[c]);
        };
        CHECK(std::abs(votes(cpu) - votes(gpu)) <= 1);  // on a near tie
      }
    }
    check_equal(run_wide(MultiDrawPredictor(emulated, net, 3), {9}, plan).at(9), gpu.at(9));
  }
}

TEST_CASE("noise inside a wide residual network's first unit counts what the layers do in turn") {
  const Stream emulated(Device::parse("emulated"));
  const auto fused = [&](const kernels::NetworkPlan& network, Fusion fusion) {
    const DeviceNetwork device(emulated, network, 4, fusion);
    return device.body->schedule().launches.front().step.has_value();
  };
  const auto check = [&](const layers::Network& net, std::int64_t pixel_count) {
    const kernels::NetworkPlan network = lower(Stream(), net);
    REQUIRE(fused(network, Fusion::allowed));
    REQUIRE_FALSE(fused(network, Fusion::none));
    const DrawPlan plan{.seed = 3, .first_draw = 5, .draws = 3};
    const auto run = [&](Fusion fusion) {
      return run_wide(*make_device_draw_loop(emulated, network, 4, fusion), {4, 9}, plan,
                      pixel_count);
    };
    const Results at_once = run(Fusion::allowed), layered = run(Fusion::none);
    REQUIRE(at_once.size() == 2);
    for (const auto& [image, statistics] : at_once) check_equal(statistics, layered.at(image));
  };
  layers::Network small = small_wide_resnet(1);
  check(small, 8 * 8);
  small.noise->distribution = kernels::NoiseDistribution::laplace;
  check(small, 8 * 8);
  check(small_wide_resnet(1, 16, 20), 16 * 20);  // more than one square of the kernel

  // Noise in the image has no such kernel.
  CHECK_FALSE(fused(lower(Stream(), small_wide_resnet(0)), Fusion::allowed));
}

TEST_CASE("a consumer may stop the run; exceptions pass through; absurd plans are refused") {
  const layers::Network net = small_network();
  const MultiDrawPredictor predictor(Stream(), net);
  const auto source = [](std::int64_t i, float* pixels) {
    std::fill_n(pixels, 64, 0.5f);
    return static_cast<std::uint32_t>(i);
  };
  int taken = 0;
  predictor.run(1000, {.draws = 3}, source,
                [&](std::int64_t, const ScoreStatistics&) { return ++taken < 4; });
  CHECK(taken == 4);
  CHECK_THROWS_AS(predictor.run(10, {.draws = 3}, source,
                                [](std::int64_t, const ScoreStatistics&) -> bool {
                                  throw std::runtime_error("no");
                                }),
                  std::runtime_error);
  CHECK_THROWS_AS(predictor.run(
                      10, {.draws = 3},
                      [](std::int64_t i, float*) -> std::uint32_t {
                        if (i == 5) throw std::runtime_error("no");
                        return 0;
                      },
                      [](std::int64_t, const ScoreStatistics&) { return true; }),
                  std::runtime_error);
  const auto ignore = [](std::int64_t, const ScoreStatistics&) { return true; };
  CHECK_THROWS_AS(predictor.run(1, {.draws = 0}, source, ignore), Error);
  CHECK_THROWS_AS(predictor.run(1, {.first_draw = 0xffffffff, .draws = 2}, source, ignore), Error);
  CHECK_THROWS_AS(MultiDrawPredictor(Stream(), net, -1), Error);
  predictor.run(0, {.draws = 1}, source, ignore);
}
