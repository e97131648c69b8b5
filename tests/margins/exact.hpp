#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/bounds.hpp"
#include "pixeldp/calibration.hpp"

/// The formulas of bounds and radii once more, from the definitions, in 50 digits. Nothing here is
/// shared with the program.
namespace pixeldp::exact {

/// The doubles next to a true value, equal where it is one itself. A double is not above the true
/// value exactly when it is at most `below`.
struct Around {
  double below = 0.0;
  double above = 0.0;
};

// ---- Bounds of one mean

/// alpha parts / events.
Around share(double alpha, int events, int parts = 1);

/// ln P(X >= k) - ln(failure) for X binomial with n trials of probability p, 1 <= k <= n: a lower
/// Clopper-Pearson bound p is sound where this is not positive. With p_is_complement the
/// probability is 1 - p.
double clopper_pearson_excess(std::uint64_t k, std::uint64_t n, double p, double failure,
                              bool p_is_complement = false);
/// ln(1 / M_n(p)) - ln(failure), where M_n(p) = B(k + 1/2, n - k + 1/2) / B(1/2, 1/2) / (p^k (1 -
/// p)^(n - k)): the same of a lower anytime bound.
double anytime_excess(std::uint64_t k, std::uint64_t n, double p, double failure,
                      bool p_is_complement = false);
/// ln P(X >= k) itself, where the probability is odds / (1 + odds).
Around log_binomial_tail(std::uint64_t k, std::uint64_t n, double odds);
/// odds / (1 + odds).
Around probability_of(double odds);
/// failure^(1/n), and 1 minus that.
Around all_agree(std::uint64_t n, double failure);
Around none_agree(std::uint64_t n, double failure);

/// sqrt(ln(1/a) / (2n)).
Around hoeffding_half_width(std::uint64_t draws, double failure);
/// sqrt(2 V ln(2/a) / n) + 7 ln(2/a) / (3 (n-1)).
Around empirical_bernstein_half_width(std::uint64_t draws, double variance, double failure);

/// ln of the mean fortune of four gamblers who stake l / m on x - m for every score x, less ln(1 /
/// failure): m is a lower bound of the mean by betting where this is not negative. l is the lesser
/// of 3/4 and sqrt(2 ln(1 / failure) / n) / v for v = 0.06, 0.15, 0.35, 0.8, as a double has it.
double betting_excess(std::span<const double> scores, double m, double failure);
/// A bound of that logarithm for all scores of mean c and mean square (1 + spread) c^2 at least, at
/// m = c / (1 + rise), where ln(1 / failure) is log_goal.
Around log_fortune(double rise, double spread, std::uint64_t draws, double log_goal);

/// What is known of the scores of one label: votes, or sums and squares in units of 2^-32.
struct Scores {
  std::uint64_t draws = 0, sum = 0, squares = 0;
  bool fixed_point = false;
};
Scores votes(std::uint64_t draws, std::uint64_t count);
Scores sums(std::uint64_t draws, std::uint64_t sum, std::uint64_t squares);

/// The least true mean and the largest true sample variance that leave these scores: scores and
/// squares are rounded to the nearest unit, squares to single precision before.
Around least_mean(const Scores& scores);
Around largest_mean(const Scores& scores);
Around largest_variance(const Scores& scores);

/// Mean and unbiased sample variance.
Around mean_of(std::span<const double> scores);
Around variance_of(std::span<const double> scores);

/// least_mean less the half-width at the largest variance, and largest_mean with it. Not clamped to
/// [0, 1].
Around lower_bound(kernels::MeanBound bound, const Scores& scores, double failure);
Around upper_bound(kernels::MeanBound bound, const Scores& scores, double failure);

/// 1 - lower.
Around complement(double lower);

// ---- Radii

/// Phi^-1.
Around normal_quantile(double p);
/// The delta at which lower = e^(2 eps) upper + (1 + e^eps) delta.
Around largest_delta(double epsilon, double lower, double upper);
/// epsilon / sqrt(2 ln(1.25 / delta)).
Around gaussian_size(double epsilon, double delta);
/// The attack size in units of noise scale / sensitivity, for 0 < upper < lower < 1: by Neyman and
/// Pearson where the rule is exact, else by the condition of the paper, maximised over epsilon or
/// over the points of the original program's grid.
Around attack_size(kernels::RadiusRule rule, double lower, double upper);
/// The same times scale / sensitivity.
Around radius(kernels::RadiusRule rule, double lower, double upper, double scale,
              double sensitivity);
/// size * scale.
Around product(double size, double scale);
Around quotient(double scale, double sensitivity);

// ---- Scales and sensitivities

Around noise_scale(Mechanism mechanism, double construction_bound, double epsilon, double delta,
                   double sensitivity);
/// Sum of the absolute values, and the root of the sum of the squares.
Around one_norm(std::span<const float> values);
Around two_norm(std::span<const float> values);
/// The product of the two_norms.
Around product_of_two_norms(std::span<const float> a, std::span<const float> b);
Around root(std::int64_t n);

// ---- Printed numbers

/// -1, 0 or 1 as the decimal number, such as "0.25" or "1.5e-07", lies below the double, on it or
/// above it.
int compare(const std::string& decimal, double value);

}  // namespace pixeldp::exact
