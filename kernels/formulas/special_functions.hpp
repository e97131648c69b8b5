#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

/// Before functions of the processor that a GPU can run as well. Nothing for compilers that know
/// only processors.
#ifdef __CUDACC__
#define PIXELDP_HOST_DEVICE __host__ __device__
#else
#define PIXELDP_HOST_DEVICE
#endif

/// The special functions behind the bounds, in double precision, each with its own error bound or
/// rounded to a stated side. None of them allocates, recurses or throws, and every loop has a fixed
/// bound, so that a kernel can evaluate them for one label per lane.
namespace pixeldp::kernels {

/// A probability and its complement, each with full relative accuracy.
struct Odds {
  double p = 0.0;
  double q = 1.0;

  PIXELDP_HOST_DEVICE static Odds of(double odds) {
    return {odds / (1.0 + odds), 1.0 / (1.0 + odds)};
  }
};

inline constexpr double unit_roundoff = std::numeric_limits<double>::epsilon() / 2;

/// ln(n!) minus Stirling's approximation of it.
PIXELDP_HOST_DEVICE inline double stirling_error(double n) {
  static constexpr double small[] = {0.0,
                                     0.08106146679532726107,
                                     0.041340695955409297035,
                                     0.027677925684998338357,
                                     0.020790672103765093365,
                                     0.016644691189821193139,
                                     0.013876128823070748436,
                                     0.011896709945891769528,
                                     0.010411265261972096202,
                                     0.0092554621827127328548,
                                     0.0083305634333628707927,
                                     0.0075736754879518405903,
                                     0.0069428401072095299179,
                                     0.0064089941880042071432,
                                     0.0059513701127588474957,
                                     0.0055547335519628010525};
  if (n < 16.0) return small[static_cast<int>(n)];
  // The first term left out, 691 / (360360 n^11), is below 2e-16 from 16 on.
  const double r = 1.0 / (n * n);
  return (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r * (1.0 / 1188))))) / n;
}

/// Loader's deviance x ln(x / m) + m - x, where x = m + excess, to 32 units of roundoff.
PIXELDP_HOST_DEVICE inline double deviance(double x, double m, double excess) {
  const double v = excess / (x + m);
  if (std::abs(v) >= 0.1) return x * std::log(x / m) - excess;
  double sum = excess * v;
  double power = 2.0 * x * v;
  for (int j = 3; j < 40; j += 2) {
    power *= v * v;
    const double next = sum + power / j;
    if (next == sum) break;
    sum = next;
  }
  return sum;
}

/// 1 / (b0 + a1 / (b1 + a2 / ...)) of the tail ratio, by Lentz's method. All terms are positive, so
/// that successive convergents enclose the value and the last step bounds what is left out.
struct TailFraction {
  double value = 0.0;
  int terms = 0;
  bool converged = false;
};

PIXELDP_HOST_DEVICE inline TailFraction tail_fraction(double k, double n, Odds x) {
  // The terms needed grow like sqrt(n); 2^32 draws, all that the address of a draw can tell apart,
  // are within this limit for every tail below 1/2.
  constexpr int max_terms = 1 << 20;
  const double lead = (k + 1.0) * x.q - (n - k) * x.p;
  double f = k * lead / (k + 1.0);
  double c = f;
  double d = 0.0;
  for (int m = 1; m <= max_terms; ++m) {
    const double j = m;
    const double left = n - k + 1.0 - j;
    if (left <= 0.0) return {1.0 / f, m, true};  // the fraction ends here
    const double s = k + 2.0 * j - 1.0;
    const double numerator = (k + j - 1.0) / s * ((n + j) / s) * (j * x.p) * (left * x.p);
    const double denominator =
        j + j * left * x.p / s + (k + j) * (lead + j * (1.0 + x.q)) / (s + 2.0);
    d = 1.0 / (denominator + numerator * d);
    c = denominator + numerator / c;
    const double step = c * d;
    f *= step;
    if (std::abs(step - 1.0) <= 4.0 * unit_roundoff) return {1.0 / f, m, true};
  }
  return {};
}

