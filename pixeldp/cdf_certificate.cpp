#include "pixeldp/cdf_certificate.hpp"

#include <algorithm>
#include <functional>
#include <optional>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/bounds.hpp"
#include "pixeldp/variation.hpp"

namespace pixeldp {
namespace {

void check(const ScoreHistogram& h) {
  if (h.thresholds.empty()) fail("a histogram of scores without thresholds");
  if (h.at_least.size() != h.thresholds.size())
    fail("a histogram of {} thresholds and {} counts", h.thresholds.size(), h.at_least.size());
  double below = 0.0;
  std::uint64_t more = h.draws;
  for (std::size_t i = 0; i < h.thresholds.size(); ++i) {
    if (!(h.thresholds[i] > below && h.thresholds[i] <= 1.0))
      fail("threshold {} of a histogram of scores is {}: they must rise from above 0 to at most 1",
           i, h.thresholds[i]);
    if (h.at_least[i] > more)
      fail("{} scores are at least {}, but only {} at least what is below", h.at_least[i],
           h.thresholds[i], more);
    below = h.thresholds[i];
    more = h.at_least[i];
  }
}

/// Of the theorem's law, where the law that was drawn from is within a variation of it.
TailBounds widened(TailBounds bounds, double variation) {
  for (double& p : bounds.lower) p = std::max(0.0, p - variation);
  for (double& p : bounds.upper) p = std::min(1.0, p + variation);
  return bounds;
}

/// Phi(Phi^-1(p) + shift) for a p that was rounded to the side of the shift; 0 and 1 stay.
double shifted(double p, double quantile, double shift) {
  return p <= 0.0 ? 0.0 : p >= 1.0 ? 1.0 : kernels::normal_cdf(quantile + shift);
}

/// What an attack leaves of a label's expected score at least, or makes of it at most.
class Shifted {
 public:
  Shifted(const TailBounds& bounds, bool upper)
      : thresholds_(bounds.thresholds), p_(upper ? bounds.upper : bounds.lower), upper_(upper) {
    for (const double p : p_)
      quantiles_.push_back(upper ? kernels::normal_quantile_upper(p)
                                 : kernels::normal_quantile_lower(p));
  }
  double score(double size) const {
    // The terms are at most 1 in sum, and each errs by less than 2^-49.
    constexpr double margin = 0x1p-46;
    double sum = upper_ ? thresholds_.front() : 0.0, before = 0.0;
    for (std::size_t i = 0; i < p_.size(); ++i) {
      const double after = i + 1 < p_.size() ? thresholds_[i + 1] : 1.0;
      const double step = upper_ ? after - thresholds_[i] : thresholds_[i] - before;
      sum += step * shifted(p_[i], quantiles_[i], upper_ ? size : -size);
      before = thresholds_[i];
    }
    return upper_ ? sum + margin : sum - margin;
  }

