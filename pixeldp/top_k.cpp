#include "pixeldp/top_k.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/variation.hpp"

namespace pixeldp {
namespace {

using kernels::RadiusRule;

/// More than rounding takes away of what a variation costs.
constexpr double upwards = 1.0 + 1e-9;

/// Labels that overtake together, and an upper bound of their scores' sum.
struct Overtaking {
  double labels = 1.0;
  double score = 1.0;
  double quantile = 0.0;  ///< Phi^-1 of the score, rounded up
};

/// The sets of 1 to K of them.
std::vector<Overtaking> overtaking(double lower, std::span<const double> others,
                                   std::int64_t classes, bool softmax, double variation) {
  const double left = kernels::upper_beside(lower, 1.0, classes, softmax);
  const auto all = static_cast<double>(others.size());
  std::vector<Overtaking> sets;
  double sum = 0.0;
  for (std::size_t t = 1; t <= others.size(); ++t) {
    const auto labels = static_cast<double>(t);
    sum += others[others.size() - t];
    // t roundings, to which the quotient adds two, and the variation one.
    const double up = 1.0 + (labels + 3.0) * std::numeric_limits<double>::epsilon();
    const double score =
        std::clamp((std::min(sum, labels / all * left) + variation) * up, 1e-290, 1.0);
    sets.push_back({labels, score, kernels::normal_quantile_upper(score)});
  }
  return sets;
}

double most(RadiusRule rule, const Overtaking& set, double size) {
  if (set.score >= 1.0) return 1.0;
  return rule == RadiusRule::gaussian_exact ? kernels::normal_cdf(set.quantile + size)
                                            : kernels::laplace_most(size, set.score);
}

/// By halving: what is certified at a size is certified at every smaller one.
double exact_size(RadiusRule rule, double lower, const std::vector<Overtaking>& sets, double excess,
                  double variation) {
  // Each function is at most 1 and errs by less than 2^-49.
  const double slack = 0x1p-46 + variation;
  const double quantile = kernels::normal_quantile_lower(lower);
  const auto stays = [&](double size) {
    const double least = rule == RadiusRule::gaussian_exact ? kernels::normal_cdf(quantile - size)
                                                            : kernels::laplace_least(size, lower);
    return std::ranges::any_of(sets, [&](const Overtaking& set) {
      return set.labels * (least - slack) > most(rule, set, size) + excess + slack;
    });
  };
  if (!stays(0.0)) return 0.0;
  double certified = 0.0, not_certified = 64.0;  // beyond what any number of draws proves
  while (not_certified - certified > 0x1p-40) {
    const double middle = 0.5 * (certified + not_certified);
    (stays(middle) ? certified : not_certified) = middle;
  }
  return certified;
}

/// The largest of a form that is solved for each set of labels.
template <class Size>
double largest_size(const std::vector<Overtaking>& sets, const Size& size) {
  double largest = 0.0;
  for (const Overtaking& set : sets) largest = std::max(largest, size(set));
  return largest;
}

}  // namespace

double top_k_attack_size(RadiusRule rule, double lower, std::span<const double> others,
                         std::int64_t classes, bool softmax, double variation) {
  if (lower <= 0.0) return 0.0;
  lower = std::min(lower, 1.0 - 0x1p-53);  // as in kernels::attack_size
  // By so much a sum of softmax scores in floats can be above 1, and no score in [0, 1].
  const double excess = kernels::upper_beside(1.0, 1.0, classes, softmax);
  const double v = charged_variation(variation);
  const std::vector<Overtaking> sets = overtaking(lower, others, classes, softmax, v);
  lower -= v;
  if (lower <= std::numbers::e * upwards * v) return 0.0;
  switch (rule) {
    case RadiusRule::gaussian_exact:
    case RadiusRule::laplace_exact:
      return exact_size(rule, lower, sets, excess, v);
    case RadiusRule::gaussian:  // as e^eps is at most e
      return largest_size(sets, [&](const Overtaking& set) {
        return kernels::largest_gaussian_size(lower - std::numbers::e * upwards * v,
                                              set.score + excess + v, kernels::InTurn(),
                                              set.labels);
      });
    case RadiusRule::laplace:  // t f - g = t lower e^-s - P e^s rises below S as 2 m (S - s)
      return largest_size(sets, [&](const Overtaking& set) {
        const double own = set.labels * lower, beside = set.score + excess;
        const double size = kernels::half_log_ratio(own, beside);
        if (v == 0.0 || size <= 0.0) return size;
        return size - 0.5 * (set.labels + 1.0) * v / std::sqrt(own * beside) * upwards;
      });
    case RadiusRule::gaussian_grid:
      break;
  }
  fail("no size within which a label stays among the {} first follows from the rule {}",
       others.size(), static_cast<int>(rule));
}

}  // namespace pixeldp
