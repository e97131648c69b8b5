#include <cmath>
#include <map>
#include <numbers>
#include <random>

#include <doctest/doctest.h>

#include "kernels/lattice_noise.hpp"
#include "pixeldp/certificate.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/sampling_loop.hpp"
#include "pixeldp/special_functions.hpp"
#include "pixeldp/variation.hpp"
#include "tests/throws_error.hpp"

/// Attacks on what arithmetic gives away: networks built to tell two images apart by it, which
/// break certificates of noise in floats and none of noise on a lattice; and the sizes that a
/// variation leaves.

using namespace pixeldp;
using kernels::InferencePlan, kernels::InferenceStep, kernels::NetworkPlan;

namespace {

/// The feature that any function of a row is: 1 where it holds, else -1.
class Recogniser : public kernels::RowOperation {
 public:
  using Holds = std::function<bool(std::span<const float>)>;
  Recogniser(std::int64_t elements, Holds holds) : elements_(elements), holds_(std::move(holds)) {}

  std::string_view name() const override { return "recogniser"; }
  std::vector<std::int64_t> input_sizes() const override { return {elements_}; }
  std::int64_t output_size() const override { return 1; }
  void run(std::span<const float* const> x, float* y) const override {
    y[0] = holds_({x[0], static_cast<std::size_t>(elements_)}) ? 1.0f : -1.0f;
  }
  void backward(std::span<const float* const>, const float*, const float*,
                std::span<float* const>) const override {}

 private:
  std::int64_t elements_;
  Holds holds_;
};

/// Label 0 where `holds` does, of what follows the noise.
NetworkPlan recognising(InferencePlan prefix, float scale, Recogniser::Holds holds) {
  const std::int64_t elements = prefix.sizes.back();
  InferencePlan body(elements);
  body.add({.kind = InferenceStep::Kind::operation,
            .name = "recogniser",
            .inputs = {0},
            .operation = std::make_shared<Recogniser>(elements, std::move(holds))});
  return {.prefix = std::move(prefix),
          .body = std::move(body),
          .distribution = kernels::NoiseDistribution::gaussian,
          .noise_scale = scale,
          .classes = 2,
          .head_weight = {1.0f, -1.0f},
          .head_bias = {0.0f, 0.0f}};
}

struct Outcome {
  int label = -1;
  double radius = 0.0;
};

/// `charged`: for all that noise in floats is charged for.
Outcome outcome(const NetworkPlan& network, double sensitivity, bool sound,
                const std::vector<std::uint8_t>& image, bool charged,
                std::uint32_t draws = 1'000'000) {
  const auto lattice = sound ? std::make_shared<LatticePrefix>(network, 0.0) : nullptr;
  Calibration calibration{.mechanism = Mechanism::gaussian,
                          .noise_scale = network.noise_scale,
                          .sensitivity = sensitivity};
  if (sound) calibration.sensitivity = lattice->norms(SensitivityForm::tight)[1][1];
  if (charged) {
    calibration.variation = truncation(network.distribution, network.noise_size());
    calibration.prefix_error = prefix_error(network.prefix, 0.0, calibration.mechanism);
  }
  const auto loop = make_host_sampling_loop(network, 64, {}, lattice);
  Certificate certificate;
  loop->run(
      1, {.seed = 1, .count = draws},
      [&](std::int64_t, float* pixels) {
        for (const std::uint8_t u : image) *pixels++ = pixel_value(u, 0.0f);
        return 0u;
      },
      [&](std::int64_t, const ScoreStatistics& statistics) {
        certificate = certify(statistics, calibration, {.alpha = 1e-3});
        return true;
      });
  return {certificate.prediction, certificate.radius};
}

double distance(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  double squares = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += std::pow((a[i] - b[i]) / 255.0, 2);
  return std::sqrt(squares);
}

/// Whether the first image's certificate is wrong about the second.
bool broken(const NetworkPlan& network, double sensitivity, bool sound,
            const std::vector<std::uint8_t>& image, const std::vector<std::uint8_t>& attack,
            bool charged = false) {
  const Outcome certified = outcome(network, sensitivity, sound, image, charged),
                attacked = outcome(network, sensitivity, sound, attack, charged);
  return certified.radius >= distance(image, attack) && attacked.label != certified.label;
}

/// A convolution of one pixel to so many outputs, all of one weight, and what is added to each.
InferencePlan one_pixel_prefix(std::int64_t outputs, float weight, float bias) {
  InferencePlan prefix(1);
  prefix.add({.kind = InferenceStep::Kind::convolution,
              .name = "conv1",
              .inputs = {0},
              .convolution = {.batch = 1,
                              .in_h = 1,
                              .in_w = 1,
                              .in_c = 1,
                              .out_c = outputs,
                              .kernel_h = 1,
                              .kernel_w = 1,
                              .pad_h = {},
                              .pad_w = {}},
              .weight = std::vector<float>(static_cast<std::size_t>(outputs), weight),
              .scale = std::vector<float>(static_cast<std::size_t>(outputs), 1.0f),
              .shift = std::vector<float>(static_cast<std::size_t>(outputs), bias)});
  return prefix;
}

}  // namespace

