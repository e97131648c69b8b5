#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/device.hpp"

namespace pixeldp::kernels {

struct ParsevalParams {
  std::int64_t rows = 0, cols = 0;  ///< of the weight
  double scale = 1.0;               ///< W = scale * weight
  double step = 0.0;
  int loops = 1;
};

/// The status word of parseval_project when nothing diverged.
inline constexpr std::uint64_t no_bad_loop = ~std::uint64_t{0};

/// `loops` times W <- (1 + step) W - step W W^T W for W = scale * weight [rows, cols], then weight
/// = W / scale (Cisse et al. 2017); all in double precision, in one order of sums for every device,
/// and rounded once, at the end.
///
/// Every singular value of W follows s <- s (1 + step - step s^2), whose fixed point is 1: with
/// scale = ConvGeometry::patch_norm() the faithful 2 -> 2 sensitivity of a convolution [out_c, in_c
/// * kernel_h * kernel_w] goes to 1. A small step holds it only loosely against the gradient: with
/// step 0.0003, from 2 to 1.01 takes 2021 calls of 3 loops, 203 of 30. With step 0.5 this is the
/// Newton-Schulz iteration, which converges quadratically: 6 loops take any singular value in [0.5,
/// 1.5] to 1 within the precision of floats.
///
/// It runs on the Gram matrix G of the smaller side, n = min(rows, cols): one loop is W <- P W (or
/// W P) with P = (1 + step) I - step G. All these matrices are polynomials in the first G and
/// commute, so that G <- P G P = G P^2 and the product of the P is applied to the weight once.
///
/// A squared singular value above 1 + 2 / step grows without end. Each entry of the diagonal of G
/// is at most the largest of them, and after some loops it shows: *bad_loop, no_bad_loop before,
/// becomes the first loop (from 0) before which one was seen, and the weight stays as it was. Nor
/// is the weight touched where *bad_loop names a loop already. Weight and *bad_loop are in the
/// stream's memory. Throws an Error for counts that are negative, a scale or step that is not
/// positive.
void parseval_project(const Stream& stream, const ParsevalParams& params, float* weight,
                      std::uint64_t* bad_loop);

/// What became of the projection of a tensor of that name, in words: nothing, unless the status
/// word names a loop.
std::string divergence_text(std::uint64_t bad_loop, const ParsevalParams& params,
                            std::string_view tensor);

}  // namespace pixeldp::kernels
