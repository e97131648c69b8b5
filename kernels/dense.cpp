#include "kernels/dense.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {
namespace {

void check(const DenseShape& s, Precision precision) {
  if (s.rows < 0 || std::min(s.in, s.out) < 1)
    fail("dense layer {}x{} -> {}: there must be at least 0 rows, 1 input and 1 output", s.rows,
         s.in, s.out);
  check_product_precision(precision);
}

}  // namespace

void dense_forward(const Stream& stream, const DenseShape& shape, Precision precision,
                   const float* x, const float* weight, const float* bias, float* y) {
  check(shape, precision);
  operations(stream).dense_forward(stream, shape, precision, x, weight, bias, y);
}

void dense_backward_data(const Stream& stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx) {
  check(shape, precision);
  operations(stream).dense_backward_data(stream, shape, precision, dy, weight, dx);
}

void dense_backward_weight(const Stream& stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias) {
  check(shape, precision);
  operations(stream).dense_backward_weight(stream, shape, precision, x, dy, dweight, dbias);
}

std::unique_ptr<TrainingProduct> training_dense(const Stream& stream, const DenseShape& shape,
                                                Precision precision) {
  check(shape, precision);
  return operations(stream).training_dense(stream, shape, precision);
}

}  // namespace pixeldp::kernels
