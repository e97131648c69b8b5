#pragma once

#include "kernels/bounds.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/formulas/anytime.hpp"
#include "kernels/formulas/betting.hpp"
#include "kernels/formulas/special_functions.hpp"

/// The formulas of the bounds and the certified radius, written once for processors and GPUs.
/// Arguments are taken as they are: pixeldp/bounds.cpp and pixeldp/certificate.cpp, and on a GPU
/// kernels/cuda/bounds.cu, have checked them.

/// Before templates of such functions that call what only one of processor and GPU can run.
#ifdef __CUDACC__
#define PIXELDP_ANY_CALLEE _Pragma("nv_exec_check_disable")
#else
#define PIXELDP_ANY_CALLEE
#endif

namespace pixeldp::kernels {

/// The address of a draw has 32 bits, and products of sums must fit in 128.
inline constexpr std::uint64_t most_draws = 0xFFFFFFFF;

// ---- Bounds of expected scores, rounded outwards

/// Sixteen units of roundoff, outwards: more than the roundings of any formula of a bound.
inline constexpr double bound_ulps = 8 * std::numeric_limits<double>::epsilon();
inline constexpr double bound_up = 1.0 + bound_ulps;
inline constexpr double bound_down = 1.0 - bound_ulps;

/// A score is rounded to the nearest multiple of the unit before it is added.
inline constexpr double fixed_point_error = score_unit / 2;

/// What a relative margin has rounded down, less two of the smallest numbers: among denormal
/// numbers the margin is less than half of one and lost in rounding, and a product, a quotient and
/// that loss together err by less than two. Larger numbers stay as they are. Not below 0.
PIXELDP_HOST_DEVICE inline double less_denormal(double value) {
  return std::max(0.0, value - 2.0 * std::numeric_limits<double>::denorm_min());
}

/// The failure probability of each one-sided bound: all of them, two per class, where the label is
/// chosen on the same draws (Bonferroni); where it is fixed beforehand, its own and those of the
/// `top` largest others. Votes for one of two classes are the draws without those for the other, so
/// that a lower bound of the one fails exactly where the upper bound of the other does, and half as
/// many events can fail.
PIXELDP_HOST_DEVICE inline double one_sided_failure(double alpha, std::int64_t classes,
                                                    bool same_draws, bool softmax,
                                                    std::int64_t top = 1) {
  const double bounds = static_cast<double>(same_draws ? 2 * classes : 1 + top);
  const double events = classes == 2 && !softmax ? bounds / 2.0 : bounds;
  return less_denormal(alpha / events * bound_down);
}

/// Lower bounds of a probability for a number of draws that was fixed beforehand (Clopper and
/// Pearson): `log_all_agree`, n ln p where all n draws agree, and `odds`, p / (1 - p) elsewhere.
struct FixedDraws {
  // P(X = n) = p^n
  PIXELDP_HOST_DEVICE static double log_all_agree(std::uint64_t, double failure) {
    return std::log(failure);
  }
  PIXELDP_HOST_DEVICE static double odds(std::uint64_t k, std::uint64_t draws, double failure) {
    return binomial_tail_odds(k, draws, failure);
  }
};

/// The same for all numbers of draws together.
struct AnyDraws {
  PIXELDP_HOST_DEVICE static double log_all_agree(std::uint64_t draws, double failure) {
    return anytime_log_all_agree(draws, failure);
  }
  PIXELDP_HOST_DEVICE static double odds(std::uint64_t k, std::uint64_t draws, double failure) {
    return anytime_odds(k, draws, failure);
  }
};

/// The bound of a probability on one side.
template <class Draws>
PIXELDP_HOST_DEVICE double bound_of_probability(bool upper, std::uint64_t successes,
                                                std::uint64_t draws, double failure) {
  // An upper bound of the successes is the complement of a lower bound of the failures.
  const std::uint64_t k = upper ? draws - successes : successes;
  if (k == 0 || failure == 0.0) return upper ? 1.0 : 0.0;
  failure = std::min(failure, 0.5);
  if (k == draws) {
    const double log_p =
        Draws::log_all_agree(draws, failure) * bound_up / static_cast<double>(draws);
    return upper ? std::min(1.0, -std::expm1(log_p * bound_up) * bound_up)
                 : less_denormal(std::exp(log_p * bound_up) * bound_down);
  }
  const Odds odds = Odds::of(Draws::odds(k, draws, failure));
  return upper ? std::min(1.0, odds.q * bound_up) : odds.p * bound_down;
}

PIXELDP_HOST_DEVICE inline double clopper_pearson(bool upper, std::uint64_t successes,
                                                  std::uint64_t draws, double failure) {
  return bound_of_probability<FixedDraws>(upper, successes, draws, failure);
}

/// What a bound of votes makes of a label's votes on one side.
PIXELDP_HOST_DEVICE inline double bound_of_votes(MeanBound bound, bool upper,
                                                 std::uint64_t successes, std::uint64_t draws,
                                                 double failure) {
  return bound == MeanBound::anytime
             ? bound_of_probability<AnyDraws>(upper, successes, draws, failure)
             : clopper_pearson(upper, successes, draws, failure);
}

PIXELDP_HOST_DEVICE inline double hoeffding_half_width(std::uint64_t draws, double failure) {
  return std::sqrt(-std::log(failure) / (2.0 * static_cast<double>(draws))) * bound_up;
}

PIXELDP_HOST_DEVICE inline double empirical_bernstein_half_width(std::uint64_t draws,
                                                                 double variance, double failure) {
  if (draws < 2) return std::numeric_limits<double>::infinity();
  const double n = static_cast<double>(draws);
  const double log_term = std::numbers::ln2 - std::log(failure);
  return (std::sqrt(2.0 * variance * log_term / n) + 7.0 * log_term / (3.0 * (n - 1.0))) * bound_up;
}

struct MeanAndVariance {
  double mean_low = 0.0;  ///< of the exact scores that the fixed-point sums stand for
  double mean_high = 0.0;
  double variance = 0.0;  ///< unbiased sample variance, rounded up
};

/// n sum(s^2) - sum(s)^2 over n (n-1), without cancellation in integers. Infinite for one draw.
PIXELDP_HOST_DEVICE inline double sample_variance(std::uint64_t draws, std::uint64_t sum,
                                                  unsigned __int128 squares) {
  if (draws < 2) return std::numeric_limits<double>::infinity();
  const unsigned __int128 first = draws * squares;
  const unsigned __int128 second = static_cast<unsigned __int128>(sum) * sum;
  const double n = static_cast<double>(draws);
  return first > second ? static_cast<double>(first - second) / (n * (n - 1.0)) * bound_up : 0.0;
}

PIXELDP_HOST_DEVICE inline MeanAndVariance mean_of_votes(std::uint64_t votes, std::uint64_t draws) {
  const double mean = static_cast<double>(votes) / static_cast<double>(draws);
  return {mean * bound_down, mean * bound_up, sample_variance(draws, votes, votes)};
}

PIXELDP_HOST_DEVICE inline MeanAndVariance mean_of_sums(std::uint64_t sum, std::uint64_t squares,
                                                        std::uint64_t draws) {
  const double n = static_cast<double>(draws);
  const double mean = static_cast<double>(sum) * score_unit / n;
  const double mean_square = static_cast<double>(squares) * score_unit / n;
  // The true squares may be larger than those that were added, by the rounding to the unit and, if
  // a square was formed in floats, by 2^-24 of it (twice that covers that it is the rounded one
  // that is known here); the true mean may be smaller by the rounding of the scores.
  const double slack = fixed_point_error * (1.0 + 2.0 * mean) + 0x1p-23 * mean_square;
  const double exact = sample_variance(draws, sum, static_cast<unsigned __int128>(squares) << 32) *
                       (score_unit * score_unit);
  const double variance = (exact + n / std::max(n - 1.0, 1.0) * slack) * bound_up;
  return {mean * bound_down - fixed_point_error, mean * bound_up + fixed_point_error, variance};
}

struct ScoreInterval {
  double lower = 0.0;
  double upper = 1.0;
};

/// Both sides by betting; the upper one is the complement of the lower one of 1 - score.
PIXELDP_HOST_DEVICE inline ScoreInterval betting_bounds(const MeanAndVariance& m,
                                                        std::uint64_t draws, double failure) {
  if (draws < 2) return {};
  const double n = static_cast<double>(draws);
  // The mean lies up to so far from where the squares are taken around.
  const double shift = m.mean_high - m.mean_low + 2.0 * bound_ulps;
  const double spread = (m.variance * ((n - 1.0) / n) + shift * shift) * bound_up;
  return {
      betting_lower(m.mean_low, spread, draws, failure),
      std::min(1.0, 1.0 - betting_lower(1.0 - m.mean_high - bound_ulps, spread, draws, failure) +
                        0x1p-53)};
}

/// Both sides of a bound by the mean, that is any but those of votes.
PIXELDP_HOST_DEVICE inline ScoreInterval mean_bounds(MeanBound bound, const MeanAndVariance& m,
                                                     std::uint64_t draws, double failure) {
  double half_width = 1.0;  // which says nothing
  switch (bound) {
    case MeanBound::hoeffding:
      half_width = hoeffding_half_width(draws, failure);
      break;
    case MeanBound::empirical_bernstein:
      half_width = empirical_bernstein_half_width(draws, m.variance, failure);
      break;
    case MeanBound::betting:
      return betting_bounds(m, draws, failure);
    case MeanBound::clopper_pearson:
    case MeanBound::pairwise:
    case MeanBound::one_sided:
    case MeanBound::anytime:
      break;
  }
  return {std::max(0.0, m.mean_low - half_width - bound_ulps),
          std::min(1.0, m.mean_high + half_width + bound_ulps)};
}

/// The upper bound of the other labels' scores, which is at most 1 - lower: votes of a draw add up
/// to exactly 1; softmax outputs in floats to within a unit of the last place per class and a few
/// for the exponentials.
PIXELDP_HOST_DEVICE inline double upper_beside(double lower, double upper, std::int64_t classes,
                                               bool softmax) {
  const double excess = softmax ? static_cast<double>(classes + 8) * 0x1p-23 : 0.0;
  return std::min(upper, 1.0 - lower + excess + 0x1p-53);
}

// ---- The certified radius of (lower, upper), rounded down

/// Each formula below is a handful of operations of at most a few units of roundoff each. 2^-46 of
/// the result, and where differences are formed 2^-46 of the terms, is 64 such units.
inline constexpr double radius_margin = 0x1p-46;

/// ln(a / b) / 2 rounded down, for a and b in (0, 1].
PIXELDP_HOST_DEVICE inline double half_log_ratio(double a, double b) {
  const double value = 0.5 * std::log(a / b);
  return value - radius_margin * (1.0 + std::abs(value));
}

/// The largest delta with lower > e^(2 eps) upper + (1 + e^eps) delta, rounded down below equality
/// so that the inequality is strict; not positive when there is none. Of `labels` that share
/// `upper`: labels e^-eps (lower - delta) > e^eps upper + delta.
PIXELDP_HOST_DEVICE inline double largest_delta(double epsilon, double lower, double upper,
                                                double labels = 1.0) {
  const double e = std::exp(epsilon);
  return (labels * lower - e * e * upper) / (labels + e) - radius_margin;
}

/// Attack size in units of sigma / Delta at which classical Gaussian noise is (epsilon, delta)-DP.
PIXELDP_HOST_DEVICE inline double gaussian_size(double epsilon, double delta) {
  return delta > 0.0 ? epsilon / std::sqrt(2.0 * std::log(1.25 / delta)) : 0.0;
}

/// An attack size, and the epsilon that gave it.
struct SizeAt {
  double size = -1.0;
  double epsilon = 0.0;
};

/// Points of (low, high] with equal steps, each with its gaussian_size at the largest delta.
struct GaussianPoints {
  static constexpr int count = 32;
  double low, high, step, lower, upper, labels;

