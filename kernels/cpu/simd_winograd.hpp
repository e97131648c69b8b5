#pragma once

#include <cstdint>

#include "kernels/cpu/simd_inference.hpp"
#include "kernels/cpu/simd_panels.hpp"
#include "kernels/cpu/winograd_kernels.hpp"

/// Winograd's convolutions (winograd_kernels.hpp tells the formula), compiled once per instruction
/// set (see simd_kernels.hpp for what may be in here).
///
/// Work: per block of tiles the transform of the input, for each of the 36 positions a product of
/// matrices [tiles, channels] x [channels, outputs] (simd_panels.hpp), and the transform of the
/// output.
///
/// Fused: scale, shift, residual, activation, rounding to bytes.
namespace pixeldp::kernels::cpu {

/// fp32, V::lanes channels at a time. Points 0, 1, -1, 2, -2 and infinity.
template <class V>
struct RealTiles {
  using Products = RealProducts<V>;
  using Element = float;
  using Transformed = float;
  using Inputs = typename V::Floats;
  using Sums = typename V::Floats;
  static constexpr int lanes = V::lanes;

  [[gnu::always_inline]] static Inputs input(const float* p) { return load<V>(p); }
  /// a * b + c
  [[gnu::always_inline]] static Sums fma(Sums a, float b, Sums c) {
    return V::fma(a, Sums{} + b, c);
  }

  /// t = Bt d
  [[gnu::always_inline]] static void transform_input(const Inputs* d, Inputs* t) {
    const Inputs a = fma(d[2], -4, d[4]), b = fma(d[1], -4, d[3]);
    const Inputs c = d[4] - d[2], e = d[3] - d[1];
    t[0] = fma(d[0], 4, fma(d[2], -5, d[4]));
    t[1] = a + b;
    t[2] = a - b;
    t[3] = fma(e, 2, c);
    t[4] = fma(e, -2, c);
    t[5] = fma(d[1], 4, fma(d[3], -5, d[5]));
  }
  /// y = At s
  [[gnu::always_inline]] static void transform_output(const Sums* s, Sums* y) {
    const Sums a = s[1] + s[2], b = s[1] - s[2], c = s[3] + s[4], e = s[3] - s[4];
    y[0] = s[0] + (a + c);
    y[1] = fma(e, 2, b);
    y[2] = fma(c, 4, a);
    y[3] = fma(e, 8, b) + s[5];
  }
  [[gnu::always_inline]] static Sums scaled(Sums sum, const float*) { return sum; }
};

/// bf16, calculated with as fp32.
template <class V>
struct HalfTiles : RealTiles<V> {
  using Element = Bf16;
  [[gnu::always_inline]] static typename V::Floats input(const Bf16* p) { return load<V>(p); }
};

/// Bytes, as many channels at a time as Shorts have 16-bit lanes, in whole numbers: inputs and
/// weights are transformed in 16 bits, which hold them (at most 100 * 127 and 144 * 127), the
/// weight by rows of G that are multiplied by 24, but for the last one's 3. The 8 that it lacks the
/// output's transform makes up for, so that it yields 24 * 24 times the sum. Sums and that
/// transform are calculated modulo 2^32; 9 has an inverse there, and the rest is a shift by 6,
/// exact where 64 times the sum fits 32 bits.
template <class V, class Shorts = V>
struct ByteTiles {
  using Products = ShortProducts<V>;
  using Element = std::uint8_t;
  using Transformed = std::int16_t;
  using Inputs = typename Shorts::Shorts;
  using Sums = typename V::Words;
  static constexpr int lanes = Shorts::short_lanes;

