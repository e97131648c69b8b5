#pragma once

#include "kernels/formulas/special_functions.hpp"

/// Bounds of a probability that hold after every number of draws at once, for processors and GPUs.
///
/// Let k of n draws have voted for a label that was fixed before them, m = n - k the others, and
///   M_n(p) = B(k + 1/2, m + 1/2) / B(1/2, 1/2) / (p^k (1 - p)^m):
/// the likelihood of the draws under the mixture of all probabilities by the density of a
/// Beta(1/2, 1/2) variable (Krichevsky and Trofimov 1981), over that under p. The mixture gives the
/// next draw the probability (k + 1/2) / (n + 1) of a vote, so that under the true p the
/// expectation of M_(n+1) is M_n: a martingale of positive values that starts at 1. By Ville's
/// inequality it ever reaches 1 / a with probability at most a (Robbins 1970, "Statistical methods
/// related to the law of the iterated logarithm"). Left of k / n, M_n falls as p rises. So the p <
/// k / n with M_n(p) = 1 / a, from which on M_n is smaller, is a lower bound, and the chance that
/// it is above the true p after any number of draws, ever, is at most a. Who stops because of the
/// counts stops after one of these numbers: the bound holds whatever decided it. The upper bound is
/// the complement of the lower bound of the other votes.
///
/// With d(x) the error of Stirling's approximation of ln x!, and (2x)! / (4^x x!) in place of
/// Gamma(x + 1/2) / Gamma(1/2),
///   ln M_n(p) = k ln(k / (n p)) + m ln(m / (n (1 - p))) + c,
///   c = d(2k) - d(k) + d(2m) - d(m) - d(n) - ln(pi n / 2) / 2     where 0 < k < n,
///   ln M_n(p) = d(2n) - 2 d(n) - ln(pi n) / 2 - n ln p            where k = n.
namespace pixeldp::kernels {

/// n ln p at the lower bound p where all n draws agree.
PIXELDP_HOST_DEVICE inline double anytime_log_all_agree(std::uint64_t draws, double failure) {
  const auto n = static_cast<double>(draws);
  return std::log(failure) + stirling_error(2.0 * n) - 2.0 * stirling_error(n) -
         0.5 * std::log(std::numbers::pi * n);
}

/// An odds ratio p/q at which M_n(p) is certainly at least 1 / failure, as large as the error of
/// its evaluation allows; for 0 < k < n and 0 < failure <= 1/2. 0 when no normal double is that
/// small.
PIXELDP_HOST_DEVICE inline double anytime_odds(std::uint64_t successes, std::uint64_t draws,
                                               double failure) {
  constexpr double smallest = 1e-290;
  const auto k = static_cast<double>(successes), n = static_cast<double>(draws), m = n - k;
  const double goal = -std::log(failure) * (1.0 + 4.0 * unit_roundoff);
  const double constant = stirling_error(2.0 * k) - stirling_error(k) + stirling_error(2.0 * m) -
                          stirling_error(m) - stirling_error(n) -
                          0.5 * std::log(0.5 * std::numbers::pi * n);
  // ln M falls and is convex in the log-odds t, with the derivative n p - k. So Newton's method
  // comes from below after its first step and stays there. It starts where a parabola around the
  // observed frequency meets the goal.
  double odds = k / m * std::exp(-std::sqrt(2.0 * (goal - constant) * n / (k * m)));
  double margin = 0.0;
  for (int iteration = 0; iteration < 100; ++iteration) {
    odds = std::max(odds, smallest);
    const Odds x = Odds::of(odds);
    const double excess = k * x.q - m * x.p;  // k - n p
    const double exponent = deviance(k, n * x.p, excess) + deviance(m, n * x.q, -excess);
    // As in log_binomial_tail.
    const double units =
        64.0 + 64.0 * exponent + 16.0 * std::abs(excess) + 4.0 * std::abs(constant);
    const double beyond = exponent + constant - units * unit_roundoff - goal;
    const double step = beyond / excess;
    if (beyond >= 0.0 && step < 1e-13) return odds;
    if (beyond < 0.0 && odds == smallest) return 0.0;
    // Close to the solution rounding may leave the value just below the goal: push harder.
    if (beyond < 0.0 && step > -1e-13) margin = std::max(2.0 * margin, 1e-15);
    odds *= std::exp(step - margin);
  }
  return 0.0;
}

}  // namespace pixeldp::kernels
