#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/formulas/bounds.hpp"
#include "pixeldp/certificate.hpp"
#include "tests/certificate_rules.hpp"
#include "tests/margins/check_margin.hpp"
#include "tests/margins/exact.hpp"

/// Radii against 50 digits: never above the true ones, and as far below as the margins say.

namespace pixeldp::margins {
namespace {

using kernels::RadiusRule;

constexpr double smallest = std::numeric_limits<double>::denorm_min();
constexpr double below_half = 0.5 - 0x1p-54, above_half = 0.5 + 0x1p-53, below_one = 1 - 0x1p-53;
constexpr double least_upper = 1e-290;  // smaller ones are taken as this

double size(RadiusRule rule, double lower, double upper) {
  return kernels::attack_size(rule, lower, upper, kernels::InTurn());
}

/// Pairs at the edges of every branch, and some between.
std::vector<std::pair<double, double>> pairs() {
  std::vector<std::pair<double, double>> all = {
      {below_half, 0.2},
      {0.5, 0.2},
      {above_half, 0.2},
      {0.5, below_half},
      {above_half, 0.5},
      {0.7, below_half},
      {0.7, 0.5},
      {0.7, above_half},
      {below_one, least_upper},
      {below_one, 1e-289},
      {below_one, below_half},
      {below_one, 0.9},
      {1e-10, 1e-11},
      {1e-289, least_upper},
      {0.9, 0.1},
      {0.8, 0.1},
      {0.6, 0.6 - 0x1p-53},
      {0.3, 0.3 - 0x1p-54},
      {1 - 1e-12, 1e-12},
      {0.999, 0.001},
      {0.99, 0.99 * 0.1353},  // about where epsilon 1 becomes the largest
      {0.99, 0.99 * 0.1354}};
  std::mt19937_64 random(9);
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  for (int i = 0; i < 12; ++i) {
    const double lower = uniform();
    all.emplace_back(lower, std::min(1.0 - lower, lower * uniform()));
  }
  return all;
}

TEST_CASE("delta and the Gaussian size at one epsilon") {
  for (const auto& [lower, upper] : pairs())
    for (const double epsilon : {1e-9, 0.3, 1.0}) {
      CAPTURE(lower);
      CAPTURE(upper);
      CAPTURE(epsilon);
      check_below(kernels::largest_delta(epsilon, lower, upper),
                  exact::largest_delta(epsilon, lower, upper), 0x1.ep-47, 0x1.1p-46);
    }
  for (const double delta : {1e-300, 1e-12, 0.05, 0.5})
    for (const double epsilon : {1e-9, 0.3, 1.0}) {
      const exact::Around truth = exact::gaussian_size(epsilon, delta);
      CHECK(kernels::gaussian_size(epsilon, delta) ==
            doctest::Approx(truth.below).epsilon(8 * unit));
    }
  CHECK(kernels::gaussian_size(1.0, 0.0) == 0.0);
  CHECK(kernels::gaussian_size(1.0, -0x1p-60) == 0.0);
}

TEST_CASE("the normal quantile encloses the true one by 2^-48 (1 + |z|)") {
  std::vector<double> probabilities = {1e-300,     1e-290, 1e-20, 1e-10, 1e-3,        0.1,
                                       below_half, 0.5,    0.6,   0.9,   1 - 0x1p-20, below_one};
  std::mt19937_64 random(10);
  for (int i = 0; i < 100; ++i)
    probabilities.push_back(static_cast<double>(random() >> 11) * 0x1p-53);
  for (const double p : probabilities) {
    CAPTURE(p);
    const exact::Around truth = exact::normal_quantile(p);
    const double margin = 0x1p-48 * (1.0 + std::abs(truth.below));
    check_below(kernels::normal_quantile_lower(p), truth, 0.3 * margin, 1.7 * margin);
    check_above(kernels::normal_quantile_upper(p), truth, 0.3 * margin, 1.7 * margin);
  }
}

TEST_CASE("attack sizes are rounded down, by 2^-46 of their terms") {
  for (const auto& [lower, upper] : pairs()) {
    CAPTURE(lower);
    CAPTURE(upper);
    for (const RadiusRule rule : {RadiusRule::laplace, RadiusRule::laplace_exact}) {
      const exact::Around truth = exact::attack_size(rule, lower, upper);
      const double margin = 0x1p-46 * (1.0 + truth.below);
      check_below(size(rule, lower, upper), truth, 0.9 * margin, 1.1 * margin);
    }
    const exact::Around gaussian = exact::attack_size(RadiusRule::gaussian_exact, lower, upper);
    const double ends = 1.0 + (std::abs(exact::normal_quantile(lower).below) +
                               std::abs(exact::normal_quantile(upper).below)) /
                                  2;
    check_below(size(RadiusRule::gaussian_exact, lower, upper), gaussian, 0.3 * 0x1p-48 * ends,
                1.7 * 0x1p-48 * ends);
    // The margin of delta moves the size by more than half of it, and the search comes close.
    const exact::Around maximised = exact::attack_size(RadiusRule::gaussian, lower, upper);
    const double least = std::log(lower / upper) > 1e-6 ? 0x1p-48 : 0.0;
    check_below(size(RadiusRule::gaussian, lower, upper), maximised, least,
                lower > 0.01 ? 1e-12 : maximised.below);
  }
}

TEST_CASE("where the lower bound is not above the upper one nothing is certified") {
  for (const RadiusRule rule :
       {RadiusRule::gaussian, RadiusRule::gaussian_grid, RadiusRule::gaussian_exact,
        RadiusRule::laplace, RadiusRule::laplace_exact})
    for (const double p : {0.0, smallest, 0.25, below_half, 0.5, above_half, below_one, 1.0}) {
      CHECK(size(rule, p, p) == 0.0);
      CHECK(size(rule, p, std::nextafter(p, 2.0)) == 0.0);
      // The least step above is lost in the margin.
      if (p > 1e-200 && p < below_one)
        CHECK(kernels::radius_of(size(rule, std::nextafter(p, 2.0), p), 1.0) == 0.0);
    }
  // Bounds that say nothing about one side count as the closest number that can be computed with.
  for (const RadiusRule rule : {RadiusRule::gaussian_exact, RadiusRule::laplace_exact}) {
    CHECK(size(rule, 1.0, 0.0) == size(rule, below_one, least_upper));
    CHECK(size(rule, 1.0, 0.2) == size(rule, below_one, 0.2));
    CHECK(size(rule, 0.9, smallest) == size(rule, 0.9, least_upper));
  }
}

Calibration noise(Mechanism mechanism, double scale, double sensitivity) {
  Calibration c;
  c.mechanism = mechanism;
  c.noise_scale = scale;
  c.sensitivity = sensitivity;
  return c;
}

TEST_CASE("certified radii are never above the true ones, and lose 2^-46 of themselves") {
  constexpr std::pair<double, double> scales[] = {{1.0, 1.0},    {0.2537, 3.7}, {1e-300, 1e300},
                                                  {7e-320, 1.0}, {1e300, 1e-3}, {3e-310, 7e-3}};
  std::size_t next = 0;
  for (const auto& [lower, upper] : pairs())
    for (const tests::CertificateRule& r : tests::certificate_rules) {
      CAPTURE(lower);
      CAPTURE(upper);
      CAPTURE(name(r.kind));
      CAPTURE(name(r.mechanism));
      const auto& [scale, sensitivity] = scales[next++ % std::size(scales)];
      CAPTURE(scale);
      const double radius =
          certified_radius(r.kind, noise(r.mechanism, scale, sensitivity), lower, upper);
      CHECK(radius <= exact::radius(r.rule, lower, upper, scale, sensitivity).below);
      const double plain = std::max(0.0, size(r.rule, lower, upper));
      const exact::Around whole = exact::product(plain, exact::quotient(scale, sensitivity).below);
      const double tiny = (3 * plain + 6) * smallest;  // what is lost of the quotient, and after it
      check_below(radius, whole, 0.95 * 0x1p-46 * whole.below - tiny,
                  1.05 * 0x1p-46 * whole.below + tiny);
      if (r.rule == RadiusRule::gaussian_grid && scale == 1.0 && plain > 0.0) {
        // The grid of the original, unless a step is passed by less than the margin.
        const double grid = exact::attack_size(r.rule, lower, upper).below;
        CHECK(plain >= grid * (1 - 1e-3) - 1e-3);
        CHECK(plain <= grid * (1 + 8 * unit));
      }
    }
}

TEST_CASE("the whole way from counts to a radius is never above the true one") {
  for (const int classes : {2, 10, 1000})
    for (const std::uint64_t top : {151, 200, 299, 300})
      for (const bool selected : {false, true})
        for (const Mechanism mechanism : {Mechanism::gaussian, Mechanism::laplace}) {
          CAPTURE(classes);
          CAPTURE(top);
          CAPTURE(selected);
          ScoreStatistics votes{.draws = 300, .votes = {}, .sums = {}, .squares = {}};
          votes.votes.assign(static_cast<std::size_t>(classes), 0);
          votes.votes[0] = top, votes.votes[1] = 300 - top;
          const Certificate c = certify(votes, noise(mechanism, 0.25, 3.0), {.alpha = 1e-3},
                                        selected ? std::optional(0) : std::nullopt);
          REQUIRE(c.prediction == 0);
          const int events = classes == 2 ? (selected ? 1 : 2) : (selected ? 2 : 2 * classes);
          const double failure = exact::share(1e-3, events).below;
          CHECK(exact::clopper_pearson_excess(top, 300, c.lower, failure) <= 0.0);
          // Two sound upper bounds: of the runner-up, and what the lower bound leaves.
          const double runner_up = exact::clopper_pearson_excess(top, 300, c.upper, failure, true);
          CHECK((runner_up <= 0.0 || c.upper >= exact::complement(c.lower).above));
          if (c.lower > c.upper)
            CHECK(c.radius <= exact::radius(mechanism == Mechanism::gaussian
                                                ? RadiusRule::gaussian_exact
                                                : RadiusRule::laplace_exact,
                                            c.lower, c.upper, 0.25, 3.0)
                                  .below);
          else
            CHECK(c.radius == 0.0);
        }
}

}  // namespace
}  // namespace pixeldp::margins