TEST_CASE("a network that knows which floats can be reached breaks noise in floats alone") {
  constexpr float scale = 0.25373f;
  const float h = pixel_value(64, 0.0f);
  const auto reachable = [&](float y) {
    float z = (y - h) / scale;
    for (int i = 0; i < 4; ++i) z = std::nextafter(z, -100.0f);
    for (int i = 0; i < 9; ++i, z = std::nextafter(z, 100.0f))
      if (std::fma(scale, z, h) == y) return true;
    return false;
  };
  const NetworkPlan network = recognising(
      InferencePlan(2), scale,
      [&](std::span<const float> values) { return reachable(values[0]) && reachable(values[1]); });
  CHECK(broken(network, 1.0, false, {64, 64}, {0, 0}));
  CHECK(broken(network, 1.0, false, {64, 64}, {0, 0}, true));  // which no charge mends
  CHECK_FALSE(broken(network, 1.0, true, {64, 64}, {0, 0}));
  CHECK_FALSE(broken(network, 1.0, true, {0, 0}, {64, 64}));
}

TEST_CASE("a network whose prefix rounds breaks floats, and whole numbers do not round") {
  // Floats next to 2^20 are 1/8 apart, and a pixel moves 16 outputs by 1/4 / 255 each.
  constexpr float scale = 0.25f, bias = 0x1p20f;
  const auto mean_above = [](std::span<const float> values) {
    double sum = 0.0;
    for (const float value : values) sum += value - bias;
    return sum > 16 * 0.0625;
  };
  const NetworkPlan network = recognising(one_pixel_prefix(16, 0.25f, bias), scale, mean_above);
  CHECK(broken(network, 1.0, false, {64}, {63}));
  CHECK_FALSE(broken(network, 1.0, false, {64}, {63}, true));  // rounding, which is charged
  CHECK_FAILS(LatticePrefix(network, 0.0), "1024 noise scales");

  // Where the lattice reaches, floats still round: by more than the sensitivity allows.
  const NetworkPlan smaller =
      recognising(one_pixel_prefix(4096, 0x1p-6f, 0x1p7f), scale, mean_above);
  const LatticePrefix prefix(smaller, 0.0);
  const double sensitivity = prefix.norms(SensitivityForm::tight)[1][1];
  CHECK(sensitivity == doctest::Approx(1.0).epsilon(1e-3));
  const auto floats = kernels::prepare_inference(smaller.prefix, kernels::Precision::fp32);
  std::vector<std::byte> memory(static_cast<std::size_t>(floats->workspace_size()) + 64);
  void* workspace = memory.data();
  std::size_t room = memory.size();
  REQUIRE(std::align(64, memory.size() - 64, workspace, room));
  std::vector<float> y(4096), last;
  std::vector<std::int32_t> n(4096), before;
  double worst = 0.0, worst_whole = 0.0;
  for (int u = 0; u < 256; ++u) {
    const float x = pixel_value(static_cast<std::uint8_t>(u), 0.0f);
    floats->run(1, &x, y.data(), workspace);
    prefix.run(&x, n.data());
    double squares = 0.0, whole_squares = 0.0;
    for (std::size_t i = 0; u > 0 && i < y.size(); ++i) {
      squares += std::pow(y[i] - last[i], 2);
      whole_squares += std::pow(prefix.step() * (n[i] - before[i]), 2);
    }
    worst = std::max(worst, std::sqrt(squares) * 255);
    worst_whole = std::max(worst_whole, std::sqrt(whole_squares) * 255);
    last = y, before = n;
  }
  CHECK(worst > 1.2);
  // Which is what prefix_error is charged for.
  CHECK(worst / 255 <=
        sensitivity / 255 + 2.0 * prefix_error(smaller.prefix, 0.0, Mechanism::gaussian));
  CHECK(worst_whole <= sensitivity);
  CHECK(worst_whole > 0.99 * sensitivity);
}

