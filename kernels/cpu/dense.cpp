#include "kernels/dense.hpp"

#include <algorithm>

#include "kernels/cpu/onednn.hpp"

namespace pixeldp::kernels {
namespace {

using dnnl::memory;
constexpr auto f32 = memory::data_type::f32;

std::string describe(const DenseShape& s) {
  return fmt::format("dense layer {}x{} -> {}", s.rows, s.in, s.out);
}

/// c[m, n] = op(a) op(b), row-major.
void gemm(char transpose_a, char transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
          const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float* c) {
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a, transpose_b, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, n);
  if (status != dnnl_success)
    fail("oneDNN cannot multiply {}x{}x{}: status {}", m, n, k, static_cast<int>(status));
}

}  // namespace

void dense_forward(const Stream&, const DenseShape& s, const float* x, const float* weight,
                   const float* bias, float* y) {
  gemm('N', 'T', s.rows, s.out, s.in, x, s.in, weight, s.in, y);
#pragma omp parallel for
  for (std::int64_t r = 0; r < s.rows; ++r) {
    for (std::int64_t j = 0; j < s.out; ++j) y[r * s.out + j] += bias[j];
  }
}

void dense_backward_data(const Stream&, const DenseShape& s, const float* dy, const float* weight,
                         float* dx) {
  gemm('N', 'N', s.rows, s.in, s.out, dy, s.out, weight, s.in, dx);
}

void dense_backward_weight(const Stream&, const DenseShape& s, const float* x, const float* dy,
                           float* dweight, float* dbias) {
  gemm('T', 'N', s.out, s.in, s.rows, dy, s.out, x, s.in, dweight);
  std::fill_n(dbias, s.out, 0.0f);
  for (std::int64_t r = 0; r < s.rows; ++r) {
    for (std::int64_t j = 0; j < s.out; ++j) dbias[j] += dy[r * s.out + j];
  }
}

struct PreparedDense::State {
  DenseShape shape;
  dnnl::inner_product_forward::primitive_desc desc;
  dnnl::inner_product_forward primitive;
  memory weight, bias;
};

PreparedDense::PreparedDense(const Stream&, const DenseShape& s, const float* weight,
                             const float* bias, Activation activation) {
  onednn::guarded(describe(s), [&] {
    const memory::desc x({s.rows, s.in}, f32, memory::format_tag::ab);
    const memory::desc any_weight({s.out, s.in}, f32, memory::format_tag::any);
    const memory::desc plain_weight({s.out, s.in}, f32, memory::format_tag::ab);
    const memory::desc bias_desc({s.out}, f32, memory::format_tag::a);
    const memory::desc y({s.rows, s.out}, f32, memory::format_tag::ab);
    const dnnl::inner_product_forward::primitive_desc desc(
        {dnnl::prop_kind::forward_inference, x, any_weight, bias_desc, y},
        onednn::attributes(activation), onednn::engine());
    memory packed(desc.weights_desc(), onednn::engine());
    onednn::reorder(onednn::wrap(plain_weight, weight), packed);
    memory own_bias(bias_desc, onednn::engine());
    onednn::reorder(onednn::wrap(bias_desc, bias), own_bias);
    state_.reset(new State{s, desc, dnnl::inner_product_forward(desc), packed, own_bias});
  });
}

PreparedDense::~PreparedDense() = default;
PreparedDense::PreparedDense(PreparedDense&&) noexcept = default;

void PreparedDense::run(const float* x, float* y) const {
  onednn::guarded(describe(state_->shape), [&] {
    onednn::run(state_->primitive, state_->desc.scratchpad_desc(),
                {{DNNL_ARG_SRC, onednn::wrap(state_->desc.src_desc(), x)},
                 {DNNL_ARG_WEIGHTS, state_->weight},
                 {DNNL_ARG_BIAS, state_->bias},
                 {DNNL_ARG_DST, onednn::wrap(state_->desc.dst_desc(), y)}});
  });
}

}  // namespace pixeldp::kernels
