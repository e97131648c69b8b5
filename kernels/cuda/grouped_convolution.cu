/// y[n, p, q, o] = clamp(activation(sum + shift[o]), low, high)
///
/// of a convolution in groups, with dilation, two strides and padding of every side, as
/// kernels/grouped_span.hpp defines it, with the processor's order of every sum: fused
/// multiply-additions from 0 for ascending kernel rows, columns, then channels.
///
/// Layouts: NHWC, dense, of any alignment, x in single precision or bf16, weights (packed) and y in
/// single precision.
///
/// Work: a thread makes one value. Neighbours have neighbouring channels, so that they read
/// neighbouring weights and, in a depthwise convolution, neighbouring pixels' values; of a group
/// they read the same ones.
///
/// Fused: shift, activation and limits.
///
/// Bytes: y once (4 per value); x and weights as often as they are used, from the caches but once.
/// Operations: two per product.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/cuda/value.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class T, bool depthwise>
__global__ void __launch_bounds__(value_threads)
    grouped_kernel(GroupedSpan s, std::int64_t rows, const T* x, float* y) {
  const std::int64_t i = own_value();
  if (i >= rows * s.out_h * s.out_w * s.out_c) return;
  const std::int64_t o = i % s.out_c, pixel = i / s.out_c;
  const std::int64_t q = pixel % s.out_w, p = pixel / s.out_w % s.out_h;
  const T* const image = x + pixel / s.out_w / s.out_h * s.in_h * s.in_w * s.in_c;
  const std::int64_t inputs = depthwise ? 1 : s.in_c / s.groups,
                     outputs = depthwise ? s.out_c : s.out_c / s.groups;
  const std::int64_t group = o / outputs, taps = s.kernel_h * s.kernel_w;
  const std::int64_t first = depthwise ? o : group * inputs;
  const float* const weight = s.weight + group * taps * inputs * outputs + o % outputs;
  float sum = 0.0f;
  for (std::int64_t r = 0; r < s.kernel_h; ++r) {
    const std::int64_t h = p * s.stride_h + r * s.dilation_h - s.top;
    if (h < 0 || h >= s.in_h) continue;
    for (std::int64_t t = 0; t < s.kernel_w; ++t) {
      const std::int64_t w = q * s.stride_w + t * s.dilation_w - s.left;
      if (w < 0 || w >= s.in_w) continue;
      const T* const values = image + (h * s.in_w + w) * s.in_c + first;
      const float* const tap = weight + (r * s.kernel_w + t) * inputs * outputs;
      for (std::int64_t k = 0; k < inputs; ++k)
        sum = __fmaf_rn(load(values + k), tap[k * outputs], sum);
    }
  }
  if (s.shift != nullptr) sum = __fadd_rn(sum, s.shift[o]);
  sum = sum > 0.0f ? sum : __fmul_rn(s.slope, sum);
  sum = sum < s.low ? s.low : sum;
  y[i] = sum > s.high ? s.high : sum;
}

}  // namespace

template <class T>
void grouped_convolution(void* stream, const GroupedSpan& span, std::int64_t rows, const T* x,
                         float* y) {
  const unsigned blocks = row_blocks(rows * span.out_h * span.out_w * span.out_c);
  if (blocks == 0) return;
  const auto start = [&]<bool depthwise>() {
    launch<grouped_kernel<T, depthwise>>(blocks, value_threads, 0,
                                         static_cast<cudaStream_t>(stream), span, rows, x, y);
  };
  const bool depthwise = span.groups == span.in_c && span.groups == span.out_c;
  depthwise ? start.template operator()<true>() : start.template operator()<false>();
}

template void grouped_convolution(void*, const GroupedSpan&, std::int64_t, const float*, float*);
template void grouped_convolution(void*, const GroupedSpan&, std::int64_t, const std::uint16_t*,
                                  float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