TEST_CASE("tails: of Laplace noise in floats some values have no rival, on the lattice all have") {
  // Out of 22.2 scales: impossible at h, not at h + 1, so that no factor e^1 holds.
  const kernels::TailTable& tail = kernels::TailTable::of(kernels::NoiseDistribution::laplace);
  constexpr std::int64_t scale = 1 << kernels::lattice_bits;
  for (std::int64_t d = scale; d < 30 * scale; d += scale / 7) {
    const auto here = static_cast<double>(tail(d)), nearer = static_cast<double>(tail(d - scale));
    REQUIRE(here > 0.0);
    CHECK(nearer <=
          std::numbers::e * (1 + 1e-15) * (here + kernels::lattice_error) + kernels::lattice_error);
  }
}

TEST_CASE("a prefix in whole numbers is the convolution, and no pixel moves it more than it may") {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0.0f, 0.2f);
  constexpr std::int64_t side = 7, in = 2, out = 3;
  const kernels::Conv2dShape shape{.batch = 1,
                                   .in_h = side,
                                   .in_w = side,
                                   .in_c = in,
                                   .out_c = out,
                                   .kernel_h = 5,
                                   .kernel_w = 5,
                                   .stride = 2,
                                   .pad_h = kernels::same_padding(side, 5, 2),
                                   .pad_w = kernels::same_padding(side, 5, 2)};
  std::vector<float> weight(static_cast<std::size_t>(shape.weight_size()));
  for (float& w : weight) w = normal(random);
  for (const auto activation : {kernels::Activation::identity(), kernels::Activation::relu()}) {
    InferencePlan plan(side * side * in);
    plan.add({.kind = InferenceStep::Kind::scaling,
              .name = "normalise",
              .inputs = {0},
              .outputs = in,
              .scale = {2.0f, 0.5f},
              .shift = {-0.25f, 0.125f}});
    plan.add({.kind = InferenceStep::Kind::convolution,
              .name = "conv1",
              .inputs = {1},
              .activation = activation,
              .convolution = shape,
              .weight = weight});
    const NetworkPlan network = recognising(plan, 0.5f, [](auto) { return true; });
    const LatticePrefix prefix(network, -0.5);
    REQUIRE(prefix.elements() == 4 * 4 * out);
    const auto floats = kernels::prepare_inference(plan, kernels::Precision::fp32);
    std::vector<std::byte> memory(static_cast<std::size_t>(floats->workspace_size()) + 64);
    void* workspace = memory.data();
    std::size_t room = memory.size();
    REQUIRE(std::align(64, memory.size() - 64, workspace, room));
    std::vector<float> pixels(side * side * in), y(4 * 4 * out);
    std::vector<std::int32_t> n(y.size()), moved(y.size());
    for (float& x : pixels) x = pixel_value(static_cast<std::uint8_t>(random()), -0.5f);
    prefix.run(pixels.data(), n.data());
    floats->run(1, pixels.data(), y.data(), workspace);
    // Each of 50 weights and the constant are off by half a step at most.
    for (std::size_t i = 0; i < y.size(); ++i)
      REQUIRE(std::abs(n[i] * prefix.step() - y[i]) <= (50 * 255 + 1) * 0.5 * prefix.step() + 1e-5);
    const NormTable norms = prefix.norms(SensitivityForm::tight);
    for (std::size_t p = 0; p < pixels.size(); ++p) {
      std::vector<float> other = pixels;
      other[p] = pixel_value(other[p] > 0.0f ? 0 : 255, -0.5f);
      prefix.run(other.data(), moved.data());
      const double change = std::abs(other[p] - pixels[p]);
      double sum = 0.0, squares = 0.0;
      for (std::size_t i = 0; i < n.size(); ++i) {
        const double step = std::abs(prefix.step() * (moved[i] - n[i]));
        sum += step, squares += step * step;
      }
      CHECK(sum <= norms[0][0] * change * (1 + 1e-6));
      CHECK(std::sqrt(squares) <= norms[1][1] * change * (1 + 1e-6));
    }
    pixels[3] += 0.001f;
    CHECK_FAILS(prefix.run(pixels.data(), n.data()), "no pixel of 8 bits");
  }
}

