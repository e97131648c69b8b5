#pragma once

#include <cstdint>
#include <span>

#include "kernels/bounds.hpp"

namespace pixeldp {

/// The attack size, in units of noise scale / sensitivity and rounded down, within which a label
/// whose expected score is at least `lower` stays among the K first of so many classes, 0 when
/// there is none. `others`: upper bounds of the K largest scores of other labels, falling, each of
/// [0, 1]. Throws an Error for the rule gaussian_grid, which the original program has for K = 1
/// alone.
///
/// A label is among the K first unless K others have at least its score. Let an attack of size s
/// leave of the expectation l of a score in [0, 1] f(l) at least, and make g(l) of it at most:
///   exact    Phi(Phi^-1(l) - s) and Phi(Phi^-1(l) + s) for Gaussian noise, for Laplace noise
///            laplace_least and laplace_most of kernels/formulas/bounds.hpp (Neyman and Pearson)
///   pixeldp  e^-eps (l - delta) and e^eps l + delta, for any (eps, delta) of the noise at s
///            (Lecuyer et al. 2019, lemma 1); delta = 0 for Laplace noise
/// Let p_1 >= p_2 >= ... be the expected scores of the other labels on the image itself. Then the
/// label stays among the K first within s if for some t from 1 to K
///   t f(lower) > g(P_t),  P_t >= p_(K-t+1) + ... + p_K.
/// Proof. Of K labels that overtake it, t at least are none of the K - t that have p_1, p_2, ... .
/// The sum of the scores of t such labels is itself a score in [0, 1], and its expectation on the
/// image is at most P_t: under the attack they have g(P_t) together at most, while t times the
/// label's score is at least t f(lower). So they cannot all have as much as the label.
///
/// P_t is the smaller of others[K-t] + ... + others[K-1] and (t / K) (1 - lower): what is left of
/// all scores, of which the last t of K numbers that fall have at most that share. The former is
/// right where the bounds of the labels of p_1, ..., p_K hold, whichever have the largest bounds,
/// for then the j-th largest of all bounds is at least p_j. Those are K fixed labels.
///
/// It is the form of Jia et al. 2020 ("Certified robustness for top-k predictions against
/// adversarial perturbations via randomized smoothing"), whose P_t has 1 - lower without t / K, for
/// any noise that has f and g. Of known scores no more can be certified, where f and g are exact
/// and g is concave: the sums of sets of labels then have no other limit than g, so that K labels
/// can share what an attack makes of them until each has the smallest of all g(P_t) / t.
///
/// For K = 1 it is the condition of certified_radius.
///
/// With a `variation` v (variation.hpp), `lower` and `others` bound the scores of the law that was
/// drawn from. Those of the theorem's are within v of them, and so is the sum of any t scores,
/// which is a score itself; likewise under the attack. So the condition becomes
///   t (f(lower - v) - v) > g(P_t + v) + v.
double top_k_attack_size(kernels::RadiusRule rule, double lower, std::span<const double> others,
                         std::int64_t classes, bool softmax, double variation = 0.0);

}  // namespace pixeldp
