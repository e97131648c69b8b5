#include "pixeldp/special_functions.hpp"

#include <algorithm>
#include <cmath>

#include <boost/math/distributions/normal.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <doctest/doctest.h>

namespace pixeldp {
namespace {

constexpr std::uint64_t trial_counts[] = {2,   3,      10,      31,       100,
                                          300, 100000, 1000000, 10000000, 1000000000};

TEST_CASE("the logarithm of a binomial tail is within its own error bound of Boost's") {
  int compared = 0;
  for (const std::uint64_t n : trial_counts)
    for (const double share : {0.0, 0.1, 0.3, 0.5, 0.9, 0.999, 1.0})
      for (const double deviations : {0.0, 0.5, 2.0, 5.0, 20.0}) {
        const auto k = std::clamp<std::uint64_t>(
            static_cast<std::uint64_t>(static_cast<double>(n) * share), 1, n - 1);
        const auto trials = static_cast<double>(n), successes = static_cast<double>(k);
        const double mean = successes / trials;
        // From the mean downwards on the scale of the log-odds.
        const double odds =
            mean / (1.0 - mean) * std::exp(-deviations / std::sqrt(trials * mean * (1.0 - mean)));
        const BinomialTail tail = log_binomial_tail(k, n, Odds::of(odds));
        const long double x = static_cast<long double>(odds) / (1.0L + odds);
        const long double reference =
            boost::math::ibeta(static_cast<long double>(k), static_cast<long double>(n - k + 1), x);
        if (reference < 1e-300L) continue;
        CAPTURE(n);
        CAPTURE(k);
        CAPTURE(odds);
        // Boost's own error at a billion trials is that of a logarithm of size n.
        const double oracle = 1e-13 + 2e-16 * std::sqrt(trials) * (1.0 + deviations);
        CHECK(std::abs(tail.log_value - static_cast<double>(std::log(reference))) <=
              tail.error + oracle);
        CHECK(tail.error < 1e-8);
        // The slope, by a central difference.
        const double h = 1e-4 / (1.0 + tail.slope);
        const double above = log_binomial_tail(k, n, Odds::of(odds * std::exp(h))).log_value;
        const double below = log_binomial_tail(k, n, Odds::of(odds * std::exp(-h))).log_value;
        CHECK((above - below) / (2 * h) == doctest::Approx(tail.slope).epsilon(2e-4));
        ++compared;
      }
  CHECK(compared > 300);
}

TEST_CASE("the odds of a binomial tail never exceed the exact ones and come within 1e-10") {
  for (const std::uint64_t n : trial_counts)
    for (const double share : {0.0, 0.1, 0.5, 0.9, 0.999, 1.0})
      for (const double tail : {0.5, 0.3, 0.05, 0.0025, 1e-6, 1e-30, 1e-100, 1e-280}) {
        const auto k = std::clamp<std::uint64_t>(
            static_cast<std::uint64_t>(static_cast<double>(n) * share), 1, n - 1);
        CAPTURE(n);
        CAPTURE(k);
        CAPTURE(tail);
        const double odds = binomial_tail_odds(k, n, tail);
        // The condition itself, and that a step of 1e-10 beyond breaks it.
        const auto reference = [&](double at) {
          const long double x = static_cast<long double>(at) / (1.0L + at);
          return boost::math::ibeta(static_cast<long double>(k),
                                    static_cast<long double>(n - k + 1), x);
        };
        CHECK(odds > 0.0);
        const long double slack = 1.0L + 1e-13L +
                                  4e-16L * std::sqrt(static_cast<long double>(n)) *
                                      static_cast<long double>(-std::log(tail));
        CHECK(reference(odds) <= static_cast<long double>(tail) * slack);
        CHECK(reference(odds * (1 + 1e-10)) * slack >= tail);
      }
}

TEST_CASE("tails of 2^32 - 1 draws against sums in 60 digits") {
  // The odds and ln P(X >= k) at them, summed term by term with mpmath.
  struct Known {
    std::uint64_t k;
    double odds, log_tail;
  };
  const Known table[] = {{1, 1.61385904247e-10, -0.6931471805609561347},
                         {1, 8.30448567952e-11, -1.203972804326402329},
                         {1, 5.8280541997e-13, -5.991464547107730542},
                         {1, 2.32830643708e-110, -230.2585092994049109},
                         {2147483647, 0.999983995763, -1.203972809270851794},
                         {2147483647, 0.999914338865, -5.991464593791738652},
                         {2147483647, 0.999350995477, -230.2585089537081403},
                         {4294967294, 2559046084.75, -0.6931471805615966494},
                         {4294967294, 1760797913.07, -1.203972804323786505},
                         {4294967294, 523013150.798, -5.991464547106537453},
                         {4294967294, 18220212.9744, -230.2585092999098171}};
  for (const Known& known : table) {
    const BinomialTail tail = log_binomial_tail(known.k, 4294967295, Odds::of(known.odds));
    CAPTURE(known.k);
    CHECK(std::abs(tail.log_value - known.log_tail) <= tail.error);
    CHECK(tail.error <= 1e-9 + 1e-11 * std::abs(known.log_tail));
  }
}

TEST_CASE("tails that no double can reach give no odds") {
  CHECK(binomial_tail_odds(1, 1000, 1e-300) == 0.0);
  // P(X >= n-1) = n p^(n-1) (1-p) + p^n
  const double odds = binomial_tail_odds(9, 10, 1e-300);
  CHECK(odds == doctest::Approx(std::pow(1e-301, 1.0 / 9)).epsilon(1e-10));
}

TEST_CASE("the normal quantile encloses Boost's on both sides within 2^-47") {
  const boost::math::normal_distribution<long double> normal;
  for (const double p : {1e-300, 1e-200, 1e-50, 1e-10, 1e-3, 0.01, 0.1, 0.3, 0.4999, 0.5, 0.5001,
                         0.7, 0.9, 0.99, 0.999999, 1 - 1e-12, 1 - 0x1p-53}) {
    CAPTURE(p);
    const auto exact = static_cast<double>(
        p <= 0.5 ? boost::math::quantile(normal, static_cast<long double>(p))
                 : -boost::math::quantile(normal, 1.0L - static_cast<long double>(p)));
    CHECK(normal_quantile_lower(p) <= exact);
    CHECK(normal_quantile_upper(p) >= exact);
    CHECK(normal_quantile_upper(p) - normal_quantile_lower(p) <= 0x1p-46 * (1.0 + std::abs(exact)));
  }
  CHECK(std::isfinite(normal_quantile_lower(0.0)));
  CHECK(std::isfinite(normal_quantile_upper(1.0)));
}

TEST_CASE("the normal distribution function and its quantile are inverse to each other") {
  for (double z = -30.0; z <= 5.0; z += 0.37) {
    const double p = normal_cdf(z);
    CHECK(normal_quantile_lower(p) <= z + 1e-9 * std::exp(std::max(0.0, z * z / 2 - 10)));
    CHECK(normal_quantile_upper(p) == doctest::Approx(z).epsilon(1e-9));
  }
}

}  // namespace
}  // namespace pixeldp
