#include "pixeldp/top_k.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"

namespace pixeldp {
namespace {

using kernels::RadiusRule;

/// Labels that overtake together, and an upper bound of their scores' sum.
struct Overtaking {
  double labels = 1.0;
  double score = 1.0;
  double quantile = 0.0;  ///< Phi^-1 of the score, rounded up
};

/// The sets of 1 to K of them.
std::vector<Overtaking> overtaking(double lower, std::span<const double> others,
                                   std::int64_t classes, bool softmax) {
  const double left = kernels::upper_beside(lower, 1.0, classes, softmax);
  const auto all = static_cast<double>(others.size());
  std::vector<Overtaking> sets;
  double sum = 0.0;
  for (std::size_t t = 1; t <= others.size(); ++t) {
    const auto labels = static_cast<double>(t);
    sum += others[others.size() - t];
    // t roundings, to which the quotient adds two.
    const double up = 1.0 + (labels + 2.0) * std::numeric_limits<double>::epsilon();
    const double score = std::clamp(std::min(sum, labels / all * left) * up, 1e-290, 1.0);
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
double exact_size(RadiusRule rule, double lower, const std::vector<Overtaking>& sets,
                  double excess) {
  // Each function is at most 1 and errs by less than 2^-49.
  constexpr double margin = 0x1p-46;
  const double quantile = kernels::normal_quantile_lower(lower);
  const auto stays = [&](double size) {
    const double least = rule == RadiusRule::gaussian_exact ? kernels::normal_cdf(quantile - size)
                                                            : kernels::laplace_least(size, lower);
    return std::ranges::any_of(sets, [&](const Overtaking& set) {
      return set.labels * (least - margin) > most(rule, set, size) + excess + margin;
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
                         std::int64_t classes, bool softmax) {
  if (lower <= 0.0) return 0.0;
  lower = std::min(lower, 1.0 - 0x1p-53);  // as in kernels::attack_size
  // By so much a sum of softmax scores in floats can be above 1, and no score in [0, 1].
  const double excess = kernels::upper_beside(1.0, 1.0, classes, softmax);
  const std::vector<Overtaking> sets = overtaking(lower, others, classes, softmax);
  switch (rule) {
    case RadiusRule::gaussian_exact:
    case RadiusRule::laplace_exact:
      return exact_size(rule, lower, sets, excess);
    case RadiusRule::gaussian:
      return largest_size(sets, [&](const Overtaking& set) {
        return kernels::largest_gaussian_size(lower, set.score + excess, kernels::InTurn(),
                                              set.labels);
      });
    case RadiusRule::laplace:
      return largest_size(sets, [&](const Overtaking& set) {
        return kernels::half_log_ratio(set.labels * lower, set.score + excess);
      });
    case RadiusRule::gaussian_grid:
      break;
  }
  fail("no size within which a label stays among the {} first follows from the rule {}",
       others.size(), static_cast<int>(rule));
}

}  // namespace pixeldp
