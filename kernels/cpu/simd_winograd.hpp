#pragma once

#include <cstdint>

#include "kernels/cpu/simd_inference.hpp"
#include "kernels/cpu/simd_product.hpp"
#include "kernels/cpu/winograd_kernels.hpp"

/// Winograd's convolutions (winograd_kernels.hpp tells the formula), compiled once per instruction
/// set (see simd_kernels.hpp for what may be in here).
///
/// Work: per block of tiles the transform of the input, for each of the 36 positions a product of
/// matrices [tiles, channels] x [channels, outputs], and the transform of the output. A product is
/// V::winograd_rows tiles by V::winograd_groups groups of outputs at a time, whose sums stay in
/// registers for one panel of the weight; that stays in the first cache while all tiles pass, and
/// the next one comes into the second meanwhile.
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

/// Bytes, V::short_lanes channels at a time, in whole numbers: inputs and weights are transformed
/// in 16 bits, which hold them (at most 100 * 127 and 49 * 127), the weight by rows of G that are
/// multiplied by 4, 6, 6, 24, 24 and 1. What these lack of 24 the output's transform makes up for,
/// so that it yields 24 * 24 times the sum. Sums and that transform are calculated modulo 2^32; 9
/// has an inverse there, and the rest is a shift by 6, exact where 64 times the sum fits 32 bits.
template <class V>
struct ByteTiles {
  using Products = ShortProducts<V>;
  using Element = std::uint8_t;
  using Transformed = std::int16_t;
  using Inputs = typename V::Shorts;
  using Sums = typename V::Words;
  static constexpr int lanes = V::short_lanes;

  [[gnu::always_inline]] static Inputs input(const std::uint8_t* p) { return load_bytes<V>(p); }
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
    const Sums a = (s[1] + s[2]) << 2, b = (s[1] - s[2]) << 2, c = s[3] + s[4], e = s[3] - s[4];
    y[0] = (s[0] << 2) + (s[0] << 1) + (a + c);
    y[1] = b + (e << 1);
    y[2] = a + (c << 2);
    y[3] = b + (e << 3) + ((s[5] << 4) + (s[5] << 3));
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

template <class V, class Tiles>
void transform_inputs(const WinogradBlock& b) {
  constexpr int n = winograd_inputs;
  using Inputs = typename Tiles::Inputs;
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
    for (std::int64_t c = 0; c < b.in_c; c += Tiles::lanes) {
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
  }
}

/// One panel of the weight, and what it is multiplied by: sums[tile][output] (+)= dot(x[tile], w).
struct WinogradPanel {
  const std::uint32_t* x = nullptr;
  std::uint32_t* sums = nullptr;
  std::int64_t x_stride = 0, sum_stride = 0, count = 0;  // of tiles
  const std::uint32_t* weight = nullptr;
  std::int64_t words = 0;
  bool more = false;  // not the first one
};

template <class V, class Products, int groups, int rows>
void multiply_tiles(const WinogradPanel& panel, std::int64_t tile, const std::uint32_t* next) {
  using Sums = typename Products::Sums;
  using Words = typename V::Words;
  constexpr int parts = static_cast<int>(group_outputs) / V::lanes;
  constexpr int vectors = groups * parts;
  const std::int64_t words = panel.words, group_words = words * group_outputs;
  const std::uint32_t* x[rows];
  std::uint32_t* to[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {  // past the last tile it is calculated once more
    const std::int64_t last = panel.count - 1, at = tile + r < last ? tile + r : last;
    x[r] = panel.x + at * panel.x_stride;
    to[r] = panel.sums + at * panel.sum_stride;
  }
  Sums sums[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      sums[r][v] = Sums{};
      if (panel.more) __builtin_memcpy(&sums[r][v], to[r] + v * V::lanes, sizeof(Sums));
    }
  const std::uint32_t* w = panel.weight;
  // Of integers the compiler would first add up the products of several words, for which there are
  // not enough registers.
  constexpr int unrolled = __is_same(typename Products::Sum, float) ? 4 : 1;
  for (std::int64_t i = 0; i < words; i += unrolled, next += 4 * unrolled) {
    __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
    for (int u = 0; u < unrolled; ++u, w += group_outputs) {
      Words weight[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
        __builtin_memcpy(&weight[v], w + v / parts * group_words + v % parts * V::lanes,
                         sizeof(Words));
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const Words word = Words{} + x[r][i + u];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[r][v] = Products::add(sums[r][v], word, weight[v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      __builtin_memcpy(to[r] + v * V::lanes, &sums[r][v], sizeof(Sums));
}

template <class V, class Products, int groups>
void multiply_panel(const WinogradPanel& panel) {
  constexpr int rows = V::winograd_rows, few = V::winograd_few_rows;
  // A part of the next panel at a time comes into the second cache.
  constexpr int parts = 4 * groups;
  const std::int64_t of_part = panel.words * group_outputs / 4;
  const std::uint32_t* next = panel.weight + parts * of_part;
  for (std::int64_t tile = 0, part = 1; tile < panel.count; ++part) {
    if (panel.count - tile > few) {
      multiply_tiles<V, Products, groups, rows>(panel, tile, next);
      tile += rows;
    } else {
      multiply_tiles<V, Products, groups, few>(panel, tile, next);
      tile += few;
    }
    if (part < parts) next += of_part;
  }
}

template <class V, class Products>
void multiply_positions(const WinogradBlock& b) {
  const std::int64_t outputs = b.epilogue.outputs, channels = b.step * b.step * b.in_c;
  const std::int64_t per_word = __is_same(Products, RealProducts<V>) ? 1 : 2;
  WinogradPanel panel{
      .x_stride = channels / per_word, .sum_stride = outputs, .count = b.count, .weight = b.weight};
  for (int position = 0; position < winograd_positions; ++position)
    for (std::int64_t i = 0; i < b.words[position]; i += V::winograd_words) {
      const std::int64_t left = b.words[position] - i;
      panel.words = left < V::winograd_words ? left : V::winograd_words;
      panel.more = i > 0;
      panel.x = b.scratch + (position + 1) * b.slab + i;
      for (std::int64_t o = 0; o < outputs;) {
        panel.sums = b.scratch + position * b.slab + o;
        const bool whole = outputs - o >= V::winograd_groups * group_outputs;
        if (whole)
          multiply_panel<V, Products, V::winograd_groups>(panel);
        else
          multiply_panel<V, Products, 1>(panel);
        const std::int64_t made = (whole ? V::winograd_groups : 1) * group_outputs;
        o += made;
        panel.weight += made * panel.words;
      }
    }
}

template <class V, class Tiles, bool real, bool bytes>
void transform_outputs(const WinogradBlock& b) {
  constexpr int n = winograd_inputs, m = winograd_outputs;
  using Sums = typename Tiles::Sums;
  const ProductEpilogue& f = b.epilogue;
  const float* const residual = static_cast<const float*>(f.residual);
  float* const y = static_cast<float*>(f.target.real);
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
  for_target(
      b.epilogue.target, [&]<bool real, bool bytes>() __attribute__((always_inline)) {
        transform_outputs<V, Tiles, real, bytes>(b);
      });
}

template <class V>
inline constexpr WinogradKernels winograd_kernels = {winograd<V, RealTiles<V>>,
                                                     winograd<V, ByteTiles<V>>, V::winograd_words};

}  // namespace pixeldp::kernels::cpu
