#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pixeldp/certificate.hpp"

namespace pixeldp {

/// The scores of one label in the draws of an image, against rising thresholds in (0, 1].
struct ScoreHistogram {
  std::vector<double> thresholds;
  std::vector<std::uint64_t> at_least;  ///< draws whose score is at least the threshold
  std::uint64_t draws = 0;
};

/// Bounds of the probabilities that the score is at least each threshold, all of which hold
/// together with probability at least 1 - failure: Clopper-Pearson, each at failure / thresholds.
/// Throws an Error for a histogram that no draws can have left.
struct TailBounds {
  std::vector<double> thresholds;
  std::vector<double> lower, upper;
};
TailBounds tail_bounds(const ScoreHistogram& histogram, double failure);

/// What an attack of a size in units of sigma / Delta leaves of the expected score at least, and
/// makes of it at most, by these bounds and Gaussian noise (below).
double least_score(const TailBounds& bounds, double size);
double most_score(const TailBounds& bounds, double size);

/// The certificate by the distribution of the scores (Kumar et al. 2020, "Certifying confidence via
/// randomized smoothing"): the attack size, in units of sigma / Delta and rounded down, within
/// which the expected score of the label stays above that of the rival. Gaussian noise.
///
/// A score in [0, 1] is the integral over t of the indicator of its being at least t. By Neyman and
/// Pearson an attack of size s moves the probability p of such an event to no less than
/// Phi(Phi^-1(p) - s) and to no more than Phi(Phi^-1(p) + s). Each integral is bounded by its sum
/// over the thresholds, from below with the value at the upper end of each step, from above with
/// that at the lower end. Scores add up to 1, so that the rival has no more than the label leaves:
/// without `rival` that alone is used. Softmax scores in floats add up to a little more, `excess`.
///
/// It is never below the certificate by the mean, Phi^-1 of it, when the probabilities are known:
/// that one knows only their integral.
///
/// With a `variation` v (variation.hpp) the bounds are of the law that was drawn from: each event's
/// probability is within v of the theorem's, and under the attack so is each expected score.
double cdf_attack_size(const TailBounds& label, const TailBounds* rival, double excess,
                       double variation = 0.0);

/// The same for every other label: the bounds of `label` at half of the failure probability of an
/// event, and of each rival at the other half. Free of the number of classes where other draws have
/// chosen the label, since its true strongest rival is one fixed label; on the same draws alpha is
/// shared out to all labels.
double cdf_attack_size(const std::vector<ScoreHistogram>& scores, int label, double alpha,
                       bool same_draws, double variation = 0.0);

/// The histogram of a label's scores. Each was rounded to a multiple of 2^-32 before it was held
/// against j / 32: it is at least that less half a unit if it reached it, and at most that if not.
ScoreHistogram histogram_of(const ScoreStatistics& statistics, int label);

/// pixeldp::certify for CertificateKind::cdf: of softmax scores and Gaussian noise. Throws an Error
/// for statistics without a histogram, and for other noise.
Certificate certify_by_distribution(const ScoreStatistics& statistics,
                                    const Calibration& calibration, double alpha,
                                    std::optional<int> selected);

}  // namespace pixeldp
