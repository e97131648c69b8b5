/// y[n, p, q, c] = the largest value, or the mean, of x[n, h, w, c] over the pixels h = p stride_h
/// + r dilation_h - top, w = q stride_w + t dilation_w - left of a window that lie in the image
///
/// as kernels/window_pool.hpp defines it, with the processor's order of every sum: rows of the
/// window ascending, then columns.
///
/// Layouts: NHWC, dense, of any alignment, x in single precision or bf16, y in single precision.
///
/// Work: a thread makes one value. Neighbours have neighbouring channels.
///
/// Bytes: y once (4 per value), x as often as windows cover it (4 or 2), from the caches but once.
/// Operations: one per value of a window.
#include <cmath>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/cuda/value.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class T>
__global__ void __launch_bounds__(value_threads)
    window_pool_kernel(WindowPoolShape s, std::int64_t rows, const T* x, float* y) {
  const std::int64_t i = own_value();
  if (i >= rows * s.out_h * s.out_w * s.channels) return;
  const std::int64_t c = i % s.channels, pixel = i / s.channels;
  const std::int64_t q = pixel % s.out_w, p = pixel / s.out_w % s.out_h;
  const T* const image = x + pixel / s.out_w / s.out_h * s.in_h * s.in_w * s.channels + c;
  const bool max = s.kind == WindowPoolShape::Kind::max;
  // What a mean divides by: pixels of the window in the image, or in its padding, too.
  const std::int64_t more_h = s.count_padding ? s.pad_h.after : 0,
                     more_w = s.count_padding ? s.pad_w.after : 0;
  const std::int64_t less_h = s.count_padding ? s.pad_h.before : 0,
                     less_w = s.count_padding ? s.pad_w.before : 0;
  float made = max ? -INFINITY : 0.0f;
  std::int64_t counted_h = 0, counted_w = 0;
  for (std::int64_t t = 0; t < s.kernel_w; ++t) {
    const std::int64_t w = q * s.stride_w + t * s.dilation_w - s.pad_w.before;
    if (w >= -less_w && w < s.in_w + more_w) ++counted_w;
  }
  for (std::int64_t r = 0; r < s.kernel_h; ++r) {
    const std::int64_t h = p * s.stride_h + r * s.dilation_h - s.pad_h.before;
    if (h >= -less_h && h < s.in_h + more_h) ++counted_h;
    if (h < 0 || h >= s.in_h) continue;
    for (std::int64_t t = 0; t < s.kernel_w; ++t) {
      const std::int64_t w = q * s.stride_w + t * s.dilation_w - s.pad_w.before;
      if (w < 0 || w >= s.in_w) continue;
      const float value = load(image + (h * s.in_w + w) * s.channels);
      made = max ? (made >= value ? made : value) : __fadd_rn(made, value);
    }
  }
  y[i] = max ? made : __fdiv_rn(made, static_cast<float>(counted_h * counted_w));
}

}  // namespace

template <class T>
void window_pool(void* stream, const WindowPoolShape& shape, std::int64_t rows, const T* x,
                 float* y) {
  const unsigned blocks = row_blocks(rows * shape.out_h * shape.out_w * shape.channels);
  if (blocks == 0) return;
  launch<window_pool_kernel<T>>(blocks, value_threads, 0, static_cast<cudaStream_t>(stream), shape,
                                rows, x, y);
}

template void window_pool(void*, const WindowPoolShape&, std::int64_t, const float*, float*);
template void window_pool(void*, const WindowPoolShape&, std::int64_t, const std::uint16_t*,
                          float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
