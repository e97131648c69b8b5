#include "pixeldp/report/stability.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/cdf_certificate.hpp"
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
/// gives, the one of the largest margin(pair).
template <class Margin>
Privacy privacy(const Calibration& calibration, double attack, const Margin& margin) {
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
    if (margin(pair) > margin(best)) best = pair;
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

/// The labels with what was observed of them, and what `bounds_of` says of each.
template <class BoundsOf>
std::vector<LabelScore> labels_of(const CertificateLogHeader& header,
                                  const CertificateRecord& record, const BoundsOf& bounds_of) {
  const ScoreStatistics& statistics = record.statistics;
  const ScoreType scores = header.options.scores;
  std::vector<LabelScore> labels;
  for (int label = 0; label < statistics.classes(); ++label) {
    LabelScore score = bounds_of(label);
    score.label = label;
    score.observed =
        static_cast<double>(statistics.scores(scores)[static_cast<std::size_t>(label)]) *
        unit_of(scores) / static_cast<double>(statistics.draws);
    labels.push_back(score);
  }
  return labels;
}

/// The prediction first, then by falling upper bound.
void put_in_order(std::vector<LabelScore>& labels, int prediction) {
  std::ranges::stable_sort(labels, [&](const LabelScore& a, const LabelScore& b) {
    if ((a.label == prediction) != (b.label == prediction)) return a.label == prediction;
    return a.upper > b.upper;
  });
}

/// By the distribution of the scores.
Stability stability_of_distribution(const CertificateLogHeader& header,
                                    const CertificateRecord& record) {
  const ScoreStatistics& statistics = record.statistics;
  const Calibration& calibration = header.calibration;
  const double failure = kernels::one_sided_failure(header.options.alpha, statistics.classes(),
                                                    record.selection_draws == 0, true);
  const double shift = calibration.sensitivity * record.radius / calibration.noise_scale;
  Stability result{.attack = record.radius};
  result.labels = labels_of(header, record, [&](int label) {
    const TailBounds bounds = tail_bounds(histogram_of(statistics, label), failure);
    return LabelScore{.lower = least_score(bounds, 0.0),
                      .upper = most_score(bounds, 0.0),
                      .attacked_lower = least_score(bounds, shift),
                      .attacked_upper = most_score(bounds, shift)};
  });
  put_in_order(result.labels, record.prediction);
  const LabelScore& predicted = result.labels.front();
  for (std::size_t i = 1; i < result.labels.size(); ++i) {
    LabelScore& other = result.labels[i];
    other.upper = std::min(other.upper, 1.0 - predicted.lower);
    other.attacked_upper =
        std::max(other.upper, std::min(other.attacked_upper, 1.0 - predicted.attacked_lower));
    result.rival = std::max(result.rival, other.attacked_upper);
  }
  return result;
}

/// Whether the certificate is of a label that was fixed before any draw (records_of_labels).
bool is_of_label(const CertificateLogHeader& header, const CertificateRecord& record) {
  return header.options.top > 1 && record.prediction == record.label;
}

/// The sums that the 1 to K labels that overtake together have at most (P_t of top_k.hpp).
std::vector<double> sums_of_overtaking(const std::vector<LabelScore>& labels, int top) {
  std::vector<double> sums;
  const double left = 1.0 - labels.front().lower;
  double sum = 0.0;
  for (int t = 1; t <= top; ++t) {
    sum += labels[static_cast<std::size_t>(top + 1 - t)].upper;
    sums.push_back(std::min(sum, left * t / top));
  }
  return sums;
}

}  // namespace

Stability stability(const CertificateLogHeader& header, const CertificateRecord& record) {
  const CertificateOptions& options = header.options;
  if (options.kind == CertificateKind::cdf) return stability_of_distribution(header, record);
  const bool fixed = record.selection_draws > 0 || is_of_label(header, record);
  const ScoreBounds bounds = score_bounds(record.statistics, options.scores, options.bound,
                                          options.alpha, selection_of(fixed), options.top);
  const double lower = bounds.lower[static_cast<std::size_t>(record.prediction)];
  Stability result{.attack = record.radius};
  result.labels = labels_of(header, record, [&](int label) {
    const auto i = static_cast<std::size_t>(label);
    return LabelScore{.lower = bounds.lower[i],
                      .upper = label == record.prediction ? bounds.upper[i]
                                                          : std::min(bounds.upper[i], 1 - lower)};
  });
  put_in_order(result.labels, record.prediction);

  const Calibration& calibration = header.calibration;
  const double shift = calibration.sensitivity * record.radius / calibration.noise_scale;
  const std::vector<double> sums = sums_of_overtaking(result.labels, options.top);
  const auto highest_of_each = [&](const auto& highest) {
    double least = 1.0;
    for (std::size_t t = 1; t <= sums.size(); ++t)
      least = std::min(least, std::min(1.0, highest(sums[t - 1])) / static_cast<double>(t));
    return least;
  };
  const bool exact = options.kind == CertificateKind::exact;
  const Privacy pair =
      exact ? Privacy{} : privacy(calibration, record.radius, [&](const Privacy& p) {
        return p.lowest(lower) - highest_of_each([&](double sum) { return p.highest(sum); });
      });
  result.epsilon = pair.epsilon;
  result.delta = pair.delta;
  const auto lowest = [&](double p) {
    return exact && shift > 0 ? exact_lowest(calibration.mechanism, shift, p) : pair.lowest(p);
  };
  const auto highest = [&](double p) {
    return exact && shift > 0 ? 1 - exact_lowest(calibration.mechanism, shift, 1 - p)
                              : pair.highest(p);
  };
  for (LabelScore& score : result.labels) {
    score.attacked_lower = std::clamp(lowest(score.lower), 0.0, score.lower);
    score.attacked_upper = std::clamp(highest(score.upper), score.upper, 1.0);
  }
  result.rival = highest_of_each(highest);
  return result;
}

}  // namespace pixeldp::report
