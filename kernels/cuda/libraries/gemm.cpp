#include <algorithm>
#include <cstdint>
#include <limits>

#include "engine/error.hpp"
#include "kernels/cuda/libraries/cublas.hpp"

namespace pixeldp::kernels {

Gemm Gemm::dense_forward(const DenseShape& s) {
  return {.m = s.rows, .n = s.out, .k = s.in, .transpose_b = true};
}
Gemm Gemm::dense_backward_data(const DenseShape& s) { return {.m = s.rows, .n = s.in, .k = s.out}; }
Gemm Gemm::dense_backward_weight(const DenseShape& s) {
  return {.m = s.out, .n = s.in, .k = s.rows, .transpose_a = true};
}

void check_gemm(const Gemm& gemm, Precision precision) {
  check_product_precision(precision);
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  if (std::min({gemm.m, gemm.n, gemm.k}) < 0 || std::max({gemm.m, gemm.n, gemm.k}) > most)
    fail("matrix product {} x {} x {}: cuBLAS takes extents from 0 to {}", gemm.m, gemm.k, gemm.n,
         most);
}

}  // namespace pixeldp::kernels
