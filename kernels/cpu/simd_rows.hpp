#pragma once

#include "kernels/cpu/row_kernels.hpp"
#include "kernels/cpu/simd_inference.hpp"
#include "kernels/formulas/elementary.hpp"

/// Row operations that take time, compiled once per instruction set (see simd_kernels.hpp for what
/// may be in here).
namespace pixeldp::kernels::cpu {

template <class V, bool partial>
[[gnu::always_inline]] inline typename V::Floats load_lanes(const float* p, std::int64_t count) {
  if constexpr (partial)
    return V::load_partial(p, count);
  else
    return load<V>(p);
}

/// The outputs first ... first + count - 1 of a group at one position; count is that of all lanes
/// unless `partial`. `first` counts channels of the image in a depthwise convolution.
template <class V, int vectors, bool partial, bool depthwise>
[[gnu::always_inline]] inline void window_sums(const GroupedSpan& s, const float* x, std::int64_t p,
                                               std::int64_t q, std::int64_t group,
                                               std::int64_t first, std::int64_t count, float* y) {
  using Floats = typename V::Floats;
  const std::int64_t inputs = s.in_c / s.groups, outputs = s.out_c / s.groups;
  const std::int64_t taps = s.kernel_h * s.kernel_w;
  Floats sums[vectors] = {};
  for (std::int64_t r = 0; r < s.kernel_h; ++r) {
    const std::int64_t h = p * s.stride_h + r * s.dilation_h - s.top;
    if (h < 0 || h >= s.in_h) continue;
    for (std::int64_t t = 0; t < s.kernel_w; ++t) {
      const std::int64_t w = q * s.stride_w + t * s.dilation_w - s.left;
      if (w < 0 || w >= s.in_w) continue;
      const float* const pixel = x + (h * s.in_w + w) * s.in_c;
      const std::int64_t tap = r * s.kernel_w + t;
      if constexpr (depthwise) {
        const float* const weight = s.weight + tap * s.out_c + first;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
          sums[v] = V::fma(load_lanes<V, partial>(pixel + first + v * V::lanes, count),
                           load_lanes<V, partial>(weight + v * V::lanes, count), sums[v]);
      } else {
        const float* const from = pixel + group * inputs;
        const float* weight = s.weight + (group * taps + tap) * inputs * outputs + first;
        for (std::int64_t i = 0; i < inputs; ++i, weight += outputs) {
          const Floats value = Floats{} + from[i];
#pragma GCC unroll 4
          for (int v = 0; v < vectors; ++v)
            sums[v] = V::fma(value, load_lanes<V, partial>(weight + v * V::lanes, count), sums[v]);
        }
      }
    }
  }
  const std::int64_t channel = depthwise ? first : group * outputs + first;
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    Floats sum = sums[v];
    if (s.shift) sum = sum + load_lanes<V, partial>(s.shift + channel + v * V::lanes, count);
    sum = sum > 0.0f ? sum : s.slope * sum;
    sum = sum < s.low ? Floats{} + s.low : sum;
    sum = sum > s.high ? Floats{} + s.high : sum;
    float* const to = y + channel + v * V::lanes;
    if constexpr (partial)
      for (std::int64_t i = 0; i < count; ++i) to[i] = sum[i];
    else
      __builtin_memcpy(to, &sum, sizeof sum);
  }
}

template <class V, bool depthwise>
void grouped_as(const GroupedSpan& s, const float* x, float* y) {
  constexpr std::int64_t wide = 4 * V::lanes;
  const std::int64_t count = depthwise ? s.out_c : s.out_c / s.groups;
  const std::int64_t groups = depthwise ? 1 : s.groups;
  for (std::int64_t p = 0; p < s.out_h; ++p) {
    for (std::int64_t q = 0; q < s.out_w; ++q, y += s.out_c) {
      for (std::int64_t g = 0; g < groups; ++g) {
        std::int64_t o = 0;
        for (; o + wide <= count; o += wide)
          window_sums<V, 4, false, depthwise>(s, x, p, q, g, o, V::lanes, y);
        for (; o + V::lanes <= count; o += V::lanes)
          window_sums<V, 1, false, depthwise>(s, x, p, q, g, o, V::lanes, y);
        if (o < count) window_sums<V, 1, true, depthwise>(s, x, p, q, g, o, count - o, y);
      }
    }
  }
}

template <class V>
void grouped(const GroupedSpan& s, const float* x, float* y) {
  if (s.groups == s.in_c && s.groups == s.out_c)
    grouped_as<V, true>(s, x, y);
  else
    grouped_as<V, false>(s, x, y);
}

/// y[i] = f(x[i]) for vectors of x.
template <class V, class F>
[[gnu::always_inline]] inline void map(std::int64_t count, const float* x, float* y, F f) {
  using Floats = typename V::Floats;
  std::int64_t i = 0;
  for (; i + V::lanes <= count; i += V::lanes) {
    const Floats made = f(load<V>(x + i));
    __builtin_memcpy(y + i, &made, sizeof made);
  }
  if (i == count) return;
  const Floats made = f(V::load_partial(x + i, count - i));
  for (int lane = 0; i < count; ++i, ++lane) y[i] = made[lane];
}

/// e^-|x|.
template <class V>
[[gnu::always_inline]] inline typename V::Floats exp_of_minus(typename V::Floats x) {
  return exp_nonpositive<V>(x > 0.0f ? -x : x);
}

template <class V>
void pointwise(const PointwiseFunction& function, std::int64_t count, const float* x, float* y) {
  using Floats = typename V::Floats;
  using Kind = PointwiseFunction::Kind;
  const float a = function.a, b = function.b;
  switch (function.kind) {
    case Kind::clamp:
      map<V>(
          count, x, y, [=](Floats v) __attribute__((always_inline)) {
            v = v < a ? Floats{} + a : v;
            return v > b ? Floats{} + b : v;
          });
      return;
    case Kind::sigmoid:
      map<V>(
          count, x, y, [](Floats v) __attribute__((always_inline)) {
            const Floats e = exp_of_minus<V>(v);
            const Floats made = (v > 0.0f ? Floats{} + 1.0f : e) / (e + 1.0f);
            return v == v ? made : v;
          });
      return;
    case Kind::tanh:
      map<V>(
          count, x, y, [](Floats v) __attribute__((always_inline)) {
            const Floats e = exp_of_minus<V>(v + v);
            const Floats made = (1.0f - e) / (e + 1.0f);
            return v == v ? (v > 0.0f ? made : -made) : v;
          });
      return;
    case Kind::elu:
      map<V>(
          count, x, y, [=](Floats v) __attribute__((always_inline)) {
            const Floats below = a * (exp_of_minus<V>(v) - 1.0f);
            return v <= 0.0f ? below : v;
          });
      return;
    case Kind::hard_sigmoid:
      map<V>(
          count, x, y, [=](Floats v) __attribute__((always_inline)) {
            v = v * a + b;
            v = v < 0.0f ? Floats{} : v;
            return v > 1.0f ? Floats{} + 1.0f : v;
          });
      return;
    case Kind::hard_swish:
      map<V>(
          count, x, y, [](Floats v) __attribute__((always_inline)) {
            Floats part = v * (1.0f / 6.0f) + 0.5f;
            part = part < 0.0f ? Floats{} : part;
            part = part > 1.0f ? Floats{} + 1.0f : part;
            return v * part;
          });
      return;
  }
}

template <class V>
inline constexpr RowKernels row_kernels = {grouped<V>, pointwise<V>};

}  // namespace pixeldp::kernels::cpu
