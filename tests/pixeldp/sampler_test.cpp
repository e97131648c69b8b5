#include "pixeldp/sampler.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/error.hpp"
#include "kernels/draw_statistics.hpp"
#include "layers/networks/network_builder.hpp"
#include "layers/training_pass.hpp"
#include "pixeldp/device_rows.hpp"
#include "pixeldp/sampling_window.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;
using kernels::Fusion;

namespace {

/// The MNIST CNN with fewer channels, whose votes are undecided, so that a last-bit change could
/// show.
layers::Network noisy_network(int noise_after_layers = 1) {
  const auto relu = kernels::Activation::relu();
  layers::NetworkBuilder builder(
      {.height = 8, .width = 8, .noise_after_layers = noise_after_layers}, 5);
  layers::Value x = builder.convolution_and_noise(
      1, "conv1", builder.start(), {.out_c = 8, .kernel = 5, .stride = 2, .activation = relu});
  x = builder.convolution_and_noise(2, "conv2", x,
                                    {.out_c = 16, .kernel = 5, .stride = 2, .activation = relu});
  builder.dense("fc2", builder.dense("fc1", x, 64, relu), 10, kernels::Activation::identity());
  layers::Network net = std::move(builder).finish();
  net.noise->distribution = kernels::NoiseDistribution::gaussian;
  net.noise->scale = 0.7;
  return net;
}

std::vector<float> pixels_of(std::uint32_t image) { return reference::reals(64, 100 + image); }

using Results = std::map<std::uint32_t, ScoreStatistics>;

template <class AnySampler>
Results run(AnySampler&& sampler, const std::vector<std::uint32_t>& images,
            const DrawRange& draws) {
  Results results;
  std::int64_t expected = 0;
  sampler.run(
      static_cast<std::int64_t>(images.size()), draws,
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
  const layers::Network net = noisy_network();
  const DrawRange draws{.seed = 3, .count = 101};
  const std::vector<std::uint32_t> images = {4, 0, 9, 2, 7};
  const Results reference = run(Sampler(Stream(), net), images, draws);
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
      Sampler sampler(Stream(), net, micro_batch);
      for (const auto& [image, statistics] : run(sampler, {9, 7, 2, 0, 4}, draws)) {
        check_equal(statistics, reference.at(image));
      }
      check_equal(run(sampler, {2}, draws).at(2), reference.at(2));
    }
  }
  omp_set_num_threads(threads);
}

TEST_CASE("draws add up: any split of the draws merges to the same statistics") {
  const layers::Network net = noisy_network();
  Sampler sampler(Stream(), net);
  const ScoreStatistics whole = run(sampler, {6}, {.seed = 1, .count = 150}).at(6);
  ScoreStatistics merged = run(sampler, {6}, {.seed = 1, .first = 0, .count = 37}).at(6);
  const ScoreStatistics rest = run(sampler, {6}, {.seed = 1, .first = 37, .count = 113}).at(6);
  merged += rest;
  check_equal(merged, whole);
}

TEST_CASE("a histogram counts the scores of each draw, whatever the work around them") {
  const layers::Network net = noisy_network();
  const std::vector<std::uint32_t> images = {4, 9};
  const int threads = omp_get_max_threads();
  for (const std::string device : {"cpu", "emulated"}) {
    CAPTURE(device);
    const Stream stream(Device::parse(device));
    DrawRange draws{.seed = 3, .first = 5, .count = 6};
    Sampler sampler(stream, net);
    const Results plain = run(sampler, images, draws);
    CHECK(plain.at(4).histogram.empty());
    std::map<std::uint32_t, std::vector<std::uint64_t>> expected;
    for (const std::uint32_t image : images) expected[image].assign(10 * 32, 0);
    // A draw by itself has its scores for sums.
    for (std::uint32_t draw = 5; draw < 11; ++draw)
      for (const auto& [image, one] : run(sampler, images, {.seed = 3, .first = draw, .count = 1}))
        for (std::size_t i = 0; i < 10 * 32; ++i)
          expected[image][i] += one.sums[i / 32] >= (i % 32 + 1) * (std::uint64_t{1} << 27);
    draws.histogram = true;
    for (const std::int64_t micro_batch : {1, 5, 64})
      for (const int team : {1, 3}) {
        CAPTURE(micro_batch);
        CAPTURE(team);
        omp_set_num_threads(team);
        const Results counted = run(Sampler(stream, net, micro_batch), images, draws);
        omp_set_num_threads(threads);
        for (const std::uint32_t image : images) {
          check_equal(counted.at(image), plain.at(image));
          CHECK(counted.at(image).histogram == expected[image]);
        }
        if (device != "cpu") break;
      }
  }
}

