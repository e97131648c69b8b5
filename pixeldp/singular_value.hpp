#pragma once

#include <cstdint>
#include <span>

namespace pixeldp {

/// Upper bound of the largest singular value of the real matrix [rows][cols].
///
/// lambda_max(G) <= |G^(2^m)|_F^(1/2^m) for the Gram matrix G of the smaller side, by repeated
/// squaring. Always an upper bound, unlike power iteration; the relative excess is at most
/// ln(n) / 2^(m+2): below 1e-6 for up to 256 rows or columns, and below 1e-3 beyond, where fewer
/// squarings are affordable.
double singular_value_bound(std::span<const float> matrix, std::int64_t rows, std::int64_t cols);

/// Upper bound of the largest 2-norm of a convolution of stride s on any torus of the given extents
/// (multiples of s): for each frequency (u, v) of the [torus_h / s][torus_w / s] grid the matrix
/// [out_c][s * s * in_c] of the s * s aliases of the kernel's transform, divided by s, has its
/// largest singular value bounded as above. weight [out_c][in_c][kernel_h][kernel_w].
double polyphase_bound(std::span<const float> weight, std::int64_t out_c, std::int64_t in_c,
                       std::int64_t kernel_h, std::int64_t kernel_w, std::int64_t stride,
                       std::int64_t torus_h, std::int64_t torus_w);

}  // namespace pixeldp
