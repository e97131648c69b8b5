#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "pixeldp/calibration.hpp"

namespace pixeldp {

// Sensitivity of the linear layers before the noise: operator norms
//   Delta_{p,q} = max |W x|_q / |x|_p,
// p the norm of the attack and q the norm that the mechanism needs (1 for Laplace, 2 for Gaussian).
// All values are upper bounds, rounded up. Biases do not matter. Weights are fp32 in row-major
// order; one that is not finite is an Error.

/// faithful: the bounds of the original program (Lecuyer et al. 2019, and its treatment of
/// strides). tight: never above it; convolutions by the residue classes of their stride and by
/// their Fourier transform.
enum class SensitivityForm { faithful, tight };
inline constexpr SensitivityForm sensitivity_forms[] = {SensitivityForm::tight,
                                                        SensitivityForm::faithful};

/// "faithful", "tight".
std::string_view name(SensitivityForm form);
SensitivityForm parse_sensitivity_form(std::string_view text);

/// Upper bounds of Delta_{p,q}, indexed [p][q] in the order 1, 2, inf; infinity where nothing is
/// known.
using NormTable = std::array<std::array<double, 3>, 3>;

/// A convolution with TensorFlow's SAME padding: the output has ceil(in / stride) positions, and
/// the zeros are shared between both sides, the odd one at the end.
struct ConvGeometry {
  std::int64_t in_h = 0, in_w = 0, in_c = 0;
  std::int64_t out_c = 0;
  std::int64_t kernel_h = 0, kernel_w = 0;
  std::int64_t stride = 1;

  std::int64_t out_h() const { return (in_h + stride - 1) / stride; }
  std::int64_t out_w() const { return (in_w + stride - 1) / stride; }
  std::int64_t weight_size() const { return out_c * in_c * kernel_h * kernel_w; }
  /// Square root of the most patches that one pixel can lie in, ceil(k / stride) for a square
  /// kernel: the operator norm of taking patches.
  double patch_norm() const;
};

/// Norms of a convolution with weight [out_c][in_c][kernel_h][kernel_w].
///   1 -> 1, 1 -> 2   faithful: largest norm of the slice of an input channel; tight: of the taps
///                    of one residue class modulo the stride, for those are what one pixel meets
///   2 -> 2           faithful: patch_norm() times the largest singular value of the weight as
///                    [out_c][in_c * kernel_h * kernel_w]; tight: the polyphase bound, the largest
///                    singular value over all frequencies of a torus that holds the padded image
///                    (Sedghi, Gupta and Long 2019 for stride 1)
///   inf -> inf       largest 1-norm of the slice of an output channel
///   others           from these by sqrt(n) |W|_{2,2} and sums of row norms
NormTable conv_norms(std::span<const float> weight, const ConvGeometry& geometry,
                     SensitivityForm form);

/// Sensitivity of noise added to the `elements` values of the image itself: 1 unless the attack
/// norm is the larger one, then elements^(1/q - 1/p).
double identity_sensitivity(std::int64_t elements, AttackNorm attack_norm, Mechanism mechanism);
NormTable identity_norms(std::int64_t elements);

/// Sensitivity of standardising an image of n values, (x - mean) / max(deviation, 1 / sqrt(n)):
/// sqrt(n) in the 2-norm; for other norms times sqrt(n) from the infinity-norm, for |x|_2 <=
/// sqrt(n) |x|_inf, and times sqrt(n) to the 1-norm.
///
/// Proof. v = x - mean is an orthogonal projection of x, so no longer than x. As deviation =
/// |v| / sqrt(n), the result is sqrt(n) v / max(|v|, 1): sqrt(n) times the point of the unit ball
/// that is nearest to v, and nearest points of a convex set are no further apart than the points
/// themselves. Between images that are nearly constant, |v| < 1, the bound is attained: no smaller
/// one holds for all images.
NormTable standardise_norms(std::int64_t elements);

/// Bounds of `second` after `first`: the best of |first|_{p,r} |second|_{r,q} over r in 1, 2, inf.
/// An activation of slope at most 1 between or after them (ReLU, leaky ReLU) changes nothing: it
/// acts on each value alone and shrinks differences.
NormTable compose(const NormTable& first, const NormTable& second);

/// The entry that a mechanism needs; infinity where nothing is known. Throws an Error when there is
/// no noise.
double largest_change(const NormTable& norms, AttackNorm attack_norm, Mechanism mechanism);
/// The same. Throws an Error when it is not finite or there is no noise.
double sensitivity_of(const NormTable& norms, AttackNorm attack_norm, Mechanism mechanism);

}  // namespace pixeldp
