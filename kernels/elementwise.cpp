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

}  // namespace pixeldp::kernels
