#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/certificate.hpp"

/// Certificates at the ends: the smallest numbers, the fewest draws, the best outcome.

namespace pixeldp {
namespace {

Calibration gaussian(double scale, double sensitivity = 1.0) {
  Calibration c;
  c.mechanism = Mechanism::gaussian;
  c.noise_scale = scale;
  c.sensitivity = sensitivity;
  return c;
}

TEST_CASE("radii and shares of alpha are rounded down among denormal numbers too") {
  constexpr double smallest = std::numeric_limits<double>::denorm_min();
  // The size is some 2.6, known to far more than the eight bits asked for here.
  const Calibration unit = gaussian(1.0);
  const double size = certified_radius(CertificateKind::exact, unit, 0.999, 0.001);
  for (int units = 1; units < 60; ++units) {
    const double scale = units * smallest;
    const double radius = certified_radius(CertificateKind::exact, gaussian(scale), 0.999, 0.001);
    CHECK(radius / smallest <= size * units);
    CHECK(radius / smallest > size * (units - 2) - 4);
    // The quotient is a denormal number as well, at worst half a unit too large before rounding.
    const double of_quotient =
        certified_radius(CertificateKind::exact, gaussian(scale, 2.0), 0.999, 0.001);
    CHECK(of_quotient / smallest <= size * units / 2);
    // alpha / (2 K) in units of the smallest number, where doubles divide exactly.
    const double share = kernels::one_sided_failure(scale, 10, true, false);
    CHECK(share / smallest <= units / 20.0);
    CHECK(kernels::one_sided_failure(scale * 1000, 10, true, false) / smallest > units * 50.0 - 4);
  }
  CHECK(kernels::one_sided_failure(0.05, 10, true, false) > 0.0025 * (1 - 1e-14));
}

TEST_CASE("the best that draws can do, and the least number of them that certifies") {
  const Calibration c = gaussian(1.0);
  CertificateOptions options;
  options.alpha = 0.001;
  // All n draws agreeing give a lower bound of (alpha / 2K)^(1/n), which must be above 1/2.
  CHECK(least_draws(10, c, options, Selection::same_draws) == 15);
  CHECK(15 == static_cast<int>(std::floor(std::log(0.001 / 20) / std::log(0.5))) + 1);
  CHECK(least_draws(10, c, options, Selection::separate_draws) == 11);  // alpha / 2
  CHECK(best_certificate(14, 10, c, options, Selection::same_draws).radius == 0.0);
  CHECK(best_certificate(15, 10, c, options, Selection::same_draws).radius > 0.0);

  options.alpha = 0.05;
  for (const Bound bound : {Bound::hoeffding, Bound::empirical_bernstein, Bound::clopper_pearson})
    for (const ScoreType scores : {ScoreType::argmax, ScoreType::softmax})
      for (const CertificateKind kind :
           {CertificateKind::exact, CertificateKind::pixeldp, CertificateKind::pixeldp_grid}) {
        if (bound == Bound::clopper_pearson && scores == ScoreType::softmax) continue;
        options.bound = bound;
        options.scores = scores;
        options.kind = kind;
        const auto least = least_draws(3, c, options, Selection::same_draws);
        REQUIRE(least.has_value());
        CHECK(*least > 1);
        CHECK(best_certificate(*least, 3, c, options, Selection::same_draws).radius > 0.0);
        CHECK(best_certificate(*least - 1, 3, c, options, Selection::same_draws).radius == 0.0);
      }
  // Of no outcome of 12 draws among 3 labels is the radius larger.
  options = {};
  const double best = best_certificate(12, 3, c, options, Selection::same_draws).radius;
  CHECK(best > 0.0);
  for (std::uint64_t a = 0; a <= 12; ++a)
    for (std::uint64_t b = 0; a + b <= 12; ++b)
      CHECK(
          certify({.draws = 12, .votes = {a, b, 12 - a - b}, .sums = {}, .squares = {}}, c, options)
              .radius <= best);

  options.alpha = std::numeric_limits<double>::denorm_min();
  CHECK_FALSE(least_draws(10, c, options, Selection::same_draws).has_value());
  CHECK_THROWS_AS(best_certificate(5, 1, c, options, Selection::same_draws), Error);
}

}  // namespace
}  // namespace pixeldp
