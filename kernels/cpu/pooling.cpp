#include "kernels/pooling.hpp"

#include <algorithm>
#include <vector>

#include "kernels/cpu/operations.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// Below this many elements, waking other threads costs more than it gains.
constexpr std::int64_t parallel_elements = 65536;

/// Of a window: its elements and what a mean divides by.
struct Window {
  std::int64_t extent;
  float pixels;

  explicit Window(const ShortcutShape& s)
      : extent(s.kind == ShortcutKind::average ? s.stride : 1),
        pixels(static_cast<float>(extent * extent)) {}
};

}  // namespace

void global_average_pool(const Stream&, const GlobalPoolShape& shape, const float* x, float* y) {
  const auto [batch, pixels, channels] = shape;
#pragma omp parallel if (batch * pixels * channels >= parallel_elements)
  {
    std::vector<float> lanes(static_cast<std::size_t>(pool_lanes * shape.channels));
    const std::int64_t count = shape.channels;
#pragma omp for schedule(static)
    for (std::int64_t n = 0; n < shape.batch; ++n) {
      std::fill(lanes.begin(), lanes.end(), 0.0f);
      for (std::int64_t p = 0; p < shape.pixels; ++p) {
        float* const sum = lanes.data() + p % pool_lanes * count;
        const float* const pixel = x + (n * shape.pixels + p) * count;
#pragma omp simd
        for (std::int64_t c = 0; c < count; ++c) sum[c] += pixel[c];
      }
      for (int step = pool_lanes / 2; step > 0; step /= 2) {
        const float* const from = lanes.data() + step * count;
        float* const to = lanes.data();
#pragma omp simd
        for (std::int64_t i = 0; i < step * count; ++i) to[i] += from[i];
      }
      const float divisor = static_cast<float>(shape.pixels);
      for (std::int64_t c = 0; c < count; ++c)
        y[n * count + c] = lanes[static_cast<std::size_t>(c)] / divisor;
    }
  }
}

void global_average_pool_backward(const Stream&, const GlobalPoolShape& shape, const float* dy,
                                  float* dx) {
  const auto [batch, pixels, channels] = shape;
  const float divisor = static_cast<float>(pixels);
#pragma omp parallel for schedule(static) if (batch * pixels * channels >= parallel_elements)
  for (std::int64_t n = 0; n < shape.batch; ++n) {
    const std::int64_t count = shape.channels;
    float* const image = dx + n * shape.pixels * count;
#pragma omp simd
    for (std::int64_t c = 0; c < count; ++c) image[c] = dy[n * count + c] / divisor;
    for (std::int64_t p = 1; p < shape.pixels; ++p) std::copy_n(image, count, image + p * count);
  }
}

void shortcut_forward(const Stream&, const ShortcutShape& s, const float* x, float* y) {
  const Window window(s);
  const std::int64_t rows = s.batch * s.out_h();
#pragma omp parallel for schedule(static) if (rows * s.out_w() * s.out_c >= parallel_elements)
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t n = row / s.out_h(), p = row % s.out_h(), channels = s.in_c;
    for (std::int64_t q = 0; q < s.out_w(); ++q) {
      float* const pixel = y + (row * s.out_w() + q) * s.out_c;
      float* const own = pixel + s.channels_before();
      std::fill(pixel, pixel + s.out_c, 0.0f);
      for (std::int64_t r = 0; r < window.extent; ++r) {
        const float* from =
            x + ((n * s.in_h + p * s.stride + r) * s.in_w + q * s.stride) * channels;
        for (std::int64_t t = 0; t < window.extent; ++t, from += channels) {
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) own[c] += from[c];
        }
      }
      const float divisor = window.pixels;
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) own[c] /= divisor;
    }
  }
}

void shortcut_backward(const Stream&, const ShortcutShape& s, const float* dy, float* dx) {
  const Window window(s);
  const std::int64_t rows = s.batch * s.in_h;
#pragma omp parallel for schedule(static) if (rows * s.in_w * s.in_c >= parallel_elements)
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t n = row / s.in_h, h = row % s.in_h, channels = s.in_c;
    const std::int64_t p = h / s.stride;
    for (std::int64_t w = 0; w < s.in_w; ++w) {
      float* const to = dx + (row * s.in_w + w) * channels;
      const std::int64_t q = w / s.stride;
      const bool used = p < s.out_h() && q < s.out_w() && h - p * s.stride < window.extent &&
                        w - q * s.stride < window.extent;
      if (!used) {
        std::fill(to, to + channels, 0.0f);
        continue;
      }
      const float* const from =
          dy + ((n * s.out_h() + p) * s.out_w() + q) * s.out_c + s.channels_before();
      const float divisor = window.pixels;
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) to[c] = from[c] / divisor;
    }
  }
}

void add(const Stream&, Activation activation, std::int64_t size, const float* a, const float* b,
         float* y) {
  const float slope = activation.slope;
#pragma omp parallel for simd firstprivate(slope) if (parallel : size >= parallel_elements)
  for (std::int64_t i = 0; i < size; ++i) {
    const float sum = a[i] + b[i];
    y[i] = sum > 0.0f ? sum : slope * sum;
  }
}

}  // namespace pixeldp::kernels::cpu