  PIXELDP_HOST_DEVICE SizeAt at(int i) const {
    const double epsilon = i + 1 < count ? low + (i + 1) * step : high;
    return {gaussian_size(epsilon, largest_delta(epsilon, lower, upper, labels)), epsilon};
  }
};

/// The grid of the original program: delta in steps of 0.001, and for each the epsilon below 1 that
/// ten halvings of [0, 1] leave as the last one to pass.
struct OriginalGrid {
  static constexpr int count = 299;
  double lower, upper;

  PIXELDP_HOST_DEVICE SizeAt at(int i) const {
    const double delta = (i + 1) * 0.001;
    double low = 0.0, high = 1.0;
    while (high - low >= 0.001) {
      const double epsilon = 0.5 * (low + high);
      (largest_delta(epsilon, lower, upper) >= delta ? low : high) = epsilon;
    }
    return {gaussian_size(low, delta), low};
  }
};

/// Tries points one after another: the first of the largest. (A warp tries 32 at a time.)
struct InTurn {
  template <class Points>
  SizeAt best(const Points& points) const {
    SizeAt best;
    for (int i = 0; i < Points::count; ++i)
      if (const SizeAt here = points.at(i); here.size > best.size) best = here;
    return best;
  }
};

/// Attack size s in units of b / Delta up to which the Laplace distribution keeps a label of
/// expected score `lower` above one of `upper`. Laplace noise is log-concave, so the worst shift
/// within the 1-norm ball lies along one axis. There, by Neyman and Pearson, a probability p falls
/// to no less than e^-s p if p <= 1/2, and else to 1 - e^s (1-p) while that is above 1/2 and to
/// e^-s / (4 (1-p)) from there on; it rises to the mirror image. The sizes are where the two meet.
PIXELDP_HOST_DEVICE inline double exact_laplace_size(double lower, double upper) {
  if (lower < 0.5) return half_log_ratio(lower, upper);
  if (upper > 0.5) return half_log_ratio(1.0 - upper, 1.0 - lower);
  return half_log_ratio(0.25 / (1.0 - lower), upper);
}

/// What Laplace noise leaves of a probability p < 1 under an attack of size s in units of b / Delta
/// at least, and what it makes of it at most: the functions above.
PIXELDP_HOST_DEVICE inline double laplace_least(double size, double p) {
  if (p < 0.5) return std::exp(-size) * p;
  const double above = 1.0 - std::exp(size) * (1.0 - p);
  return above >= 0.5 ? above : std::exp(-size) / (4.0 * (1.0 - p));
}
PIXELDP_HOST_DEVICE inline double laplace_most(double size, double p) {
  if (p > 0.5) return 1.0 - std::exp(-size) * (1.0 - p);
  const double below = std::exp(size) * p;
  return below <= 0.5 ? below : 1.0 - std::exp(-size) / (4.0 * p);
}

/// Maximum over epsilon of gaussian_size at the largest delta. Every epsilon gives a sound value,
/// so the search may be as plain as 32 points, one per lane of a warp, that close in on the best.
PIXELDP_ANY_CALLEE
template <class Search>
PIXELDP_HOST_DEVICE double largest_gaussian_size(double lower, double upper, const Search& search,
                                                 double labels = 1.0) {
  constexpr int rounds = 8;
  double low = 0.0;
  double high = std::min(1.0, half_log_ratio(labels * lower, upper));
  double best = 0.0;
  for (int round = 0; round < rounds && low < high; ++round) {
    const double step = (high - low) / GaussianPoints::count;
    const SizeAt here = search.best(GaussianPoints{low, high, step, lower, upper, labels});
    best = std::max(best, here.size);
    low = std::max(low, here.epsilon - step);
    high = std::min(high, here.epsilon + step);
  }
  return best;
}

/// The attack size up to which a label of expected score at least `lower` stays above labels of at
/// most `upper`, in units of noise scale / sensitivity.
PIXELDP_ANY_CALLEE
template <class Search>
PIXELDP_HOST_DEVICE double attack_size(RadiusRule rule, double lower, double upper,
                                       const Search& search) {
  if (lower <= upper) return 0.0;
  // Keeps every formula finite; no bound from a finite number of draws comes that close.
  lower = std::min(lower, 1.0 - 0x1p-53);
  upper = std::max(upper, 1e-290);
  switch (rule) {
    case RadiusRule::gaussian:
      return largest_gaussian_size(lower, upper, search);
    case RadiusRule::gaussian_grid:
      return search.best(OriginalGrid{lower, upper}).size;
    case RadiusRule::gaussian_exact:
      return 0.5 * (normal_quantile_lower(lower) - normal_quantile_upper(upper));
    case RadiusRule::laplace:
      return half_log_ratio(lower, upper);
    case RadiusRule::laplace_exact:
      return exact_laplace_size(lower, upper);
  }
  return 0.0;
}

/// `scale_per_sensitivity` is rounded down where it is denormal; elsewhere the margin covers it.
PIXELDP_HOST_DEVICE inline double radius_of(double size, double scale_per_sensitivity) {
  return less_denormal(size * scale_per_sensitivity * (1.0 - radius_margin));
}

// ---- What a GPU deducts besides
//
// Its additions, multiplications, divisions and square roots are those of IEEE 754, but its
// functions differ from the processor's: CUDA documents errors of at most 1 unit of the last place
// (2 of roundoff) for log, log1p, exp and expm1, and 5 for erfc. The margins above allow for that
// too: 16 units of roundoff where a bound rounds some 5 times; 128 for radii; and 2^-48 (1 + |z|)
// for quantiles, of which erfc takes 10 units times Phi(z) / phi(z) <= 1.26, and the last step
// 1e-15. What is deducted here covers the difference of two evaluations, so that a GPU's result is
// never larger than the processor's, by which logs are checked.

/// Bounds moved outwards by 2^-36 of the log-odds, 32 units of roundoff below and 8 above.
///
/// Clopper-Pearson: binomial_tail_odds ends within 1e-13 and twice its own error bound of the exact
/// odds, relatively. That bound is log_binomial_tail's error by its slope: 2^-53 (68 * 690 + small)
/// by at least 1 where the tail is 1e-300, and much less by at least 0.69 elsewhere, so all is
/// below 2^-36. Odds::of and the last factors round at most 6 times.
///
/// Anytime: the same of ln M, of exponent E <= 710 and slope x = k - n p. E <= k ln(k / (n p)), so
/// that E / x <= ln(1 / r) / (1 - r) <= 711 with r = n p / k; and as E >= 1.3 at the bound, x >=
/// 0.4. The error by the slope is below 2^-53 (64 * 711 + 16 + 64 / 0.4), less than 2^-37.
///
/// Betting: ln of the fortune of a draw errs by 2^-49 l (rise + s / c^2), the rise therefore by
/// 2^-48 of itself and of s / c^2, neither of which is above (1 - p) / p, and the bound c / (1 +
/// rise) by 2^-47 (1 - p).
///
/// The rest is a few units of roundoff of a number of at most 1 (means less half-widths), or of the
/// result itself (upper bounds).
PIXELDP_HOST_DEVICE inline double device_lower(double p) {
  return std::max(0.0, p - 0x1p-36 * p * (1.0 - p) - 0x1p-48);
}
PIXELDP_HOST_DEVICE inline double device_upper(double p) {
  return std::min(1.0, p + 0x1p-36 * p * (1.0 - p) + 0x1p-50 * p);
}

/// The size less 2^-46 (4 + size). Within [1e-10, 1 - 2^-53], what the bounds are of at most 2^32
/// draws, two evaluations of the exact Gaussian size differ by up to 2^-48 (|z| + 1) at either end,
/// with |z| < 6.4 where both are below 0 and z sizes apart where not. half_log_ratio's differ by
/// some 4 units of roundoff of 1 + size. Those of the paper's Gaussian size differ by 4 units for
/// gaussian_size, as much again for a search that ended elsewhere on a flat top, and by what
/// largest_delta's 6 units make, for which the 32 units of device_lower more than make up.
PIXELDP_HOST_DEVICE inline double device_size(double size) { return size - 0x1p-46 * (4.0 + size); }

}  // namespace pixeldp::kernels
