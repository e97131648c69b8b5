#pragma once

#include <cstdint>

#include "kernels/cpu/inference_kernels.hpp"
#include "kernels/pooling_arguments.hpp"

/// The steps of an inference that are not products, compiled once per instruction set (see
/// simd_kernels.hpp for what may be in here). Each operation below rounds once, for contraction is
/// off, so that all instruction sets, and all processors, give the same bits.
namespace pixeldp::kernels::cpu {

using Half = std::uint16_t;

template <class V>
[[gnu::always_inline]] inline float load_real(const float* p) {
  return *p;
}
template <class V>
[[gnu::always_inline]] inline float load_real(const Half* p) {
  return __builtin_bit_cast(float, std::uint32_t{*p} << 16);
}
template <class V>
[[gnu::always_inline]] inline void store_real(float* p, float value) {
  *p = value;
}
/// To nearest, ties to even; what is not a number stays none.
template <class V>
[[gnu::always_inline]] inline void store_real(Half* p, float value) {
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  *p = static_cast<Half>(value == value ? rounded : 0x7fc0u);
}

/// round(clamp(value * inverse_scale, -127, 127)), ties to even. Adding 1.5 * 2^23 leaves no bits
/// for a fraction.
template <class V>
[[gnu::always_inline]] inline std::int8_t to_byte(float value, float inverse_scale) {
  constexpr float magic = 12582912.0f;
  float scaled = value * inverse_scale;
  scaled = scaled > -127.0f ? scaled : -127.0f;
  scaled = scaled < 127.0f ? scaled : 127.0f;
  return static_cast<std::int8_t>(static_cast<std::int32_t>((scaled + magic) - magic));
}

template <class V>
[[gnu::always_inline]] inline float activated(float value, float slope) {
  return value > 0.0f ? value : slope * value;
}

/// The loop over channels, 16 at a time and no more, for many layers have just as many; `value(c)`
/// is what is to be activated and stored as channel c.
template <class V, bool real, bool bytes, class To, class Value>
[[gnu::always_inline]] inline void store_pixel(std::int64_t channels, float slope, To* to,
                                               std::int8_t* byte, float inverse_scale,
                                               Value value) {
#pragma omp simd safelen(16)
  for (std::int64_t c = 0; c < channels; ++c) {
    const float v = activated<V>(value(c), slope);
    if constexpr (real) store_real<V>(to + c, v);
    if constexpr (bytes) byte[c] = to_byte<V>(v, inverse_scale);
  }
}

template <class V, bool real, bool bytes, class From, class To>
void scale_pixels(const ScalingSpan& s, const From* x, const InferenceTarget& t) {
  To* const to = static_cast<To*>(t.real);
  const float* const scale = s.scale;
  const float* const shift = s.shift;
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const std::int64_t at = p * s.channels;
    const From* const from = x + at;
    const auto store = [&](auto value) __attribute__((always_inline)) {
      store_pixel<V, real, bytes>(s.channels, s.slope, real ? to + at : nullptr,
                                  bytes ? t.bytes + at : nullptr, t.inverse_scale, value);
    };
    if (scale)
      store([=](std::int64_t c) __attribute__((always_inline)) {
        return load_real<V>(from + c) * scale[c] + shift[c];
      });
    else
      store([=](std::int64_t c) __attribute__((always_inline)) { return load_real<V>(from + c); });
  }
}

template <class V, bool real, bool bytes, class To>
void requantise_pixels(const ScalingSpan& s, const std::int32_t* sums, const InferenceTarget& t) {
  To* const to = static_cast<To*>(t.real);
  const To* const residual = static_cast<const To*>(s.residual);
  const float* const scale = s.scale;
  const float* const shift = s.shift;
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const std::int64_t at = p * s.channels;
    const std::int32_t* const sum = sums + at;
    const auto store = [&](auto value) __attribute__((always_inline)) {
      store_pixel<V, real, bytes>(s.channels, s.slope, real ? to + at : nullptr,
                                  bytes ? t.bytes + at : nullptr, t.inverse_scale, value);
    };
    if (residual)
      store([ =, add = residual + at ](std::int64_t c) __attribute__((always_inline)) {
        return static_cast<float>(sum[c]) * scale[c] + shift[c] + load_real<V>(add + c);
      });
    else
      store([=](std::int64_t c) __attribute__((always_inline)) {
        return static_cast<float>(sum[c]) * scale[c] + shift[c];
      });
  }
}

/// Calls f<real, bytes>() as the target demands.
template <class F>
[[gnu::always_inline]] inline void for_target(const InferenceTarget& t, F f) {
  if (t.real && t.bytes)
    f.template operator()<true, true>();
  else if (t.bytes)
    f.template operator()<false, true>();
  else
    f.template operator()<true, false>();
}

