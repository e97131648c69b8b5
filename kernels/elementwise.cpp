#include "kernels/elementwise.hpp"

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {
namespace {

void check(std::int64_t size) {
  if (size < 0) fail("activation of {} elements", size);
}

}  // namespace

void activate(const Stream& stream, Activation activation, std::int64_t size, float* y) {
  check(size);
  operations(stream).activate(stream, activation, size, y);
}

void activation_backward(const Stream& stream, Activation activation, std::int64_t size,
                         const float* y, float* gradient) {
  check(size);
  operations(stream).activation_backward(stream, activation, size, y, gradient);
}

void average_rows(const Stream& stream, std::int64_t rows, std::int64_t columns, const float* x,
                  float* y) {
  if (rows < 1 || columns < 0) fail("the mean of {} rows of {}", rows, columns);
  operations(stream).average_rows(stream, rows, columns, x, y);
}

}  // namespace pixeldp::kernels
