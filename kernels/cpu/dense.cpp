#include "kernels/dense.hpp"

#include <algorithm>

#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/operations.hpp"

namespace pixeldp::kernels::cpu {
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

namespace {

dnnl::inner_product_forward::primitive_desc forward_desc(const DenseShape& s,
                                                         Activation activation) {
  const memory::desc x({s.rows, s.in}, f32, memory::format_tag::ab);
  const memory::desc weight({s.out, s.in}, f32, memory::format_tag::any);
  const memory::desc bias({s.out}, f32, memory::format_tag::a);
  const memory::desc y({s.rows, s.out}, f32, memory::format_tag::ab);
  return {{dnnl::prop_kind::forward_inference, x, weight, bias, y},
          onednn::attributes(activation),
          onednn::engine()};
}

class PreparedDense : public Prepared {
 public:
  PreparedDense(const DenseShape& shape, const float* weight, const float* bias,
                Activation activation)
      : shape_(shape),
        desc_(forward_desc(shape, activation)),
        primitive_(desc_),
        weight_(desc_.weights_desc(), onednn::engine()),
        bias_(desc_.bias_desc(), onednn::engine()) {
    const memory::desc plain({shape.out, shape.in}, f32, memory::format_tag::ab);
    onednn::reorder(onednn::wrap(plain, weight), weight_);
    onednn::reorder(onednn::wrap(desc_.bias_desc(), bias), bias_);
  }

  void run(const float* x, float* y, const float*) const override {
    onednn::guarded(describe(shape_), [&] {
      onednn::run(primitive_, desc_.scratchpad_desc(),
                  {{DNNL_ARG_SRC, onednn::wrap(desc_.src_desc(), x)},
                   {DNNL_ARG_WEIGHTS, weight_},
                   {DNNL_ARG_BIAS, bias_},
                   {DNNL_ARG_DST, onednn::wrap(desc_.dst_desc(), y)}});
    });
  }

 private:
  DenseShape shape_;
  dnnl::inner_product_forward::primitive_desc desc_;
  dnnl::inner_product_forward primitive_;
  memory weight_, bias_;
};

}  // namespace

std::unique_ptr<Prepared> prepare_dense(const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation) {
  return onednn::guarded(describe(shape), [&] {
    return std::make_unique<PreparedDense>(shape, weight, bias, activation);
  });
}

}  // namespace pixeldp::kernels::cpu