  [[gnu::always_inline]] static Inputs input(const std::uint8_t* p) {
    return load_bytes<Shorts>(p);
  }
  [[gnu::always_inline]] static void transform_input(const Inputs* d, Inputs* t) {
    const Inputs a = d[4] - (d[2] << 2), b = d[3] - (d[1] << 2), c = d[4] - d[2];
    const Inputs h = d[3] - d[1], e = h + h;
    t[0] = ((d[0] - d[2]) << 2) + c;
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = d[5] - d[3] - (h << 2);
  }
  [[gnu::always_inline]] static void transform_output(const Sums* s, Sums* y) {
    const Sums a = s[1] + s[2], b = s[1] - s[2], c = s[3] + s[4], e = s[3] - s[4];
    y[0] = s[0] + (a + c);
    y[1] = b + (e + e);
    y[2] = a + (c << 2);
    y[3] = b + ((e + s[5]) << 3);
  }
  [[gnu::always_inline]] static typename V::Floats scaled(Sums sum, const float* scale) {
    constexpr std::uint32_t ninth = 954437177;  // 9 * ninth = 1 modulo 2^32
    const auto exact = (typename V::Ints)(sum * ninth) >> 6;
    return __builtin_convertvector(exact, typename V::Floats) * load<V>(scale);
  }
};

/// Where a tile is in the result.
struct WinogradPlace {
  std::int64_t row, p, q;
};
template <class V>
[[gnu::always_inline]] inline WinogradPlace place_of(const WinogradBlock& b, std::int64_t tile) {
  constexpr int n = winograd_outputs;
  const std::int64_t across = (b.out_w + n - 1) / n, down = (b.out_h + n - 1) / n;
  return {tile / (across * down), tile / across % down * n, tile % across * n};
}

/// Of Tiles::lanes channels of one tile, from 6x6 pixels to 36 slabs.
template <class Tiles>
[[gnu::always_inline]] inline void transform_channels(
    const typename Tiles::Element* const (&from)[winograd_inputs][winograd_inputs], std::int64_t c,
    typename Tiles::Transformed* to, std::int64_t slab) {
  constexpr int n = winograd_inputs;
  using Inputs = typename Tiles::Inputs;
  Inputs columns[n][n];
#pragma GCC unroll 6
  for (int t = 0; t < n; ++t) {
    Inputs d[n];
#pragma GCC unroll 6
    for (int r = 0; r < n; ++r) d[r] = Tiles::input(from[r][t] + c);
    Tiles::transform_input(d, columns[t]);
  }
#pragma GCC unroll 6
  for (int r = 0; r < n; ++r) {
    Inputs d[n], v[n];
#pragma GCC unroll 6
    for (int t = 0; t < n; ++t) d[t] = columns[t][r];
    Tiles::transform_input(d, v);
#pragma GCC unroll 6
    for (int t = 0; t < n; ++t)
      __builtin_memcpy(to + (r * n + t) * slab + c, &v[t], sizeof(Inputs));
  }
}

template <class V, class Tiles>
void transform_inputs(const WinogradBlock& b) {
  constexpr int n = winograd_inputs;
  using Element = typename Tiles::Element;
  using Transformed = typename Tiles::Transformed;
  const std::int64_t phases = b.step * b.step, channels = phases * b.in_c;
  const std::int64_t slab = b.slab * 4 / static_cast<std::int64_t>(sizeof(Transformed));
  for (std::int64_t i = 0; i < b.count * phases; ++i) {
    const std::int64_t phase = i % phases;
    const WinogradPlace at = place_of<V>(b, b.first + i / phases);
    const Element* from[n][n];
    for (int r = 0; r < n; ++r)
      for (int t = 0; t < n; ++t) {
        const std::int64_t h = (at.p + r) * b.step + phase / b.step - b.top,
                           w = (at.q + t) * b.step + phase % b.step - b.left;
        const bool inside = h >= 0 && h < b.in_h && w >= 0 && w < b.in_w;
        from[r][t] = static_cast<const Element*>(inside ? b.x : b.padding) +
                     (inside ? ((at.row * b.in_h + h) * b.in_w + w) * b.in_c : 0);
      }
    Transformed* const to =
        reinterpret_cast<Transformed*>(b.scratch + b.slab) + i / phases * channels + phase * b.in_c;
    std::int64_t c = 0;
    for (; c + Tiles::lanes <= b.in_c; c += Tiles::lanes)
      transform_channels<Tiles>(from, c, to, slab);
    if constexpr (Tiles::lanes > group_outputs)
      if (c < b.in_c) transform_channels<ByteTiles<V, typename V::Narrow>>(from, c, to, slab);
  }
}

template <class V, class Products>
void multiply_positions(const WinogradBlock& b) {
  constexpr int per_word = __is_same(Products, RealProducts<V>) ? 1 : 2;
  Panel panel{.x_stride = b.step * b.step * b.in_c / per_word,
              .sum_stride = b.epilogue.outputs,
              .count = b.count,
              .weight = b.weight};
  for (int position = 0; position < winograd_positions; ++position) {
    panel.x = b.scratch + (position + 1) * b.slab;
    panel.sums = b.scratch + position * b.slab;
    multiply_panels<V, Products>(panel, b.words[position], b.epilogue.outputs);
  }
}

template <class V, class Tiles, bool real, bool bytes, class To>
void transform_outputs(const WinogradBlock& b) {
  constexpr int n = winograd_inputs, m = winograd_outputs;
  using Sums = typename Tiles::Sums;
  const ProductEpilogue& f = b.epilogue;
  const To* const residual = static_cast<const To*>(f.residual);
  To* const y = static_cast<To*>(f.target.real);
  for (std::int64_t tile = 0; tile < b.count; ++tile) {
    const WinogradPlace at = place_of<V>(b, b.first + tile);
    const std::int64_t high = b.out_h - at.p, wide = b.out_w - at.q;
    const std::int64_t corner = ((at.row * b.out_h + at.p) * b.out_w + at.q) * f.outputs;
    const auto pixel = [&](int i, int j) __attribute__((always_inline)) {
      return corner + (i * b.out_w + j) * f.outputs;
    };
    const std::uint32_t* const from = b.scratch + tile * f.outputs;
    for (std::int64_t o = 0; o < f.outputs; o += V::lanes) {
      Sums columns[n][m];
#pragma GCC unroll 6
      for (int t = 0; t < n; ++t) {
        Sums s[n];
#pragma GCC unroll 6
        for (int r = 0; r < n; ++r)
          __builtin_memcpy(&s[r], from + (r * n + t) * b.slab + o, sizeof(Sums));
        Tiles::transform_output(s, columns[t]);
      }
      // All is loaded before anything is stored: pixels may be whole pages apart, and a load waits
      // for a store to the same place of another page.
      typename V::Floats values[m][m];
      const typename V::Floats shift = load<V>(f.shift + o);
#pragma GCC unroll 4
      for (int i = 0; i < m; ++i) {
        Sums s[n], sums[m];
#pragma GCC unroll 6
        for (int t = 0; t < n; ++t) s[t] = columns[t][i];
        Tiles::transform_output(s, sums);
#pragma GCC unroll 4
        for (int j = 0; j < m; ++j) {
          values[i][j] = Tiles::scaled(sums[j], f.scale + o) + shift;
          if (residual && i < high && j < wide)
            values[i][j] = values[i][j] + load<V>(residual + pixel(i, j) + o);
        }
      }
#pragma GCC unroll 4
      for (int i = 0; i < m; ++i) {
        if (i >= high) break;
#pragma GCC unroll 4
        for (int j = 0; j < m; ++j) {
          if (j >= wide) break;
          const typename V::Floats v = values[i][j], active = v > 0.0f ? v : f.slope * v;
          if constexpr (real) store<V>(y + pixel(i, j) + o, active);
          if constexpr (bytes)
            store_byte<V>(f.target.bytes + pixel(i, j) + o, active, f.target.inverse_scale);
        }
      }
    }
  }
}

template <class V, class Tiles>
void winograd(const WinogradBlock& b) {
  transform_inputs<V, Tiles>(b);
  multiply_positions<V, typename Tiles::Products>(b);
  if constexpr (__is_same(typename Tiles::Element, Bf16))
    if (b.epilogue.to == Real::bf16) return transform_outputs<V, Tiles, true, false, Bf16>(b);
  for_target(
      b.epilogue.target, [&]<bool real, bool bytes>() __attribute__((always_inline)) {
        transform_outputs<V, Tiles, real, bytes, float>(b);
      });
}

template <class V>
inline constexpr WinogradKernels winograd_kernels = {winograd<V, RealTiles<V>>,
                                                     winograd<V, HalfTiles<V>>,
                                                     winograd<V, ByteTiles<V>>, V::panel_words};

/// For what has products of bytes of its own, and leaves all else to another instruction set.
template <class V>
inline constexpr WinogradKernels winograd_byte_kernels = {
    nullptr, nullptr, winograd<V, ByteTiles<V>>, V::panel_words};

}  // namespace pixeldp::kernels::cpu