template <class V>
void scaling(const ScalingSpan& s, Real from, Real to, const void* x, const InferenceTarget& t) {
  for_target(
      t, [&]<bool real, bool bytes>() __attribute__((always_inline)) {
        const auto* const floats = static_cast<const float*>(x);
        const auto* const halves = static_cast<const Half*>(x);
        if (from == Real::fp32 && to == Real::fp32)
          scale_pixels<V, real, bytes, float, float>(s, floats, t);
        else if (from == Real::fp32)
          scale_pixels<V, real, bytes, float, Half>(s, floats, t);
        else if (to == Real::fp32)
          scale_pixels<V, real, bytes, Half, float>(s, halves, t);
        else
          scale_pixels<V, real, bytes, Half, Half>(s, halves, t);
      });
}

template <class V>
void requantise(const ScalingSpan& s, Real to, const std::int32_t* sums, const InferenceTarget& t) {
  for_target(
      t, [&]<bool real, bool bytes>() __attribute__((always_inline)) {
        if (to == Real::fp32)
          requantise_pixels<V, real, bytes, float>(s, sums, t);
        else
          requantise_pixels<V, real, bytes, Half>(s, sums, t);
      });
}

/// In the order of kernels::shortcut_forward. known_extent: that of the windows; 0: any.
template <class V, int known_extent, class T>
void shortcut_of(const ShortcutSpan& s, const T* x, T* y) {
  const std::int64_t extent = known_extent > 0 ? known_extent : s.extent;
  const float pixels = static_cast<float>(extent * extent);
  for (std::int64_t p = 0; p < s.out_h; ++p) {
    for (std::int64_t q = 0; q < s.out_w; ++q, y += s.out_c) {
      for (std::int64_t c = 0; c < s.before; ++c) y[c] = T{};
      for (std::int64_t c = s.before + s.in_c; c < s.out_c; ++c) y[c] = T{};
      const T* const corner = x + (p * s.stride * s.in_w + q * s.stride) * s.in_c;
      T* const own = y + s.before;
#pragma omp simd safelen(16)
      for (std::int64_t c = 0; c < s.in_c; ++c) {
        float sum = 0.0f;
#pragma GCC unroll 2
        for (std::int64_t r = 0; r < extent; ++r)
#pragma GCC unroll 2
          for (std::int64_t t = 0; t < extent; ++t)
            sum += load_real<V>(corner + (r * s.in_w + t) * s.in_c + c);
        store_real<V>(own + c, sum / pixels);
      }
    }
  }
}

template <class V, class T>
void shortcut_as(const ShortcutSpan& s, const T* x, T* y) {
  if (s.extent == 1)
    shortcut_of<V, 1>(s, x, y);
  else if (s.extent == 2)
    shortcut_of<V, 2>(s, x, y);
  else
    shortcut_of<V, 0>(s, x, y);
}

template <class V>
void shortcut(const ShortcutSpan& s, Real kind, const void* x, void* y) {
  if (kind == Real::fp32)
    shortcut_as<V>(s, static_cast<const float*>(x), static_cast<float*>(y));
  else
    shortcut_as<V>(s, static_cast<const Half*>(x), static_cast<Half*>(y));
}

/// In the order of kernels::global_average_pool.
template <class V, class From, class To>
void pool_of(std::int64_t pixels, std::int64_t channels, const From* x, To* y, float* lanes) {
  constexpr std::int64_t count = pool_lanes;
  for (std::int64_t i = 0; i < count * channels; ++i) lanes[i] = 0.0f;
  for (std::int64_t p = 0; p < pixels; ++p) {
    float* const sum = lanes + p % count * channels;
    const From* const pixel = x + p * channels;
#pragma omp simd safelen(16)
    for (std::int64_t c = 0; c < channels; ++c) sum[c] += load_real<V>(pixel + c);
  }
  for (std::int64_t step = count / 2; step > 0; step /= 2) {
    const float* const from = lanes + step * channels;
#pragma omp simd safelen(16)
    for (std::int64_t i = 0; i < step * channels; ++i) lanes[i] += from[i];
  }
  const float divisor = static_cast<float>(pixels);
#pragma omp simd safelen(16)
  for (std::int64_t c = 0; c < channels; ++c) store_real<V>(y + c, lanes[c] / divisor);
}

template <class V>
void pool(std::int64_t pixels, std::int64_t channels, Real from, Real to, const void* x, void* y,
          float* lanes) {
  const auto* const floats = static_cast<const float*>(x);
  const auto* const halves = static_cast<const Half*>(x);
  if (from == Real::fp32 && to == Real::fp32)
    pool_of<V>(pixels, channels, floats, static_cast<float*>(y), lanes);
  else if (from == Real::fp32)
    pool_of<V>(pixels, channels, floats, static_cast<Half*>(y), lanes);
  else if (to == Real::fp32)
    pool_of<V>(pixels, channels, halves, static_cast<float*>(y), lanes);
  else
    pool_of<V>(pixels, channels, halves, static_cast<Half*>(y), lanes);
}

template <class V>
inline constexpr InferenceKernels inference_kernels = {scaling<V>, requantise<V>, shortcut<V>,
                                                       pool<V>};

}  // namespace pixeldp::kernels::cpu
