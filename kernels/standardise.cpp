#include "kernels/standardise.hpp"

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {
namespace {

void check(std::int64_t images, std::int64_t values) {
  if (images < 0 || values < 1)
    fail("{} images of {} values cannot be standardised", images, values);
}

}  // namespace

void standardise(const Stream& stream, std::int64_t images, std::int64_t values, const float* x,
                 float* y) {
  check(images, values);
  operations(stream).standardise(stream, images, values, x, y);
}

void standardise_backward(const Stream& stream, std::int64_t images, std::int64_t values,
                          const float* x, const float* dy, float* dx) {
  check(images, values);
  operations(stream).standardise_backward(stream, images, values, x, dy, dx);
}

}  // namespace pixeldp::kernels
