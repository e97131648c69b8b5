#pragma once

#include "kernels/bounds.hpp"

namespace pixeldp {

/// The largest attack size, in units of noise scale / sensitivity and rounded down, within which a
/// label stays above all others although the law of what follows the noise is only within
/// `variation` of that of the theorem, in total variation, for every image. `lower` and `upper`
/// bound the expected scores of the label and of the others under the law that was drawn from.
///
/// At the image the theorem's own scores are a >= lower - variation and b <= upper + variation. For
/// an attack of size s it bounds them by A(s) and B(s), and those of the law drawn from may again
/// be that much nearer, so that A(s) - B(s) must be more than twice the variation, v. With S the
/// size at which A = B:
///
///   exact, Gaussian  A(S - t) - B(S - t) = Phi(c + t) - Phi(c - t) >= 2 t phi(|c| + t), c the mean
///                    of the quantiles of a and b: t phi(|c| + t) >= v is enough
///   Laplace          A and B move by at least e^t and e^-t towards 1/2: with m = min(A, 1 - A) at
///                    S, A - B >= 2 m sinh t >= 2 m t as long as m e^t <= 1/2, and else at least
///                    m (1 - e^-t) >= m t / 2 for t <= 1: t = v / m, or 4 v / m, is enough
///   pixeldp          lower > e^(2 eps) upper + (1 + e^eps) delta must hold with 2 v e^eps to
///   spare,
///                    where eps <= 1
///
/// and S - t is returned. Without variation that is kernels::attack_size.
double attack_size_under(double variation, kernels::RadiusRule rule, double lower, double upper);

/// A variation with what the rounding of bounds by it may add; 0 stays 0.
double charged_variation(double variation);

}  // namespace pixeldp
