#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/bounds.hpp"
#include "pixeldp/score_statistics.hpp"

namespace pixeldp {

using Bound = kernels::MeanBound;
inline constexpr Bound all_bounds[] = {
    Bound::hoeffding, Bound::empirical_bernstein, Bound::betting, Bound::clopper_pearson,
    Bound::pairwise,  Bound::one_sided,           Bound::anytime};

/// "hoeffding", "empirical-bernstein", "betting", "clopper-pearson", "pairwise", "one-sided",
/// "anytime".
std::string_view name(Bound bound);
Bound parse_bound(std::string_view text);

// ---- One-sided bounds of one mean at one failure probability, rounded outwards ----
// At most 2^32 - 1 draws, as many as one image can have. A failure probability that underflowed to
// 0 gives bounds that say nothing; one outside [0, 1) is a usage error.

/// Lower and upper Clopper-Pearson bound of a probability after `successes` of `draws`:
/// BetaInv(a; k, n-k+1), 0 for k = 0, and BetaInv(1-a; k+1, n-k), 1 for k = n. A failure
/// probability above 1/2 counts as 1/2.
double clopper_pearson_lower(std::uint64_t successes, std::uint64_t draws, double failure);
double clopper_pearson_upper(std::uint64_t successes, std::uint64_t draws, double failure);
/// The same of a bound that misses after any number of draws, ever, with that probability
/// (kernels/formulas/anytime.hpp): whatever made the draws end.
double anytime_lower(std::uint64_t successes, std::uint64_t draws, double failure);
double anytime_upper(std::uint64_t successes, std::uint64_t draws, double failure);
/// sqrt(ln(1/a) / (2n)) for scores in [0, 1].
double hoeffding_half_width(std::uint64_t draws, double failure);
/// sqrt(2 V ln(2/a) / n) + 7 ln(2/a) / (3 (n-1)), V the unbiased sample variance (Maurer and Pontil
/// 2009, theorem 4). Infinite for fewer than two draws.
double empirical_bernstein_half_width(std::uint64_t draws, double variance, double failure);

// ---- Bounds of one prediction ----

/// Where the label that a certificate speaks of came from.
enum class Selection {
  same_draws,     ///< chosen on the draws that the bounds are computed from
  separate_draws  ///< chosen on other draws
};
/// By whether other draws chose it.
constexpr Selection selection_of(bool by_other_draws) {
  return by_other_draws ? Selection::separate_draws : Selection::same_draws;
}

/// Whether there is such a bound of such scores. Clopper-Pearson bounds of softmax scores are those
/// of their distribution (cdf_certificate.hpp).
bool suits(Bound bound, ScoreType scores);
/// Throws a usage error for a bound of votes where the scores are none, and for one-sided bounds of
/// the draws that choose the label.
void check_bound(Bound bound, ScoreType type, Selection selection);

/// Bounds of the expected scores of all labels.
struct ScoreBounds {
  std::vector<double> lower;  ///< in [0, 1], one entry per class
  std::vector<double> upper;  ///< in [0, 1], one entry per class
};

/// Bounds that hold for a certificate of the chosen label with probability at least 1 - alpha.
///
/// same_draws: the label is chosen by looking at the draws, so all 2K one-sided bounds are made to
/// hold together, each at alpha / (2K) (Bonferroni). separate_draws: the label is fixed beforehand;
/// its lower bound holds at alpha / 2 and the upper bound of its true strongest competitor, which
/// no draw chooses, at alpha / 2, whatever K. Two classes that share the votes have half as many
/// bounds, since the lower one of either is the upper one of the other: each holds at twice that.
///
/// The bounds pairwise and one-sided are Clopper-Pearson's at other failure probabilities, free of
/// K: kernels/formulas/failure_shares.hpp has these and their proof. They hold for the label with
/// the most votes, or the selected one, alone. Pairwise bounds of the same draws say nothing, 0 and
/// 1, unless the two labels with the most votes differ by a sign test.
///
/// `top`: of a certificate that the label stays among so many first (top_k.hpp). Other draws having
/// chosen it, the upper bounds of the `top` true strongest competitors share what one would have.
///
/// Betting bounds are those of kernels/formulas/betting.hpp, anytime bounds those of anytime.hpp.
///
/// argmax scores are the vote frequencies, softmax scores the mean softmax outputs. The rounding of
/// the fixed-point sums is added to the half-widths. Throws a usage error for alpha outside (0, 1),
/// no draws, what check_bound refuses, and bounds of the distribution of softmax scores.
ScoreBounds score_bounds(const ScoreStatistics& statistics, ScoreType type, Bound bound,
                         double alpha, Selection selection, int top = 1);

}  // namespace pixeldp