TEST_CASE("what a variation leaves of an attack size holds by the definition") {
  using kernels::RadiusRule;
  const auto phi = [](double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); };
  for (const double variation : {1e-13, 1e-8, 3.5e-5, 1e-3}) {
    for (const auto& [lower, upper] : {std::pair{0.999, 0.001},
                                       {0.99999, 1e-5},
                                       {0.8, 0.1},
                                       {0.4, 0.2},
                                       {0.3, 0.001},
                                       {0.97, 0.6}}) {
      CAPTURE(variation);
      CAPTURE(lower);
      for (const RadiusRule rule : {RadiusRule::gaussian_exact, RadiusRule::laplace_exact,
                                    RadiusRule::laplace, RadiusRule::gaussian}) {
        CAPTURE(static_cast<int>(rule));
        const double without = attack_size_under(0.0, rule, lower, upper);
        const double s = attack_size_under(variation, rule, lower, upper);
        CHECK(s <= without);
        if (variation < 1e-7 && without > 0.0) CHECK(s > 0.99 * without);
        if (s == 0.0) continue;
        const double a = lower - variation, b = upper + variation;
        const auto least = [&](double p) {
          if (rule == RadiusRule::laplace) return std::exp(-s) * p;
          if (rule == RadiusRule::gaussian_exact) return phi(normal_quantile_lower(p) - s);
          if (p <= 0.5) return std::exp(-s) * p;
          const double above = 1.0 - std::exp(s) * (1.0 - p);
          return above >= 0.5 ? above : std::exp(-s) / (4.0 * (1.0 - p));
        };
        // Of the paper's rule, with the best epsilon of a grid.
        double apart =
            least(a) - (rule == RadiusRule::laplace ? std::exp(s) * b : 1.0 - least(1.0 - b));
        if (rule == RadiusRule::gaussian) {
          apart = -1.0;
          for (double epsilon = 0.0005; epsilon <= 1.0; epsilon += 0.0005) {
            const double delta = 1.25 * std::exp(-0.5 * std::pow(epsilon / (s * (1 - 1e-3)), 2));
            apart =
                std::max(apart, (a - delta) / std::exp(epsilon) - std::exp(epsilon) * b - delta);
          }
        }
        CHECK(apart >= 2.0 * variation * (1.0 - 1e-6));
      }
    }
  }
}
