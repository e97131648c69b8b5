#include "pixeldp/variation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"

namespace pixeldp {
namespace {

using kernels::RadiusRule;

/// More than rounding takes away of any number below.
constexpr double up = 1.0 + 1e-9;

double normal_density(double x) {
  return std::exp(-0.5 * x * x) * (std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}

/// The least t of the Gaussian case, but for a little; above 1 where there is none below.
double gaussian_deduction(double v, double a, double b) {
  const double c =
      0.5 * std::abs(kernels::normal_quantile_lower(a) + kernels::normal_quantile_upper(b)) * up;
  const double enough = v / normal_density(c + 1.0) * up;
  return enough > 1.0 ? enough : v / normal_density(c + enough) * up;
}

/// Likewise of the Laplace case, where A and B meet at size S.
double laplace_deduction(double v, double a, double size) {
  const double above = 1.0 - std::exp(size) * (1.0 - a);  // the upper branch, as far as it goes
  const double met = a <= 0.5      ? a * std::exp(-size)
                     : above > 0.5 ? above
                                   : std::exp(-size) / (4.0 * (1.0 - a));
  const double m = std::min(met, 1.0 - met) / up;
  const double t = v / m * up;
  return m * std::exp(t) * up <= 0.5 ? t : 4.0 * t;
}

}  // namespace

double charged_variation(double variation) {
  return variation == 0.0 ? 0.0 : variation * up + 0x1p-52;
}

double attack_size_under(double variation, RadiusRule rule, double lower, double upper) {
  const kernels::InTurn search;
  if (variation == 0.0) return kernels::attack_size(rule, lower, upper, search);
  const double v = charged_variation(variation);
  lower -= v;
  upper += v;
  if (lower <= upper) return 0.0;
  const auto size_less = [&](double deduction) {
    const double size = kernels::attack_size(rule, lower, upper, search);
    return deduction > 1.0 ? 0.0 : std::max(0.0, size - deduction);
  };
  switch (rule) {
    case RadiusRule::gaussian:
    case RadiusRule::gaussian_grid:
      return std::max(
          0.0, kernels::attack_size(rule, lower - 2.0 * std::numbers::e * v * up, upper, search));
    case RadiusRule::gaussian_exact:
      return size_less(gaussian_deduction(v, lower, upper));
    case RadiusRule::laplace:  // A = e^-s a and B = e^s b
      return size_less(v / std::sqrt(lower * upper) * up);
    case RadiusRule::laplace_exact:
      return size_less(
          laplace_deduction(v, lower, kernels::attack_size(rule, lower, upper, search)));
  }
  fail("not a rule of radii: {}", static_cast<int>(rule));
}

}  // namespace pixeldp
