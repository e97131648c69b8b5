#pragma once

#include "kernels/formulas/bounds.hpp"

/// How a bound shares alpha, the failure probability of one certificate, out to the events that can
/// make it wrong. For processors and GPUs alike.
namespace pixeldp::kernels {

/// Together at most alpha, in whatever way it is shared out.
struct FailureShares {
  double lower = 0.0;  ///< of the lower bound of the label; 0: it says nothing
  double upper = 0.0;  ///< of the upper bound of each other label; 0: it says nothing
  double test = 0.0;   ///< of each side of the pairwise test, where there is one
  bool tested = false;
};

// ---- MeanBound::pairwise: free of the number of classes, on the draws that chose the label
//
// Let x be the most votes, b the second most, a = 0.1 alpha. Certify only if the two labels differ
// by the sign test, 2 P(Bin(x + b, 1/2) >= x) <= a. Then bound the label's probability from below
// at 0.6 alpha and that of each other label from above at 0.3 alpha, and take the largest of these.
//
// If the label is the only most probable one, two events can make the certificate wrong: its own
// lower bound fails, or the upper bound of its true runner-up does. Those are two fixed labels, so
// that their chances, 0.6 alpha and 0.3 alpha, need no factor for the number of classes. It remains
// that a label which is not the only most probable one passes the test with probability at most a
// (Hung and Fithian 2019, "Rank verification for exponential families", theorem 1, for multinomial
// counts).
//
// Proof. The test passes only where x > b, so that it does not matter how ties for the most votes
// are broken; let it be at random, with equal chances: label i wins with the weight w = 1 / (number
// of labels that share the most votes), if it does so at all. For every i there is a fixed j other
// than i with p_j >= p_i, or i is the only most probable label. Given the votes of all labels but
// these two, hence their sum m = x_i + x_j, and given that i wins, x_i has probabilities
// proportional to C(m, k) r^k (1 - r)^(m - k) w(k) with r = p_i / (p_i + p_j) <= 1/2, and these
// rise stochastically with r. So the chance q of a value of at least x_i under r = 1/2 is a
// p-value: P(q <= a | i wins) <= a.
//   It remains to show q <= 2 P(Bin(x + b, 1/2) >= x) whenever i wins with x > b, for then the
// chance that i wins and passes is at most a times that of winning, and the latter add up to 1. If
// j is the second, m = x + b, and by symmetry the weights C(m, k) w(k) / 2^m add up to 1/2: this is
// an equality. Else m = x + c with c <= b, another label has b votes, and i wins with k votes only
// if k >= b and k >= m / 2. Compare the weights f(k) = C(m, k) w(k) on these k with g(k) = C(x + b,
// k) on k > (x + b) / 2, half as much on k = (x + b) / 2, and 0 below: g / f does not fall, for
// C(m', k) / C(m, k) rises with k where m' >= m; w(k) = 1 for all k > b with k > m / 2, among them
// every k >= (x + b) / 2 unless c = b, and in that case both have the factor 1/2 where k = m / 2.
// Hence g has the larger share of its weight on k >= x, where neither is reduced, which is to say q
// <= P(Bin(x + b, 1/2) >= x) / (1/2).
//
// Without the test the same bounds would be wrong too often: of two labels that tie, either can
// win.
//
// Of two classes the other's upper bound is the complement of the label's lower bound and fails
// with it: 0.9 alpha for both. A label that other draws chose needs no test: 0.8 alpha and 0.2
// alpha, or alpha for two classes. The larger part goes to the lower bound because it bounds the
// others too (upper_beside), and better than their own bound does where nearly all draws agree.

/// Parts of alpha.
struct PairwiseWeights {
  double lower, upper, test;
};

PIXELDP_HOST_DEVICE inline PairwiseWeights pairwise_weights(std::int64_t classes, bool same_draws) {
  if (classes == 2)
    return same_draws ? PairwiseWeights{0.9, 0.9, 0.1} : PairwiseWeights{1.0, 1.0, 0.0};
  return same_draws ? PairwiseWeights{0.6, 0.3, 0.1} : PairwiseWeights{0.8, 0.2, 0.0};
}

/// `same_draws`: whether the label was chosen on the draws that the bounds are made of.
///
/// MeanBound::one_sided is the form of Cohen et al. 2019, for labels that were chosen on other
/// draws alone: one event, the lower bound of the label; the other labels have what it leaves.
///
/// MeanBound::anytime (anytime.hpp), too, is of events that concern fixed labels, each after all
/// numbers of draws: of a label that other draws chose, the two events of pairwise in the same
/// parts; of one that the same draws chose, which may be another one after every draw, one event
/// for each bound of each label.
///
/// `top`: of a certificate that the label stays among so many first (pixeldp/top_k.hpp), the upper
/// bounds that can make it wrong are those of the `top` truly largest others: fixed labels as well,
/// each of which has its part of what one has for top = 1. The test of pairwise stays, for a label
/// that passes it is the only most probable one but for the test's own part of alpha.
PIXELDP_HOST_DEVICE inline FailureShares failure_shares(MeanBound bound, double alpha,
                                                        std::int64_t classes, bool same_draws,
                                                        bool softmax, std::int64_t top = 1) {
  const auto share = [&](double weight) { return less_denormal(alpha * weight * bound_down); };
  const auto others = static_cast<double>(top);
  switch (bound) {
    case MeanBound::hoeffding:
    case MeanBound::empirical_bernstein:
    case MeanBound::betting:
    case MeanBound::clopper_pearson: {
      const double each = one_sided_failure(alpha, classes, same_draws, softmax, top);
      return {each, each, 0.0, false};
    }
    case MeanBound::pairwise: {
      const PairwiseWeights weights = pairwise_weights(classes, same_draws);
      return {share(weights.lower), share(weights.upper / others), share(weights.test / 2.0),
              same_draws};
    }
    case MeanBound::one_sided:
      return {share(1.0), 0.0, 0.0, false};
    case MeanBound::anytime: {
      if (same_draws) {
        const double each = one_sided_failure(alpha, classes, same_draws, softmax);
        return {each, each, 0.0, false};
      }
      const PairwiseWeights weights = pairwise_weights(classes, same_draws);
      return {share(weights.lower), share(weights.upper / others), 0.0, false};
    }
  }
  return {};
}

/// P(Bin(x + b, 1/2) >= x) <= failure exactly where the Clopper-Pearson lower bound of x successes
/// of x + b at `failure` is at least 1/2; and what is certainly not above the bound is not either.
PIXELDP_HOST_DEVICE inline bool passes_pairwise_test(double clopper_pearson_lower) {
  return clopper_pearson_lower >= 0.5;
}

}  // namespace pixeldp::kernels
