#pragma once

#include <cstdint>

#include "kernels/inference.hpp"
#include "pixeldp/model.hpp"

/// What certificates are charged where the noise is added in floats, that is without a lattice: two
/// ways in which it is known to differ from the theorem's, both bounded here. They do not make it
/// sound, for the low bits of a float sum still tell of its terms (docs/soundness.md).
namespace pixeldp {

/// Bounds the total variation between ideal noise for a row of so many elements and the same cut
/// off where kernels/noise.hpp ends:
///
///   Gaussian  Box and Muller make elements 2 k and 2 k + 1 from one radius, r = sqrt(-2 ln u) with
///             u >= 2^-33. Two ideal variables lie farther out with probability exp(-r^2 / 2) =
///             2^-33. (One alone is beyond the largest r with 1.4e-11, but a pair ends at a circle,
///             not at a square.)
///   Laplace   ends at 32 ln 2, beyond which an element lies with probability 2^-32
///
/// The ideal law under the condition that an event does not happen differs from the ideal law by
/// exactly the event's probability, and some pair or element of a row is cut off with at most the
/// sum of theirs. Throws an Error for noise that is neither.
double truncation(kernels::NoiseDistribution distribution, std::int64_t elements);

/// Bounds how far the values before the noise, calculated in fp32, are from those of real numbers:
/// in the 2-norm for Gaussian, in the 1-norm for Laplace noise, for every image whose pixels lie
/// between pixel_shift and pixel_shift + 1, whatever the order of sums and with fused
/// multiplications or not. Rounded up to 16 bits, so that no last digit depends on the processor.
///
/// With u = 2^-24 and gamma(n) = n u / (1 - n u), a sum of n products with r further roundings
/// differs from its exact value by gamma(n + r) sum |w| |x| at most (Higham, Accuracy and Stability
/// of Numerical Algorithms, 3.1). Of each channel the largest |x| and the largest error so far are
/// known, and of all elements together their 2-norms, which are the better bounds behind more than
/// one convolution: |fl(W x) - W x|_2 <= |W|_2 e + gamma ||W||_2 (|x|_2 + e), ||W|| with the
/// absolute values of the weights. Images are standardised in double precision and rounded once.
/// Throws an Error that names a step of another kind.
double prefix_error(const kernels::InferencePlan& prefix, double pixel_shift, Mechanism mechanism);

/// A model's calibration with both of them. Of noise on a lattice neither is charged (on_lattice).
Calibration charged(Calibration calibration, const Model& model);

/// What is said where noise is in floats, of what would be better.
inline constexpr const char* sound_advice =
    "certify --sound makes noise whose law is known to the last bit, so that certificates hold for "
    "what the processor does";
/// And what it was measured to cost; docs/soundness.md has the command.
inline constexpr const char* sound_cost =
    "on an AMD EPYC it made 12 % fewer draws per second of the MNIST network, and of WRN-28-10 too "
    "few fewer to measure (docs/soundness.md)";

}  // namespace pixeldp
