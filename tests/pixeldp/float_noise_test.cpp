#include "pixeldp/float_noise.hpp"

#include <cmath>
#include <memory>
#include <numbers>
#include <random>

#include <doctest/doctest.h>

#include "kernels/cpu/plain.hpp"
#include "kernels/formulas/noise.hpp"
#include "pixeldp/cdf_certificate.hpp"
#include "pixeldp/special_functions.hpp"
#include "pixeldp/top_k.hpp"
#include "pixeldp/variation.hpp"
#include "tests/throws_error.hpp"

/// What certificates of noise in floats are charged: where the noise ends, and what rounding does
/// before it.

namespace pixeldp::float_noise_test {
namespace {

using kernels::InferencePlan, kernels::InferenceStep, kernels::NoiseDistribution;
using kernels::RadiusRule, kernels::cpu::Plain;

TEST_CASE("noise ends where ideal noise is with the probability that truncation says") {
  // Word 0 gives the largest radius, whatever the angle's word.
  double farthest = 0.0;
  for (std::uint32_t word = 0; word < 1u << 31; word += 0x01234567u) {
    Plain::Floats z0, z1;
    kernels::GaussianTransform::apply<Plain>({Plain::Words{}, Plain::Words{} + word}, z0, z1);
    farthest = std::max(farthest, std::hypot(double{z0[0]}, double{z1[0]}));
  }
  CHECK(farthest == doctest::Approx(6.7637).epsilon(1e-5));
  CHECK(truncation(NoiseDistribution::gaussian, 2) ==
        doctest::Approx(std::exp(-0.5 * farthest * farthest)).epsilon(1e-4));
  const auto last = kernels::LaplaceTransform::signed_log<Plain>(Plain::Words{});
  CHECK(truncation(NoiseDistribution::laplace, 1) ==
        doctest::Approx(std::exp(-double{last[0]})).epsilon(1e-4));
  CHECK(truncation(NoiseDistribution::gaussian, 1) == 0x1p-33);
  CHECK(truncation(NoiseDistribution::gaussian, 3072) == 1536 * 0x1p-33);
  CHECK(truncation(NoiseDistribution::laplace, 150528) == 150528 * 0x1p-32);
  CHECK_FAILS(truncation(NoiseDistribution::none, 1), "never cut off");
}

TEST_CASE("what truncation costs: little of a Gaussian radius, a sixth of Laplace's at most") {
  // All of a million draws agree, a Clopper-Pearson bound at 0.0005.
  const double lower = std::exp(std::log(0.0005) / 1e6);
  const auto share = [&](RadiusRule rule, double variation) {
    const double without = attack_size_under(0.0, rule, lower, 1.0 - lower);
    return 1.0 - attack_size_under(variation, rule, lower, 1.0 - lower) / without;
  };
  const double cifar =
      share(RadiusRule::gaussian_exact, truncation(NoiseDistribution::gaussian, 3072));
  CHECK(cifar > 0.0011);
  CHECK(cifar < 0.0013);
  // Did each element end by itself, at 6.7637, it would be a quarter of that.
  CHECK(share(RadiusRule::gaussian_exact, 3072 * 1.35e-11) == doctest::Approx(0.0003).epsilon(0.1));
  const double imagenet =
      share(RadiusRule::laplace_exact, truncation(NoiseDistribution::laplace, 150528));
  CHECK(imagenet > 0.155);
  CHECK(imagenet < 0.157);
}

TEST_CASE("twice the rounding before the noise is taken off an attack size") {
  Calibration calibration{.mechanism = Mechanism::gaussian,
                          .noise_scale = 0.5,
                          .sensitivity = 0.25,
                          .prefix_error = 0.125};
  CHECK(less_rounding(2.0, calibration) <= 1.5);
  CHECK(less_rounding(2.0, calibration) == doctest::Approx(1.5).epsilon(1e-14));
  CHECK(less_rounding(0.5, calibration) == 0.0);
  CHECK(less_rounding(0.25, calibration) == 0.0);
  CHECK(less_rounding(2.0, uncharged(calibration)) == 2.0);
  // 0.5 / 0.25 (size - 0.5)
  const double size = normal_quantile_lower(0.9);
  CHECK(certified_radius(CertificateKind::exact, calibration, 0.9, 0.1) ==
        doctest::Approx(2.0 * (size - 0.5)).epsilon(1e-12));
  ScoreStatistics votes{.draws = 1000, .votes = {990, 7, 3}, .sums = {}, .squares = {}};
  for (const int top : {1, 2}) {
    const CertificateOptions options{.alpha = 0.01, .top = top};
    const Certificate charged = certify(votes, calibration, options),
                      real = certify(votes, uncharged(calibration), options);
    CHECK(charged.size == doctest::Approx(real.size - 0.5).epsilon(1e-12));
    CHECK(charged.radius == doctest::Approx(2.0 * (real.size - 0.5)).epsilon(1e-12));
  }
  calibration.prefix_error = -1.0;
  CHECK_FAILS(calibration.check(), "prefix error");
}

// ---- Rounding before the noise

/// What a plan makes of an image in fp32, as processors calculate it.
std::vector<double> in_floats(const InferencePlan& plan, const std::vector<float>& image) {
  const auto inference = kernels::prepare_inference(plan, kernels::Precision::fp32);
  std::vector<std::byte> memory(static_cast<std::size_t>(inference->workspace_size()) + 64);
  void* workspace = memory.data();
  std::size_t room = memory.size();
  REQUIRE(std::align(64, memory.size() - 64, workspace, room));
  std::vector<float> y(static_cast<std::size_t>(plan.sizes.back()));
  inference->run(1, image.data(), y.data(), workspace);
  return {y.begin(), y.end()};
}

/// The same in 64 bits.
std::vector<long double> exactly(const InferencePlan& plan, const std::vector<float>& image) {
  std::vector<long double> x(image.begin(), image.end());
  for (const InferenceStep& step : plan.steps) {
    std::vector<long double> y;
    const auto at = [](const std::vector<float>& values, std::size_t i, long double none) {
      return values.empty() ? none : static_cast<long double>(values[i]);
    };
    switch (step.kind) {
      case InferenceStep::Kind::scaling:
        for (std::size_t i = 0; i < x.size(); ++i) {
          const std::size_t c = i % static_cast<std::size_t>(step.outputs);
          y.push_back(x[i] * at(step.scale, c, 1) + at(step.shift, c, 0));
        }
        break;
      case InferenceStep::Kind::standardise: {
        long double mean = 0, squares = 0;
        for (const long double v : x) mean += v / static_cast<long double>(x.size());
        for (const long double v : x) squares += (v - mean) * (v - mean);
        const long double norm = std::max<long double>(std::sqrt(squares), 1);
        for (const long double v : x)
          y.push_back((v - mean) / norm * std::sqrt(static_cast<long double>(x.size())));
        break;
      }
      default: {
        REQUIRE(step.kind == InferenceStep::Kind::convolution);
        const kernels::Conv2dShape& s = step.convolution;
        for (std::int64_t oy = 0; oy < s.out_h(); ++oy)
          for (std::int64_t ox = 0; ox < s.out_w(); ++ox)
            for (std::int64_t o = 0; o < s.out_c; ++o) {
              long double sum = 0;
              for (std::int64_t i = 0; i < s.in_c; ++i)
                for (std::int64_t ky = 0; ky < s.kernel_h; ++ky)
                  for (std::int64_t kx = 0; kx < s.kernel_w; ++kx) {
                    const std::int64_t iy = oy * s.stride - s.pad_h.before + ky,
                                       ix = ox * s.stride - s.pad_w.before + kx;
                    if (iy < 0 || iy >= s.in_h || ix < 0 || ix >= s.in_w) continue;
                    sum += static_cast<long double>(step.weight[static_cast<std::size_t>(
                               ((o * s.in_c + i) * s.kernel_h + ky) * s.kernel_w + kx)]) *
                           x[static_cast<std::size_t>((iy * s.in_w + ix) * s.in_c + i)];
                  }
              const auto c = static_cast<std::size_t>(o);
              y.push_back(sum * at(step.scale, c, 1) + at(step.shift, c, 0));
            }
      }
    }
    for (long double& v : y)
      if (v < 0) v *= static_cast<long double>(step.activation.slope);
    x = std::move(y);
  }
  return x;
}

InferenceStep made_convolution(std::int64_t side, std::int64_t in, std::int64_t out,
                               std::int64_t kernel, std::int64_t stride, std::uint32_t seed) {
  InferenceStep step{.kind = InferenceStep::Kind::convolution,
                     .name = "conv",
                     .inputs = {0},
                     .convolution = {.batch = 1,
                                     .in_h = side,
                                     .in_w = side,
                                     .in_c = in,
                                     .out_c = out,
                                     .kernel_h = kernel,
                                     .kernel_w = kernel,
                                     .stride = stride,
                                     .pad_h = kernels::same_padding(side, kernel, stride),
                                     .pad_w = kernels::same_padding(side, kernel, stride)}};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.2f);
  step.weight.resize(static_cast<std::size_t>(step.convolution.weight_size()));
  for (float& w : step.weight) w = normal(random);
  for (std::int64_t o = 0; o < out; ++o) step.shift.push_back(normal(random));
  return step;
}

/// The largest error of some images, and its bound.
struct Found {
  double worst = 0.0, bound = 0.0;
};

Found found(const InferencePlan& plan, double shift, Mechanism mechanism) {
  Found found{.bound = prefix_error(plan, shift, mechanism)};
  std::mt19937 random(7);
  for (int round = 0; round < 12; ++round) {
    std::vector<float> image;
    for (std::int64_t i = 0; i < plan.sizes.front(); ++i)
      image.push_back(
          pixel_value(round == 0 ? std::uint8_t{255} : static_cast<std::uint8_t>(random()),
                      static_cast<float>(shift)));
    const auto floats = in_floats(plan, image);
    const auto real = exactly(plan, image);
    REQUIRE(floats.size() == real.size());
    double sum = 0.0, squares = 0.0;
    for (std::size_t i = 0; i < real.size(); ++i) {
      const auto error = std::abs(static_cast<double>(floats[i] - real[i]));
      sum += error, squares += error * error;
    }
    const bool gaussian = mechanism == Mechanism::gaussian;
    found.worst = std::max(found.worst, gaussian ? std::sqrt(squares) : sum);
  }
  return found;
}

TEST_CASE("the rounding before the noise is bounded, and not by far too much") {
  for (const Mechanism mechanism : noise_mechanisms)
    for (const double shift : {0.0, -0.5}) {
      CAPTURE(name(mechanism));
      CAPTURE(shift);
      InferencePlan one(12 * 12);
      one.add(made_convolution(12, 1, 8, 5, 2, 1));
      const Found of_one = found(one, shift, mechanism);
      CHECK(of_one.worst > 0.0);
      CHECK(of_one.worst <= of_one.bound);
      CHECK(of_one.bound < 300.0 * of_one.worst);

      InferencePlan two(12 * 12 * 2);
      two.add({.kind = InferenceStep::Kind::scaling,
               .name = "normalise",
               .inputs = {0},
               .outputs = 2,
               .scale = {1.9f, 0.37f},
               .shift = {-0.31f, 0.123f}});
      InferenceStep first = made_convolution(12, 2, 8, 5, 2, 2);
      first.inputs = {1};
      first.activation = kernels::Activation::leaky_relu(0.1f);
      two.add(first);
      InferenceStep second = made_convolution(6, 8, 4, 3, 1, 3);
      second.inputs = {2};
      second.activation = kernels::Activation::relu();
      two.add(second);
      const Found of_two = found(two, shift, mechanism);
      CHECK(of_two.worst <= of_two.bound);
      CHECK(of_two.bound < 12000.0 * of_two.worst);  // cancellation is lost twice

      InferencePlan standardised(12 * 12);
      standardised.add(
          {.kind = InferenceStep::Kind::standardise, .name = "standardise", .inputs = {0}});
      const Found of_image = found(standardised, shift, mechanism);
      CHECK(of_image.worst > 0.0);
      CHECK(of_image.worst <= of_image.bound);
      CHECK(of_image.bound < 20.0 * of_image.worst);
    }
  CHECK(prefix_error(InferencePlan(9), 0.0, Mechanism::gaussian) == 0.0);
  InferencePlan pooled(4);
  pooled.add({.kind = InferenceStep::Kind::pool, .name = "pool7", .inputs = {0}, .outputs = 1});
  CHECK_FAILS(prefix_error(pooled, 0.0, Mechanism::gaussian), "layer pool7 before the noise");
}

TEST_CASE("one weight: gamma of a product and three roundings, in both norms, rounded up") {
  InferencePlan plan(16);
  InferenceStep step = made_convolution(4, 1, 1, 1, 1, 1);
  step.weight = {-0.5f};
  step.shift = {};
  plan.add(step);
  const double each = 4 * 0x1p-24 / (1 - 4 * 0x1p-24) * 0.5;
  const auto bits_of = [](double bound) {
    int exponent = 0;
    return std::ldexp(std::frexp(bound, &exponent), 16);
  };
  for (const auto& [mechanism, elements] :
       {std::pair{Mechanism::gaussian, 4.0}, {Mechanism::laplace, 16.0}}) {
    const double bound = prefix_error(plan, 0.0, mechanism);
    CHECK(bound >= each * elements);
    CHECK(bound <= each * elements * (1 + 0x1p-14));
    CHECK(bits_of(bound) == std::floor(bits_of(bound)));
  }
}

// ---- A variation in other certificates

TEST_CASE("a variation is charged to the K first labels by their condition") {
  const auto phi = [](double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); };
  for (const double v : {1e-8, 1e-3}) {
    for (const RadiusRule rule : {RadiusRule::gaussian_exact, RadiusRule::laplace_exact,
                                  RadiusRule::gaussian, RadiusRule::laplace}) {
      CAPTURE(v);
      CAPTURE(static_cast<int>(rule));
      const std::vector<double> first = {0.2};
      const double size = top_k_attack_size(rule, 0.7, first, 10, false, v),
                   without = top_k_attack_size(rule, 0.7, first, 10, false);
      CHECK(size < without);
      CHECK(size > without - 20.0 * v);
      // For K = 1 attack_size_under bounds the same condition; of the paper's both round up.
      const double slack = rule == RadiusRule::gaussian ? 0.1 * v : 1e-9;
      CHECK(size >= attack_size_under(v, rule, 0.7, 0.2) - slack);
      const std::vector<double> both = {0.25, 0.15};
      const double second = top_k_attack_size(rule, 0.55, both, 10, false, v);
      CHECK(second < top_k_attack_size(rule, 0.55, both, 10, false));
      CHECK(second > top_k_attack_size(rule, 0.55, both, 10, false) - 20.0 * v);
      if (rule != RadiusRule::gaussian_exact) continue;
      // t (f(lower - v) - v) > g(P + v) + v of one or both of the others, and at no larger size.
      const auto holds = [&](double s) {
        const double least = phi(normal_quantile_lower(0.55 - v) - s) - v;
        const auto most = [&](double p) { return phi(normal_quantile_lower(p + v) + s) + v; };
        return least > most(0.15) || 2.0 * least > most(0.4);
      };
      CHECK(holds(second));
      CHECK_FALSE(holds(second + 1e-9));
    }
  }
  const std::vector<double> other = {0.1};
  CHECK(top_k_attack_size(RadiusRule::gaussian, 0.2, other, 10, false, 0.1) == 0.0);
}

TEST_CASE("a variation is charged to the certificate cdf at the image and at the attack") {
  for (const double v : {1e-8, 1e-3}) {
    // Of scores of 0 and 1: Phi(Phi^-1(p - v) - s) - v = 1/2.
    const TailBounds label{{0.5, 1.0}, {0.9, 0.9}, {}};
    CHECK(cdf_attack_size(label, nullptr, 0.0, v) ==
          doctest::Approx(normal_quantile_lower(0.9 - v) - normal_quantile_upper(0.5 + v))
              .epsilon(1e-9));
    const TailBounds rival{{1e-9}, {}, {0.05}};
    CHECK(cdf_attack_size(label, &rival, 0.0, v) < cdf_attack_size(label, &rival, 0.0));
  }
  CHECK(cdf_attack_size(TailBounds{{1.0}, {0.6}, {}}, nullptr, 0.0, 0.06) == 0.0);
}

}  // namespace
}  // namespace pixeldp::float_noise_test
