#pragma once

#include <cstdint>

#include "kernels/dense.hpp"

namespace pixeldp::kernels {

/// c = op(a) op(b), or c + op(a) op(b): c [m, n], op(a) [m, k], op(b) [k, n], all row-major and
/// dense. Transposed, a is [k, m] and b [n, k] in memory.
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  bool accumulate = false;  ///< add to what c holds

  /// y = x weight^T, of a = x and b = weight.
  static Gemm dense_forward(const DenseShape& shape);
  /// dx = dy weight, of a = dy and b = weight.
  static Gemm dense_backward_data(const DenseShape& shape);
  /// dweight = dy^T x, of a = dy and b = x.
  static Gemm dense_backward_weight(const DenseShape& shape);

  bool operator==(const Gemm&) const = default;
};

/// Throws an Error for negative extents, for more than cuBLAS counts, 2^31 - 1, and for int8.
void check_gemm(const Gemm& gemm, Precision precision);

/// Matrix products by cuBLAS, which is loaded when first asked for. See cublas.cu for what its
/// results depend on.
namespace cuda::cublas {

/// Whether the library is there. Without it the project's own kernels do the work.
bool available();

/// a, b and c in device memory, in single precision; `stream` is a cudaStream_t. Sums are in single
/// precision, operands are rounded as `precision` says. The first call for a stream makes a handle
/// and allocates 32 MB for it, which no graph can record: then an Error asks for one call before.
/// Throws an Error where the library is not available. Returns before the work is done.
void gemm(void* stream, const Gemm& gemm, Precision precision, const float* a, const float* b,
          float* c);

/// Frees what is kept for a stream: before the stream is destroyed, and never while it works.
void release(void* stream);

}  // namespace cuda::cublas

}  // namespace pixeldp::kernels
