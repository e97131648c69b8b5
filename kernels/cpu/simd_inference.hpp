#pragma once

#include <cstdint>

#include "kernels/cpu/inference_kernels.hpp"
#include "kernels/cpu/vector.hpp"
#include "kernels/pooling.hpp"

/// The steps of an inference that are not products, compiled once per instruction set (see
/// simd_kernels.hpp for what may be in here). Each operation below rounds once, for contraction is
/// off, so that all instruction sets, and all processors, give the same bits.
namespace pixeldp::kernels::cpu {

using Bf16 = std::uint16_t;

/// A single value in place of a vector of V's, for what is left of channels.
template <class V>
struct Single {
  static constexpr int lanes = 1;
  using Floats = float;
  using Words = std::uint32_t;
  using Halves = Bf16;
  using Bytes = std::uint8_t;
};

/// Converts integers of any size, lane by lane.
template <class V, class To, class From>
[[gnu::always_inline]] inline To resized(From x) {
  if constexpr (V::lanes == 1)
    return static_cast<To>(x);
  else
    return __builtin_convertvector(x, To);
}

// V, here and below, may be a Single.

template <class V>
[[gnu::always_inline]] inline typename V::Floats load(const Bf16* p) {
  typename V::Halves h;
  __builtin_memcpy(&h, p, sizeof h);
  return __builtin_bit_cast(typename V::Floats, resized<V, typename V::Words>(h) << 16);
}
/// To nearest, ties to even; what is not a number stays none.
template <class V>
[[gnu::always_inline]] inline void store(Bf16* p, typename V::Floats v) {
  using Words = typename V::Words;
  const Words bits = __builtin_bit_cast(Words, v), none = Words{} + 0x7fc0u;
  const Words rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const auto halves = resized<V, typename V::Halves>(v == v ? rounded : none);
  __builtin_memcpy(p, &halves, sizeof halves);
}

/// a > b ? a : b, and a < b ? a : b, which vectors have instructions for (the same for what is not
/// a number, too) that the compiler does not find.
template <class V>
[[gnu::always_inline]] inline typename V::Floats larger(typename V::Floats a,
                                                        typename V::Floats b) {
  if constexpr (V::lanes == 1)
    return a > b ? a : b;
  else
    return V::max(a, b);
}
template <class V>
[[gnu::always_inline]] inline typename V::Floats smaller(typename V::Floats a,
                                                         typename V::Floats b) {
  if constexpr (V::lanes == 1)
    return a < b ? a : b;
  else
    return V::min(a, b);
}

/// round(clamp(v * inverse_scale, -127, 127)), ties to even. Adding 1.5 * 2^23 leaves no bits for a
/// fraction, and the whole number in the last ones.
template <class V>
[[gnu::always_inline]] inline void store_byte(std::uint8_t* p, typename V::Floats v,
                                              float inverse_scale) {
  using Floats = typename V::Floats;
  constexpr float magic = 12582912.0f;
  const Floats most = Floats{} + 127.0f;
  v = smaller<V>(larger<V>(v * inverse_scale, -most), most);
  const auto bytes = resized<V, typename V::Bytes>(
      __builtin_bit_cast(typename V::Words, v + magic) + std::uint32_t{zero_byte});
  __builtin_memcpy(p, &bytes, sizeof bytes);
}

/// Stores activation(value(c)) for all channels c: value.operator()<V>(c) is that of V::lanes
/// channels from c on.
template <class V, bool real, bool bytes, class To, class Value>
[[gnu::always_inline]] inline void store_pixel(std::int64_t channels, float slope, To* to,
                                               std::uint8_t* byte, float inverse_scale,
                                               Value value) {
  const auto write = [=]<class L>(std::int64_t c, L*) __attribute__((always_inline)) {
    const typename L::Floats v = value.template operator()<L>(c);
    const typename L::Floats active = v > 0.0f ? v : slope * v;
    if constexpr (real) store<L>(to + c, active);
    if constexpr (bytes) store_byte<L>(byte + c, active, inverse_scale);
  };
  std::int64_t c = 0;
#pragma GCC unroll 4
  for (; c + V::lanes <= channels; c += V::lanes) write(c, static_cast<V*>(nullptr));
  for (; c < channels; ++c) write(c, static_cast<Single<V>*>(nullptr));
}

template <class V, bool real, bool bytes, class From, class To>
void scale_pixels(const ScalingSpan& s, const From* x, const InferenceTarget& t) {
  To* const to = static_cast<To*>(t.real);
  const float* const scale = s.scale;
  const float* const shift = s.shift;
  const To* const residual = static_cast<const To*>(s.residual);
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const std::int64_t at = p * s.channels;
    const From* const from = x + at;
    const auto write = [&](auto value) __attribute__((always_inline)) {
      store_pixel<V, real, bytes>(s.channels, s.slope, real ? to + at : nullptr,
                                  bytes ? t.bytes + at : nullptr, t.inverse_scale, value);
    };
    if (scale)
      write([=]<class L>(std::int64_t c) __attribute__((always_inline)) {
        return load<L>(from + c) * load<L>(scale + c) + load<L>(shift + c);
      });
    else if (residual)
      write([=]<class L>(std::int64_t c) __attribute__((always_inline)) {
        return load<L>(from + c) + load<L>(residual + at + c);
      });
    else
      write([=]<class L>(std::int64_t c)
                __attribute__((always_inline)) { return load<L>(from + c); });
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
        const auto* const halves = static_cast<const Bf16*>(x);
        if (from == Real::fp32 && to == Real::fp32)
          scale_pixels<V, real, bytes, float, float>(s, floats, t);
        else if (from == Real::fp32)
          scale_pixels<V, real, bytes, float, Bf16>(s, floats, t);
        else if (to == Real::fp32)
          scale_pixels<V, real, bytes, Bf16, float>(s, halves, t);
        else
          scale_pixels<V, real, bytes, Bf16, Bf16>(s, halves, t);
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
            sum += load<Single<V>>(corner + (r * s.in_w + t) * s.in_c + c);
        store<Single<V>>(own + c, sum / pixels);
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
    shortcut_as<V>(s, static_cast<const Bf16*>(x), static_cast<Bf16*>(y));
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
    for (std::int64_t c = 0; c < channels; ++c) sum[c] += load<Single<V>>(pixel + c);
  }
  for (std::int64_t step = count / 2; step > 0; step /= 2) {
    const float* const from = lanes + step * channels;
#pragma omp simd safelen(16)
    for (std::int64_t i = 0; i < step * channels; ++i) lanes[i] += from[i];
  }
  const float divisor = static_cast<float>(pixels);
#pragma omp simd safelen(16)
  for (std::int64_t c = 0; c < channels; ++c) store<Single<V>>(y + c, lanes[c] / divisor);
}

template <class V>
void pool(std::int64_t pixels, std::int64_t channels, Real from, Real to, const void* x, void* y,
          float* lanes) {
  const auto* const floats = static_cast<const float*>(x);
  const auto* const halves = static_cast<const Bf16*>(x);
  if (from == Real::fp32 && to == Real::fp32)
    pool_of<V>(pixels, channels, floats, static_cast<float*>(y), lanes);
  else if (from == Real::fp32)
    pool_of<V>(pixels, channels, floats, static_cast<Bf16*>(y), lanes);
  else if (to == Real::fp32)
    pool_of<V>(pixels, channels, halves, static_cast<float*>(y), lanes);
  else
    pool_of<V>(pixels, channels, halves, static_cast<Bf16*>(y), lanes);
}

template <class V>
inline constexpr InferenceKernels inference_kernels = {scaling<V>, shortcut<V>, pool<V>};

}  // namespace pixeldp::kernels::cpu
