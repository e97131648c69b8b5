#include "kernels/pooling.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {
namespace {

void check(const GlobalPoolShape& s) {
  if (s.batch < 0 || s.pixels < 1 || s.channels < 1)
    fail("global average of {} images of {} pixels and {} channels", s.batch, s.pixels, s.channels);
}

}  // namespace

void check_shortcut_shape(const ShortcutShape& s) {
  const auto refuse = [&](const char* why) {
    fail("shortcut {}x{}x{}x{} to {} channels, stride {}: {}", s.batch, s.in_h, s.in_w, s.in_c,
         s.out_c, s.stride, why);
  };
  if (s.batch < 0 || std::min({s.in_h, s.in_w, s.in_c, s.stride}) < 1)
    refuse("extents, channels and stride must be at least 1");
  if (s.out_h() < 1 || s.out_w() < 1) refuse("no window of the stride fits into the image");
  if (s.out_c < s.in_c) refuse("a shortcut cannot drop channels");
  if ((s.out_c - s.in_c) % 2 != 0)
    refuse("as many channels of zeros go before as after, so their number must be even");
}

void global_average_pool(const Stream& stream, const GlobalPoolShape& shape, const float* x,
                         float* y) {
  check(shape);
  operations(stream).global_average_pool(stream, shape, x, y);
}

void global_average_pool_backward(const Stream& stream, const GlobalPoolShape& shape,
                                  const float* dy, float* dx) {
  check(shape);
  operations(stream).global_average_pool_backward(stream, shape, dy, dx);
}

void shortcut_forward(const Stream& stream, const ShortcutShape& shape, const float* x, float* y) {
  check_shortcut_shape(shape);
  operations(stream).shortcut_forward(stream, shape, x, y);
}

void shortcut_backward(const Stream& stream, const ShortcutShape& shape, const float* dy,
                       float* dx) {
  check_shortcut_shape(shape);
  operations(stream).shortcut_backward(stream, shape, dy, dx);
}

void add(const Stream& stream, Activation activation, std::int64_t size, const float* a,
         const float* b, float* y) {
  if (size < 0) fail("sum of {} elements", size);
  operations(stream).add(stream, activation, size, a, b, y);
}

}  // namespace pixeldp::kernels
