#pragma once

#include "kernels/formulas/special_functions.hpp"

/// Bounds of the mean of scores in [0, 1] by betting (Waudby-Smith and Ramdas, "Estimating means of
/// bounded random variables by betting", 2024), from what a log keeps of the draws: their number,
/// sum and sum of squares.
///
/// If the mean is at most m, a gambler who stakes the share l / m of the fortune, 0 <= l < 1, on
/// x - m at every draw has the expected fortune W(m, l) = E prod (1 + l (x_i / m - 1)) <= 1, and so
/// has a mixture of gamblers whose stakes were fixed beforehand. By Markov's inequality W(mean) >=
/// 1 / a has probability at most a. As W falls with m, every m with W(m) >= 1 / a is a lower bound
/// of the mean with failure probability a.
///
/// The draws themselves are not known, but this bound of the fortune is. Let c > 0 be at most the
/// mean of the draws, f(x) = ln(1 + l (x / m - 1)), and q the quadratic function with q(0) = f(0),
/// q(c) = f(c), q'(c) = f'(c). Then f(x) - q(x) = f'''(z) / 6 x (x - c)^2 for some z, and f''' > 0.
/// So sum f(x_i) >= sum q(x_i), of which the linear term at c is not negative and is left out:
///   ln W >= n (f(c) + (f(0) - f(c) + c f'(c)) s / c^2),  s = sum (x_i - c)^2 / n.
/// The factor of s is negative: q'' < 0.
namespace pixeldp::kernels {

inline constexpr int gamblers = 4;

/// What gambler i stakes. On scores of standard deviation v m the best stake is about
/// sqrt(2 ln(1 / a) / n) / v: the four know n and a, and guess v. Any stakes give sound bounds.
PIXELDP_HOST_DEVICE inline double stake(int i, double log_goal, double draws) {
  constexpr double guesses[gamblers] = {0.06, 0.15, 0.35, 0.8};
  constexpr double most = 0.75;
  return std::min(most, std::sqrt(2.0 * log_goal / draws) / guesses[i]);
}

/// A lower bound of ln W(c / (1 + rise)) where s <= spread c^2.
PIXELDP_HOST_DEVICE inline double log_fortune(double rise, double spread, double draws,
                                              double log_goal) {
  // Each line rounds some four times; 2^-50 of its terms is eight units of roundoff.
  constexpr double margin = 0x1p-50;
  double each[gamblers], most = -std::numeric_limits<double>::infinity();
  for (int i = 0; i < gamblers; ++i) {
    const double l = stake(i, log_goal, draws);
    const double at_zero = std::log1p(-l), at_centre = std::log1p(l * rise);
    const double slope = l * (1.0 + rise) / (1.0 + l * rise);
    const double bend = at_zero - at_centre + slope - margin * (slope + at_centre - at_zero);
    const double one = at_centre + bend * spread - margin * (at_centre - bend * spread);
    each[i] = draws * one;
    most = std::max(most, each[i]);
  }
  double sum = 0.0;
  for (const double fortune : each) sum += std::exp(fortune - most) / gamblers;
  return most + std::log(sum) - 2.0 * margin * (1.0 + std::abs(most));
}

/// A lower bound of the mean from the draws' mean, `centre` at most, and s, `spread` at least.
PIXELDP_HOST_DEVICE inline double betting_lower(double centre, double spread, std::uint64_t draws,
                                                double failure) {
  constexpr double up = 1.0 + 8 * std::numeric_limits<double>::epsilon();
  if (centre <= 0.0 || failure == 0.0 || failure >= 1.0) return 0.0;
  const double log_goal = -std::log(failure) * up;
  const double relative = spread / (centre * centre) * up;
  if (!(relative < 1e300)) return 0.0;
  double low = 0.0, high = centre;
  for (int halving = 0; halving < 50; ++halving) {
    const double middle = 0.5 * (low + high);
    if (middle <= 0.0) break;
    const double rise = (centre - middle) / middle;
    (log_fortune(rise, relative, static_cast<double>(draws), log_goal) >= log_goal ? low : high) =
        middle;
  }
  return low / up;  // the rise was rounded
}

}  // namespace pixeldp::kernels