 private:
  std::vector<double> thresholds_, p_, quantiles_;
  bool upper_;
};

/// The histograms of other labels, without those that another one is above at every threshold.
std::vector<const ScoreHistogram*> strongest(const std::vector<ScoreHistogram>& scores,
                                             std::size_t label) {
  std::vector<const ScoreHistogram*> kept;
  const auto above = [](const ScoreHistogram& a, const ScoreHistogram& b) {
    return std::ranges::equal(a.at_least, b.at_least, std::greater_equal());
  };
  for (std::size_t c = 0; c < scores.size(); ++c) {
    const ScoreHistogram& rival = scores[c];
    if (c == label || std::ranges::any_of(kept, [&](auto k) { return above(*k, rival); })) continue;
    std::erase_if(kept, [&](auto k) { return above(rival, *k); });
    kept.push_back(&rival);
  }
  return kept;
}

}  // namespace

TailBounds tail_bounds(const ScoreHistogram& histogram, double failure) {
  check(histogram);
  const double each = kernels::less_denormal(
      failure / static_cast<double>(histogram.thresholds.size()) * kernels::bound_down);
  TailBounds bounds{.thresholds = histogram.thresholds, .lower = {}, .upper = {}};
  for (const std::uint64_t count : histogram.at_least) {
    bounds.lower.push_back(clopper_pearson_lower(count, histogram.draws, each));
    bounds.upper.push_back(clopper_pearson_upper(count, histogram.draws, each));
  }
  return bounds;
}

double least_score(const TailBounds& bounds, double size) {
  return std::max(0.0, Shifted(bounds, false).score(size));
}
double most_score(const TailBounds& bounds, double size) {
  return std::min(1.0, Shifted(bounds, true).score(size));
}

double cdf_attack_size(const TailBounds& label, const TailBounds* rival, double excess,
                       double variation) {
  const double v = charged_variation(variation);
  const Shifted low(widened(label, v), false);
  std::optional<Shifted> high;
  if (rival != nullptr) high.emplace(widened(*rival, v), true);
  const auto stays_above = [&](double size) {
    const double lower = low.score(size) - v;
    double upper = 1.0 - lower + excess + 0x1p-53;
    if (high) upper = std::min(upper, high->score(size) + v);
    return lower > upper;
  };
  if (!stays_above(0.0)) return 0.0;
  double certified = 0.0, not_certified = 64.0;  // quantiles of doubles lie within 38
  while (not_certified - certified > 0x1p-40) {
    const double middle = 0.5 * (certified + not_certified);
    (stays_above(middle) ? certified : not_certified) = middle;
  }
  return certified;
}

double cdf_attack_size(const std::vector<ScoreHistogram>& scores, int label, double alpha,
                       bool same_draws, double variation) {
  const auto classes = static_cast<std::int64_t>(scores.size());
  if (label < 0 || label >= classes)
    fail("label {} is not one of the {} histograms of scores", label, classes);
  const double failure = kernels::one_sided_failure(alpha, classes, same_draws, true);
  // Sums of softmax outputs in floats, as in kernels::upper_beside.
  const double excess = kernels::upper_beside(1.0, 1.0, classes, true);
  const TailBounds own = tail_bounds(scores[static_cast<std::size_t>(label)], failure);
  double size = 64.0;
  for (const ScoreHistogram* rival : strongest(scores, static_cast<std::size_t>(label))) {
    const TailBounds bounds = tail_bounds(*rival, failure);
    size = std::min(size, cdf_attack_size(own, &bounds, excess, variation));
  }
  return size;
}

ScoreHistogram histogram_of(const ScoreStatistics& statistics, int label) {
  ScoreHistogram histogram{.thresholds = {}, .at_least = {}, .draws = statistics.draws};
  const auto first = static_cast<std::size_t>(label) * score_thresholds;
  for (std::size_t i = 0; i < score_thresholds; ++i) {
    histogram.thresholds.push_back(static_cast<double>(i + 1) / score_thresholds -
                                   kernels::fixed_point_error);
    histogram.at_least.push_back(statistics.histogram[first + i]);
  }
  return histogram;
}

Certificate certify_by_distribution(const ScoreStatistics& statistics,
                                    const Calibration& calibration, double alpha,
                                    std::optional<int> selected) {
  if (calibration.mechanism != Mechanism::gaussian)
    fail_usage("the certificate cdf is for gaussian noise, not for {}",
               name(calibration.mechanism));
  calibration.check();
  if (!(alpha > 0.0 && alpha < 1.0))
    fail_usage("alpha {} is out of range: it must lie between 0 and 1", alpha);
  const int classes = statistics.classes();
  if (classes < 2) fail_usage("softmax scores of {} classes: at least 2 needed", classes);
  if (statistics.histogram.size() != static_cast<std::size_t>(classes) * score_thresholds)
    fail(
        "the draws' scores were not counted against thresholds, which the certificate cdf is made "
        "of: certify with --histogram");
  if (selected && (*selected < 0 || *selected >= classes))
    fail_usage("the selected label {} is not one of the {} classes", *selected, classes);
  std::vector<ScoreHistogram> scores;
  for (int c = 0; c < classes; ++c) scores.push_back(histogram_of(statistics, c));
  Certificate certificate;
  certificate.prediction = selected ? *selected : statistics.top_label(ScoreType::softmax);
  const auto label = static_cast<std::size_t>(certificate.prediction);
  const double failure = kernels::one_sided_failure(alpha, classes, !selected, true);
  certificate.lower = least_score(tail_bounds(scores[label], failure), 0.0);
  double upper = 0.0;
  for (const ScoreHistogram* rival : strongest(scores, label))
    upper = std::max(upper, most_score(tail_bounds(*rival, failure), 0.0));
  certificate.upper = kernels::upper_beside(certificate.lower, upper, classes, true);
  certificate.size = less_rounding(
      cdf_attack_size(scores, certificate.prediction, alpha, !selected, calibration.variation),
      calibration);
  certificate.radius = radius_of(certificate.size, calibration);
  return certificate;
}

}  // namespace pixeldp
