#pragma once

#include <cstdint>
#include <span>

#include "pixeldp/calibration.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {

// Keeping the sensitivity of the layer before the noise at 1 while it is trained. Each function
// changes the weight in place; what the sensitivity then really is, conv_sensitivity tells.

/// `loops` times W <- (1 + step) W - step W W^T W for W = scale * weight [rows][cols], then weight
/// = W / scale (Cisse et al. 2017). Every singular value of W follows s <- s (1 + step - step s^2),
/// whose fixed point is 1. With scale = ConvGeometry::patch_norm() the faithful 2 -> 2 sensitivity
/// of a convolution [out_c][in_c * kernel_h * kernel_w] goes to 1.
///
/// A small step holds the sensitivity only loosely against the gradient: with step 0.0003, from 2
/// to 1.01 takes 2021 calls of 3 loops, 203 of 30. With step 0.5 this is the Newton-Schulz
/// iteration, which converges quadratically: 6 loops take any singular value in [0.5, 1.5] to 1
/// within the precision of floats.
///
/// Works on the Gram matrix of the smaller side n = min(rows, cols) in double precision: 1.5 n^3
/// per loop. Throws an Error, and leaves the weight as it was, when a singular value is seen to be
/// so large (its square above 1 + 2 / step) that the iteration diverges.
void parseval_project(std::span<float> weight, std::int64_t rows, std::int64_t cols, double scale,
                      double step, int loops);

/// Divides the slice of every input channel (all taps and output channels) by its 1-norm (Laplace)
/// or 2-norm (Gaussian), so that the faithful sensitivity to attacks in the 1-norm is 1. Norms
/// below 1e-12 count as 1e-12.
void normalise_columns(std::span<float> weight, const ConvGeometry& geometry, Mechanism mechanism);

/// Divides the slice of every output channel by its 1-norm, so that Delta_{inf,inf} is 1.
void normalise_rows(std::span<float> weight, const ConvGeometry& geometry);

}  // namespace pixeldp
