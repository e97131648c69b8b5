#include "kernels/window_pool.hpp"

#include <algorithm>
#include <limits>

#include "engine/error.hpp"

namespace pixeldp::kernels {
namespace {

using Kind = WindowPoolShape::Kind;

/// Taps of window `i` along an axis that lie within [first, end).
std::int64_t taps_within(std::int64_t i, std::int64_t stride, std::int64_t kernel,
                         std::int64_t dilation, std::int64_t before, std::int64_t first,
                         std::int64_t end) {
  std::int64_t count = 0;
  for (std::int64_t k = 0; k < kernel; ++k) {
    const std::int64_t at = i * stride + k * dilation - before;
    count += at >= first && at < end;
  }
  return count;
}

}  // namespace

WindowPool::WindowPool(const WindowPoolShape& shape) : shape_(shape) {
  constexpr std::int64_t most = 1 << 20;
  const WindowPoolShape& s = shape_;
  const auto refuse = [&](std::string_view why) {
    fail("{} of {}x{}x{} in {}x{} windows {}x{}, stride {}x{}, padding {}+{}, {}+{}: {}", name(),
         s.in_h, s.in_w, s.channels, s.out_h, s.out_w, s.kernel_h, s.kernel_w, s.stride_h,
         s.stride_w, s.pad_h.before, s.pad_h.after, s.pad_w.before, s.pad_w.after, why);
  };
  const auto sane = {s.in_h,     s.in_w,     s.channels, s.out_h,      s.out_w,     s.kernel_h,
                     s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w};
  if (std::min(sane) < 1 || std::max(sane) > most)
    refuse("extents, channels, strides and dilations must be from 1 to 2^20");
  const auto padding = {s.pad_h.before, s.pad_h.after, s.pad_w.before, s.pad_w.after};
  if (std::min(padding) < 0 || std::max(padding) > most) refuse("padding must be from 0 to 2^20");
  const auto all_meet = [](std::int64_t outputs, std::int64_t inputs, std::int64_t stride,
                           std::int64_t kernel, std::int64_t dilation, const Padding& pad) {
    for (std::int64_t i = 0; i < outputs; ++i)
      if (taps_within(i, stride, kernel, dilation, pad.before, 0, inputs) == 0) return false;
    return true;
  };
  if (!all_meet(s.out_h, s.in_h, s.stride_h, s.kernel_h, s.dilation_h, s.pad_h) ||
      !all_meet(s.out_w, s.in_w, s.stride_w, s.kernel_w, s.dilation_w, s.pad_w))
    refuse("a window lies outside of the image");
}

std::string_view WindowPool::name() const {
  return shape_.kind == Kind::max ? "max pooling" : "average pooling";
}

/// Calls visit(place of the pixel in x) for each pixel of the image in a window.
template <class Visit>
void WindowPool::for_window(std::int64_t p, std::int64_t q, Visit visit) const {
  const WindowPoolShape& s = shape_;
  for (std::int64_t r = 0; r < s.kernel_h; ++r) {
    const std::int64_t h = p * s.stride_h + r * s.dilation_h - s.pad_h.before;
    if (h < 0 || h >= s.in_h) continue;
    for (std::int64_t t = 0; t < s.kernel_w; ++t) {
      const std::int64_t w = q * s.stride_w + t * s.dilation_w - s.pad_w.before;
      if (w >= 0 && w < s.in_w) visit((h * s.in_w + w) * s.channels);
    }
  }
}

float WindowPool::divisor(std::int64_t p, std::int64_t q) const {
  const WindowPoolShape& s = shape_;
  const auto count = [&](std::int64_t i, std::int64_t stride, std::int64_t kernel,
                         std::int64_t dilation, std::int64_t extent, const Padding& pad) {
    return taps_within(i, stride, kernel, dilation, pad.before, s.count_padding ? -pad.before : 0,
                       s.count_padding ? extent + pad.after : extent);
  };
  return static_cast<float>(count(p, s.stride_h, s.kernel_h, s.dilation_h, s.in_h, s.pad_h) *
                            count(q, s.stride_w, s.kernel_w, s.dilation_w, s.in_w, s.pad_w));
}

void WindowPool::run(std::span<const float* const> x, float* y) const {
  const bool max = shape_.kind == Kind::max;
  const std::int64_t channels = shape_.channels;
  for (std::int64_t p = 0; p < shape_.out_h; ++p) {
    for (std::int64_t q = 0; q < shape_.out_w; ++q, y += channels) {
      std::fill_n(y, channels, max ? -std::numeric_limits<float>::infinity() : 0.0f);
      for_window(p, q, [&](std::int64_t at) {
        const float* const pixel = x[0] + at;
        if (max) {
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) y[c] = y[c] >= pixel[c] ? y[c] : pixel[c];
        } else {
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) y[c] += pixel[c];
        }
      });
      if (max) continue;
      const float pixels = divisor(p, q);
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) y[c] /= pixels;
    }
  }
}

void WindowPool::backward(std::span<const float* const> x, const float* y, const float* dy,
                          std::span<float* const> dx) const {
  if (!dx[0]) return;
  const std::int64_t channels = shape_.channels;
  std::fill_n(dx[0], input_sizes()[0], 0.0f);
  std::vector<char> found(static_cast<std::size_t>(channels));
  for (std::int64_t p = 0; p < shape_.out_h; ++p) {
    for (std::int64_t q = 0; q < shape_.out_w; ++q, y += channels, dy += channels) {
      std::ranges::fill(found, 0);
      const float pixels = divisor(p, q);
      for_window(p, q, [&](std::int64_t at) {
        float* const to = dx[0] + at;
        for (std::int64_t c = 0; c < channels; ++c) {
          if (shape_.kind == Kind::average) {
            to[c] += dy[c] / pixels;
          } else if (!found[static_cast<std::size_t>(c)] && x[0][at + c] == y[c]) {
            to[c] += dy[c];
            found[static_cast<std::size_t>(c)] = 1;
          }
        }
      });
    }
  }
}

}  // namespace pixeldp::kernels
