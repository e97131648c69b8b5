#include "kernels/dense.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/operations.hpp"

namespace pixeldp::kernels::cpu {
namespace {

using dnnl::memory;
constexpr auto f32 = memory::data_type::f32;

std::string describe(const DenseShape& s) {
  return fmt::format("dense layer {}x{} -> {}", s.rows, s.in, s.out);
}

/// A row-major matrix that may be read as its transpose.
struct Matrix {
  const float* data;
  std::int64_t stride;
  bool transposed = false;

  memory::desc desc(std::int64_t rows, std::int64_t columns, memory::data_type type) const {
    return {{rows, columns}, type, transposed ? memory::dims{1, stride} : memory::dims{stride, 1}};
  }
};

/// c[m, n] = a b in fp32.
void multiply_fp32(std::int64_t m, std::int64_t n, std::int64_t k, const Matrix& a, const Matrix& b,
                   float* c) {
  const auto letter = [](const Matrix& matrix) { return matrix.transposed ? 'T' : 'N'; };
  const dnnl_status_t status = dnnl_sgemm(letter(a), letter(b), m, n, k, 1.0f, a.data, a.stride,
                                          b.data, b.stride, 0.0f, c, n);
  if (status != dnnl_success)
    fail("oneDNN cannot multiply {}x{}x{}: status {}", m, n, k, static_cast<int>(status));
}

/// c[m, n] = a b with operands rounded to bf16. Making a primitive is slow, so each thread keeps
/// those it has used.
void multiply_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const Matrix& a, const Matrix& b,
                   float* c) {
  constexpr auto bf16 = memory::data_type::bf16;
  struct Product {
    dnnl::matmul::primitive_desc desc;
    dnnl::matmul primitive;
  };
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool, int>;
  thread_local std::map<Key, Product> cache;
  const Key key(m, n, k, a.transposed, b.transposed, onednn::team_size());
  const memory::desc result({m, n}, f32, memory::format_tag::ab);
  auto found = cache.find(key);
  if (found == cache.end()) {
    const auto desc = onednn::describe<dnnl::matmul>(
        a.desc(m, k, bf16), memory::desc({k, n}, bf16, memory::format_tag::any), result);
    found = cache.emplace(key, Product{desc, dnnl::matmul(desc)}).first;
  }
  const Product& product = found->second;
  onednn::Operands operands;
  onednn::run(
      product.primitive, product.desc.scratchpad_desc(),
      {{DNNL_ARG_SRC, operands.take(a.desc(m, k, f32), a.data, product.desc.src_desc())},
       {DNNL_ARG_WEIGHTS, operands.take(b.desc(k, n, f32), b.data, product.desc.weights_desc())},
       {DNNL_ARG_DST, onednn::wrap(result, c)}});
}

/// c[m, n] = a b, a [m, k] and b [k, n].
void multiply(const DenseShape& shape, Precision precision, std::int64_t m, std::int64_t n,
              std::int64_t k, const Matrix& a, const Matrix& b, float* c) {
  onednn::guarded(describe(shape), [&] {
    const bool rounds = onednn::operand_type(precision) == memory::data_type::bf16;
    (rounds ? multiply_bf16 : multiply_fp32)(m, n, k, a, b, c);
  });
}

}  // namespace

void dense_forward(const Stream&, const DenseShape& s, Precision precision, const float* x,
                   const float* weight, const float* bias, float* y) {
  multiply(s, precision, s.rows, s.out, s.in, {x, s.in}, {weight, s.in, true}, y);
#pragma omp parallel for
  for (std::int64_t r = 0; r < s.rows; ++r) {
    for (std::int64_t j = 0; j < s.out; ++j) y[r * s.out + j] += bias[j];
  }
}

void dense_backward_data(const Stream&, const DenseShape& s, Precision precision, const float* dy,
                         const float* weight, float* dx) {
  multiply(s, precision, s.rows, s.in, s.out, {dy, s.out}, {weight, s.in}, dx);
}

void dense_backward_weight(const Stream&, const DenseShape& s, Precision precision, const float* x,
                           const float* dy, float* dweight, float* dbias) {
  multiply(s, precision, s.out, s.in, s.rows, {dy, s.out, true}, {x, s.in}, dweight);
  std::fill_n(dbias, s.out, 0.0f);
  for (std::int64_t r = 0; r < s.rows; ++r) {
    for (std::int64_t j = 0; j < s.out; ++j) dbias[j] += dy[r * s.out + j];
  }
}

}  // namespace pixeldp::kernels::cpu
