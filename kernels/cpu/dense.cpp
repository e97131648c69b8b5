#include "kernels/dense.hpp"

#include <algorithm>

#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/operations.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// c[m, n] = op(a) op(b), row-major.
void gemm(char transpose_a, char transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
          const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float* c) {
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a, transpose_b, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, n);
  if (status != dnnl_success)
    fail("oneDNN cannot multiply {}x{}x{}: status {}", m, n, k, static_cast<int>(status));
}

}  // namespace

void dense_forward(const DenseShape& s, const float* x, const float* weight, const float* bias,
                   float* y) {
  gemm('N', 'T', s.rows, s.out, s.in, x, s.in, weight, s.in, y);
#pragma omp parallel for
  for (std::int64_t r = 0; r < s.rows; ++r) {
    for (std::int64_t j = 0; j < s.out; ++j) y[r * s.out + j] += bias[j];
  }
}

void dense_backward_data(const DenseShape& s, const float* dy, const float* weight, float* dx) {
  gemm('N', 'N', s.rows, s.in, s.out, dy, s.out, weight, s.in, dx);
}

void dense_backward_weight(const DenseShape& s, const float* x, const float* dy, float* dweight,
                           float* dbias) {
  gemm('T', 'N', s.out, s.in, s.rows, dy, s.out, x, s.in, dweight);
  std::fill_n(dbias, s.out, 0.0f);
  for (std::int64_t r = 0; r < s.rows; ++r) {
    for (std::int64_t j = 0; j < s.out; ++j) dbias[j] += dy[r * s.out + j];
  }
}

}  // namespace pixeldp::kernels::cpu