TEST_CASE("seed, stream tag and image id change the noise") {
  const layers::Network net = noisy_network();
  Sampler sampler(Stream(), net);
  const auto sums = [&](const DrawRange& draws) { return run(sampler, {6}, draws).at(6).sums; };
  const auto base = sums({.seed = 1, .count = 20});
  CHECK(base != sums({.seed = 2, .count = 20}));
  CHECK(base != sums({.seed = 1, .tag = StreamTag::selection, .count = 20}));
  CHECK(base != sums({.seed = 1, .first = 20, .count = 20}));
}

TEST_CASE("every draw of a network without noise is the plain network") {
  for (const int position : {0, 1, 2}) {
    layers::Network net = noisy_network(position);
    net.noise->scale = 0.0;
    Tensor images(Shape{1, 8, 8, 1});
    const auto pixels = pixels_of(3);
    std::copy(pixels.begin(), pixels.end(), images.data());
    const std::vector<kernels::NoiseRow> rows = {{0, 0, 0}};
    layers::TrainingPass pass(net);
    const Tensor& logits = pass.forward(Stream(), layers::Mode::inference, images,
                                        {.tag = StreamTag::training, .rows = rows});

    const ScoreStatistics statistics = run(Sampler(Stream(), net), {3}, {.count = 10}).at(3);
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
    const layers::Network net = noisy_network(position);
    const DrawRange draws{.seed = 3, .count = 40};
    const Results cpu = run(Sampler(Stream(), net), {4, 9}, draws);
    const Stream emulated(Device::parse("emulated"));
    const Results gpu = run(Sampler(emulated, net, 16), {4, 9}, draws);
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
    check_equal(run(Sampler(emulated, net, 5), {9}, draws).at(9), gpu.at(9));
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

/// AnySampler: a Sampler or a SamplingLoop.
template <class AnySampler>
Results run_wide(AnySampler&& sampler, const std::vector<std::uint32_t>& images,
                 const DrawRange& draws, std::int64_t pixel_count = 8 * 8) {
  Results results;
  sampler.run(
      std::ssize(images), draws,
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
  const DrawRange draws{.seed = 3, .count = 23};
  const Results reference = run_wide(Sampler(Stream(), net), {4, 0, 9}, draws);
  const int threads = omp_get_max_threads();
  for (const int team : {1, 3}) {
    omp_set_num_threads(team);
    for (const std::int64_t micro_batch : {1, 7, 64}) {
      CAPTURE(team);
      CAPTURE(micro_batch);
      for (const auto& [image, statistics] :
           run_wide(Sampler(Stream(), net, micro_batch), {9, 4}, draws))
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
    const ScoreStatistics statistics = run_wide(Sampler(Stream(), net), {3}, {.count = 4}).at(3);
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
    const DrawRange draws{.seed = 3, .count = 6};
    const Results cpu = run_wide(Sampler(Stream(), net), {4, 9}, draws);
    const Results gpu = run_wide(Sampler(emulated, net, 4), {4, 9}, draws);
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
    check_equal(run_wide(Sampler(emulated, net, 3), {9}, draws).at(9), gpu.at(9));
  }
}

TEST_CASE("noise inside a wide residual network's first unit counts what the layers do in turn") {
  const Stream emulated(Device::parse("emulated"));
  const auto fused = [&](const kernels::NetworkPlan& network, Fusion fusion) {
    const DeviceNetwork device(emulated, network, 4, {}, fusion);
    return device.body->schedule().launches.front().step.has_value();
  };
  const auto check = [&](const layers::Network& net, std::int64_t pixel_count) {
    const kernels::NetworkPlan network = lower(Stream(), net);
    REQUIRE(fused(network, Fusion::allowed));
    REQUIRE_FALSE(fused(network, Fusion::none));
    const DrawRange draws{.seed = 3, .first = 5, .count = 3};
    const auto run = [&](Fusion fusion) {
      return run_wide(*make_device_sampling_loop(emulated, network, 4, {}, fusion), {4, 9}, draws,
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
  check(small_wide_resnet(1, 8, 20), 8 * 20);  // more than one square of the kernel

  // Noise in the image has no such kernel.
  CHECK_FALSE(fused(lower(Stream(), small_wide_resnet(0)), Fusion::allowed));
}

TEST_CASE("a device's windows, their growth and the parts of many draws do not show") {
  const Stream emulated(Device::parse("emulated"));
  const std::vector<std::uint32_t> images = {4, 9, 0};
  const auto check = [&](const kernels::NetworkPlan& network, const auto& run_loop) {
    const DrawRange draws{.seed = 3, .first = 5, .count = 6};
    const auto with = [&](WindowRows rows) {
      return run_loop(*make_device_sampling_loop(emulated, network, 4, {}, Fusion::allowed, rows),
                      draws);
    };
    const Results at_once = with({.first = 8192, .most = 8192, .seconds = 1.0});
    REQUIRE(at_once.size() == images.size());
    for (const WindowRows rows :
         {WindowRows{6, 6, 1.0}, WindowRows{6, 18, 1.0}, WindowRows{12, 1 << 20, 1.0},
          WindowRows{4, 4, 1.0}, WindowRows{1, 1, 1.0}}) {
      CAPTURE(rows.first);
      CAPTURE(rows.most);
      for (const auto& [image, statistics] : with(rows)) check_equal(statistics, at_once.at(image));
    }
  };
  check(lower(Stream(), noisy_network()),
        [&](SamplingLoop& loop, const DrawRange& draws) { return run(loop, images, draws); });
  check(lower(Stream(), small_wide_resnet(1)),
        [&](SamplingLoop& loop, const DrawRange& draws) { return run_wide(loop, images, draws); });
}

TEST_CASE("windows grow to about a second, within the limits of rows and prefixes") {
  const WindowSize mnist(14 * 14 * 32, 500);
  CHECK(mnist.first() == 17);        // 8192 rows
  CHECK(mnist.next(17, 0.5) == 34);  // twice as many take a second
  CHECK(mnist.next(17, 0.6) == 17);  // less than twice: not worth new memory
  CHECK(mnist.next(17, 2.0) == 17);
  CHECK(mnist.next(17, 0.0) == 17 * 64);  // at most so much at once
  CHECK(mnist.next(500, 0.0) == 2098);    // 2^20 rows
  CHECK(mnist.next(1088, 0.0) == 1088);   // 2098 are less than twice as many
  CHECK(mnist.next(2098, 0.0) == 2098);
  const WindowSize wide(std::int64_t{32} * 32 * 160, 2);
  CHECK(wide.first() == 102);  // prefixes of 64 MiB
  CHECK(wide.next(102, 0.01) == 102);
  CHECK(WindowSize(1 << 30, 1).first() == 1);
  CHECK(WindowSize(1, 1'000'000).first() == 1);
}

TEST_CASE("a window grows by its own time, once") {
  const Stream emulated(Device::parse("emulated"));
  constexpr std::int64_t images = 200, most = 64;  // so much larger a window may become at once
  const auto loop =
      make_device_sampling_loop(emulated, lower(Stream(), noisy_network()), 4, {}, Fusion::allowed,
                                {.first = 1, .most = images, .seconds = 1e9});
  std::atomic<std::int64_t> read = 0;
  std::vector<std::int64_t> read_by;  // when image i was given
  loop->run(
      images, {.seed = 3, .count = 1},
      [&](std::int64_t, float* pixels) {
        ++read;
        std::fill_n(pixels, 64, 0.5f);
        return 1u;
      },
      [&](std::int64_t, const ScoreStatistics&) {
        read_by.push_back(read);
        return true;
      });
  REQUIRE(read_by.size() == images);
  CHECK(read_by[0] == 2);             // two windows of an image each
  CHECK(read_by[1] == 2 + most);      // the third is larger
  CHECK(read_by[2] == 2 + 2 * most);  // the second, begun before, did not make it grow again
}

TEST_CASE("on a device too, a consumer may stop the run, and exceptions pass through") {
  const layers::Network net = noisy_network();
  const Stream emulated(Device::parse("emulated"));
  const auto loop =
      make_device_sampling_loop(emulated, lower(Stream(), net), 4, {}, Fusion::allowed,
                                {.first = 6, .most = 6, .seconds = 1.0});
  const auto source = [](std::int64_t i, float* pixels) {
    std::fill_n(pixels, 64, i == 7 ? std::nanf("") : 0.5f);
    return static_cast<std::uint32_t>(i);
  };
  int taken = 0;
  const auto stop_at = [&](int last) {
    return [&taken, last](std::int64_t, const ScoreStatistics&) { return ++taken < last; };
  };
  loop->run(1000, {.count = 3}, source, stop_at(3));
  CHECK(taken == 3);
  taken = 0;
  CHECK_THROWS_AS(loop->run(1000, {.count = 3}, source, stop_at(1000)), Error);  // not a number
  CHECK(taken == 6);  // those of the windows before
  taken = 0;
  CHECK_THROWS_AS(loop->run(
                      10, {.count = 3},
                      [](std::int64_t i, float*) -> std::uint32_t {
                        if (i == 5) throw std::runtime_error("no");
                        return 0;
                      },
                      stop_at(1000)),
                  std::runtime_error);
  CHECK(taken == 4);  // of the windows that were whole
  taken = 0;
  loop->run(5, {.count = 3}, source, stop_at(1000));  // goes on after all of that
  CHECK(taken == 5);
}

TEST_CASE("a consumer may stop the run; exceptions pass through; absurd plans are refused") {
  const layers::Network net = noisy_network();
  Sampler sampler(Stream(), net);
  const auto source = [](std::int64_t i, float* pixels) {
    std::fill_n(pixels, 64, 0.5f);
    return static_cast<std::uint32_t>(i);
  };
  int taken = 0;
  sampler.run(1000, {.count = 3}, source,
              [&](std::int64_t, const ScoreStatistics&) { return ++taken < 4; });
  CHECK(taken == 4);
  CHECK_THROWS_AS(sampler.run(10, {.count = 3}, source,
                              [](std::int64_t, const ScoreStatistics&) -> bool {
                                throw std::runtime_error("no");
                              }),
                  std::runtime_error);
  CHECK_THROWS_AS(sampler.run(
                      10, {.count = 3},
                      [](std::int64_t i, float*) -> std::uint32_t {
                        if (i == 5) throw std::runtime_error("no");
                        return 0;
                      },
                      [](std::int64_t, const ScoreStatistics&) { return true; }),
                  std::runtime_error);
  const auto ignore = [](std::int64_t, const ScoreStatistics&) { return true; };
  CHECK_THROWS_AS(sampler.run(1, {.count = 0}, source, ignore), Error);
  CHECK_THROWS_AS(sampler.run(1, {.first = 0xffffffff, .count = 2}, source, ignore), Error);
  CHECK_THROWS_AS(Sampler(Stream(), net, -1), Error);
  sampler.run(0, {.count = 1}, source, ignore);
}
