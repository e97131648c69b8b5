#pragma once

#include <cstdint>

namespace pixeldp {

// The special functions behind the bounds, in double precision, each with its own error bound or
// rounded to a stated side. None of them allocates, recurses or throws, and every loop has a fixed
// bound, so that a kernel can evaluate them for one label per lane.

/// A probability and its complement, each with full relative accuracy.
struct Odds {
  double p = 0.0;
  double q = 1.0;

  static Odds of(double odds) { return {odds / (1.0 + odds), 1.0 / (1.0 + odds)}; }
};

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
BinomialTail log_binomial_tail(std::uint64_t k, std::uint64_t n, Odds probability);

/// An odds ratio p/q at which P(X >= k) is certainly at most `tail`, as large as the error bound of
/// log_binomial_tail allows; for 1 <= k < n and 0 < tail <= 1/2. 0 when no normal double is that
/// small.
double binomial_tail_odds(std::uint64_t k, std::uint64_t n, double tail);

/// Phi, the standard normal distribution function, to a few units of the last place.
double normal_cdf(double z);

/// Phi^-1 rounded down and up. The error of the evaluation is below 2^-48 (1 + |z|), and the result
/// is moved outwards by that much. Probabilities within 1e-300 of 0 or 2^-53 of 1 are taken as
/// these values.
double normal_quantile_lower(double p);
double normal_quantile_upper(double p);

}  // namespace pixeldp
