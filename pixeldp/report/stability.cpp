#include "pixeldp/report/stability.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/special_functions.hpp"

namespace pixeldp::report {
namespace {

struct Privacy {
  double epsilon = 0.0;
  double delta = 0.0;

  double lowest(double p) const { return std::exp(-epsilon) * (p - delta); }
  double highest(double p) const { return std::exp(epsilon) * p + delta; }
};

/// The privacy that the noise gives against attacks of a size. Of the pairs that Gaussian noise
/// gives, the one that keeps `lower` and `upper` furthest apart.
Privacy privacy(const Calibration& calibration, double attack, double lower, double upper) {
  const double shift = calibration.sensitivity * attack / calibration.noise_scale;
  if (shift == 0) return {};
  switch (calibration.mechanism) {
    case Mechanism::none:  // has no certificates
    case Mechanism::gaussian:
      break;
    case Mechanism::laplace:
      return {shift, 0.0};
  }
  constexpr int steps = 4000;
  Privacy best{1.0, 1.0};
  for (int i = 1; i <= steps; ++i) {
    const double epsilon = static_cast<double>(i) / steps;
    const double ratio = epsilon / shift;
    // sigma = sqrt(2 ln(1.25/delta)) Delta L / epsilon, solved for delta.
    const Privacy pair{epsilon, std::min(1.0, 1.25 * std::exp(-ratio * ratio / 2))};
    if (pair.lowest(lower) - pair.highest(upper) > best.lowest(lower) - best.highest(upper)) {
      best = pair;
    }
  }
  return best;
}

/// What one of the statistics' integers stands for.
double unit_of(ScoreType scores) {
  switch (scores) {
    case ScoreType::argmax:
      return 1.0;
    case ScoreType::softmax:
      return kernels::score_unit;
  }
  fail("not a score type: {}", static_cast<int>(scores));
}

/// The least expected score under an attack that shifts the noise by `shift` of its scales.
double exact_lowest(Mechanism mechanism, double shift, double p) {
  switch (mechanism) {
    case Mechanism::none:  // has no certificates
    case Mechanism::gaussian:
      return normal_cdf(normal_quantile_lower(p) - shift);
    case Mechanism::laplace:
      return kernels::laplace_least(shift, p);
  }
  fail("not a mechanism: {}", static_cast<int>(mechanism));
}

}  // namespace

Stability stability(const CertificateLogHeader& header, const CertificateRecord& record) {
  const ScoreStatistics& statistics = record.statistics;
  const CertificateOptions& options = header.options;
  const ScoreBounds bounds =
      score_bounds(statistics, options.scores, options.bound, options.alpha,
                   record.selection_draws == 0 ? Selection::same_draws : Selection::separate_draws);

  Stability result;
  result.attack = record.radius;
  const auto predicted = static_cast<std::size_t>(record.prediction);
  for (std::size_t i = 0; i < bounds.lower.size(); ++i) {
    LabelScore score;
    score.label = static_cast<int>(i);
    score.observed = static_cast<double>(statistics.scores(options.scores)[i]) *
                     unit_of(options.scores) / static_cast<double>(statistics.draws);
    score.lower = bounds.lower[i];
    score.upper = bounds.upper[i];
    if (i != predicted) score.upper = std::min(score.upper, 1 - bounds.lower[predicted]);
    result.labels.push_back(score);
  }
  std::ranges::stable_sort(result.labels, [&](const LabelScore& a, const LabelScore& b) {
    if ((a.label == record.prediction) != (b.label == record.prediction)) {
      return a.label == record.prediction;
    }
    return a.upper > b.upper;
  });

  const Calibration& calibration = header.calibration;
  const double shift = calibration.sensitivity * record.radius / calibration.noise_scale;
  const double rival = result.labels.size() > 1 ? result.labels[1].upper : 0.0;
  const bool exact = options.kind == CertificateKind::exact;
  const Privacy pair =
      exact ? Privacy{} : privacy(calibration, record.radius, result.labels.front().lower, rival);
  result.epsilon = pair.epsilon;
  result.delta = pair.delta;
  for (LabelScore& score : result.labels) {
    const double lowest = exact && shift > 0
                              ? exact_lowest(calibration.mechanism, shift, score.lower)
                              : pair.lowest(score.lower);
    const double highest = exact && shift > 0
                               ? 1 - exact_lowest(calibration.mechanism, shift, 1 - score.upper)
                               : pair.highest(score.upper);
    score.attacked_lower = std::clamp(lowest, 0.0, score.lower);
    score.attacked_upper = std::clamp(highest, score.upper, 1.0);
  }
  return result;
}

}  // namespace pixeldp::report