/// ln P(X >= k) for X binomial with n trials of probability p, for 1 <= k < n and (n+1) p < k+1,
/// together with an upper bound of the absolute error of the logarithm.
///
/// P(X = k) by Loader's saddle-point form ("Fast and accurate computation of binomial
/// probabilities", 2000), times the ratio P(X >= k) / P(X = k) as a continued fraction of positive
/// terms (the even part of DLMF 8.17.22), so that nothing cancels. About sqrt(n) terms at worst.
struct BinomialTail {
  double log_value = 0.0;
  double error = 0.0;
  double slope = 0.0;  ///< derivative of log_value with respect to ln(p / q)
};
PIXELDP_HOST_DEVICE inline BinomialTail log_binomial_tail(std::uint64_t successes,
                                                          std::uint64_t trials, Odds x) {
  const auto k = static_cast<double>(successes);
  const auto n = static_cast<double>(trials);
  const TailFraction fraction = tail_fraction(k, n, x);
  if (!fraction.converged) return {0.0, std::numeric_limits<double>::infinity(), 1.0};

  const double excess = k * x.q - (n - k) * x.p;  // k - n p
  const double exponent = deviance(k, n * x.p, excess) + deviance(n - k, n * x.q, -excess);
  const double stirling = stirling_error(n) - stirling_error(k) - stirling_error(n - k);
  const double log_value = stirling - exponent + 0.5 * std::log(n / (k * (n - k))) -
                           0.5 * std::log(2.0 * std::numbers::pi) +
                           std::log(k * x.q * fraction.value);
  // Deviances: 32 units each of their value; k - n p carries 4 units of k q + (n-k) p, which the
  // slope of the exponent turns into 8 |k - n p|. Fraction: 8 units a term, and the cancellation in
  // its lead, 8 units of k q + (n-k) p, weighs no more than the fraction itself.
  const double spread = k * x.q + (n - k) * x.p;
  const double units = 64.0 + 64.0 * exponent + 16.0 * std::abs(excess) + 8.0 * fraction.terms +
                       8.0 * spread * fraction.value + 4.0 * std::abs(log_value);
  return {log_value, units * unit_roundoff, 1.0 / fraction.value};
}

/// An odds ratio p/q at which P(X >= k) is certainly at most `tail`, as large as the error bound of
/// log_binomial_tail allows; for 1 <= k < n and 0 < tail <= 1/2. 0 when no normal double is that
/// small.
PIXELDP_HOST_DEVICE inline double binomial_tail_odds(std::uint64_t k, std::uint64_t n,
                                                     double tail) {
  constexpr double smallest = 1e-290;
  const double target = std::log(tail) * (1.0 + 4.0 * unit_roundoff);
  // ln P(X >= k) is concave in the log-odds (the logit of a beta variable has a log-concave
  // density), so Newton's method comes from below after its first step and stays there. Starting
  // on the observed frequency, where the tail is about 1/2.
  double odds = static_cast<double>(k) / static_cast<double>(n - k);
  double margin = 0.0;
  for (int iteration = 0; iteration < 100; ++iteration) {
    // The first step may leap far below; from there the next one is nearly exact.
    odds = std::max(odds, smallest);
    const BinomialTail at = log_binomial_tail(k, n, Odds::of(odds));
    const double excess = at.log_value + at.error - target;
    const double step = excess / at.slope + margin;
    if (excess <= 0.0 && step > -1e-13) return odds;
    if (excess > 0.0 && odds == smallest) return 0.0;
    // Close to the solution rounding may leave the value just above the target: push harder.
    if (excess > 0.0 && step < 1e-13) margin = std::max(2.0 * margin, 1e-15);
    odds *= std::exp(-step);
  }
  return 0.0;
}

/// Phi, the standard normal distribution function, to a few units of the last place.
PIXELDP_HOST_DEVICE inline double normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

/// Phi^-1 for 0 < p <= 1/2. ln Phi is concave, so Newton's method from a point left of the solution
/// (Phi(-t) <= exp(-t^2/2) / 2) approaches it from the left.
PIXELDP_HOST_DEVICE inline double lower_half_quantile(double p) {
  double z = -std::sqrt(-2.0 * std::log(2.0 * p));
  for (int iteration = 0; iteration < 40; ++iteration) {
    const double cdf = normal_cdf(z);
    const double density = std::exp(-0.5 * z * z) / std::sqrt(2.0 * std::numbers::pi);
    const double step = cdf * std::log(cdf / p) / density;
    z -= step;
    if (std::abs(step) <= 1e-15 * (1.0 + std::abs(z))) break;
  }
  return z;
}

PIXELDP_HOST_DEVICE inline double normal_quantile(double p) {
  constexpr double smallest = 1e-300, largest = 1.0 - unit_roundoff;
  p = std::clamp(p, smallest, largest);
  return p <= 0.5 ? lower_half_quantile(p) : -lower_half_quantile(1.0 - p);
}

PIXELDP_HOST_DEVICE inline double normal_quantile_error(double z) {
  return 0x1p-48 * (1.0 + std::abs(z));
}

/// Phi^-1 rounded down and up. The error of the evaluation is below 2^-48 (1 + |z|), and the result
/// is moved outwards by that much. Probabilities within 1e-300 of 0 or 2^-53 of 1 are taken as
/// these values.
PIXELDP_HOST_DEVICE inline double normal_quantile_lower(double p) {
  const double z = normal_quantile(p);
  return z - normal_quantile_error(z);
}

PIXELDP_HOST_DEVICE inline double normal_quantile_upper(double p) {
  const double z = normal_quantile(p);
  return z + normal_quantile_error(z);
}

}  // namespace pixeldp::kernels
