#pragma once

#include <cstdint>

#include "kernels/cpu/product_kernels.hpp"
#include "kernels/cpu/simd_inference.hpp"

/// The products of convolutions and dense layers, compiled once per instruction set (see
/// simd_kernels.hpp for what may be in here):
///
///   y[p, o] = activation(scale[o] sum[p, o] + shift[o] + residual[p, o])
///
/// Layouts: the images of a sweep are [position's image, row, column, words of a pixel], padding
/// included, so that the products of a kernel row are one run of words; the weight is packed to
/// [group, kernel row, word of the run, output of the group].
///
/// Work: a tile is V::product_rows positions (half as many where no more are left) by up to
/// V::product_groups groups of outputs; its sums stay in registers from the first product to the
/// last. For each word of the run one vector of weights per group is loaded and one word per
/// position is broadcast. With AVX-512: 8 x 48 sums in 24 of 32 registers, 11 loads for 24
/// multiplications. Groups are the outer loop, so that their weights stay in the second cache while
/// all positions pass.
///
/// Fused: scale, shift, residual, activation, rounding to bf16 or bytes. Never written: sums, but
/// for the tile's, which stay in the first cache.
namespace pixeldp::kernels::cpu {

// `unrolled`: words that the loop over panels (simd_panels.hpp) takes at once. Of integers the
// compiler would first add up the products of several words, for which there are not enough
// registers, unless products are added by the instruction that makes them.

template <class V>
struct RealProducts {
  using Sums = typename V::Floats;
  using Sum = float;
  static constexpr int unrolled = 4;
  static Sums add(Sums sums, typename V::Words x, typename V::Words w) {
    return V::fma((typename V::Floats)x, (typename V::Floats)w, sums);
  }
};
template <class V>
struct HalfProducts {
  using Sums = typename V::Floats;
  using Sum = float;
  static Sums add(Sums sums, typename V::Words x, typename V::Words w) {
    return V::add_half_products(sums, x, w);
  }
};
template <class V>
struct ByteProducts {
  using Sums = typename V::Ints;
  using Sum = std::int32_t;
  static constexpr int unrolled = 1;
  static Sums add(Sums sums, typename V::Words x, typename V::Words w) {
    return V::add_byte_products(sums, x, w);
  }
};

/// Of pairs of 16 bits.
template <class V>
struct ShortProducts {
  using Sums = typename V::Ints;
  using Sum = std::int32_t;
  static constexpr int unrolled = V::short_words;
  static Sums add(Sums sums, typename V::Words x, typename V::Words w) {
    return V::add_short_products(sums, x, w);
  }
};

/// Rounded to nearest.
template <class V>
[[gnu::always_inline]] inline typename V::Floats load_sum(const std::int32_t* p) {
  if constexpr (V::lanes == 1) {
    return static_cast<float>(*p);
  } else {
    typename V::Ints v;
    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, typename V::Floats);
  }
}

template <class V, bool real, bool bytes, class To, class Sum>
[[gnu::always_inline]] inline void write_outputs(const ProductEpilogue& f, std::int64_t first,
                                                 std::int64_t at, std::int64_t count,
                                                 const Sum* sums) {
  To* const to = real ? static_cast<To*>(f.target.real) + at : nullptr;
  std::uint8_t* const byte = bytes ? f.target.bytes + at : nullptr;
  const float* const scale = f.scale + first;
  const float* const shift = f.shift + first;
  const auto sum = [=]<class L>(std::int64_t o) __attribute__((always_inline)) {
    const typename L::Floats added = load<L>(shift + o);
    if constexpr (__is_same(Sum, float))
      return load<L>(sums + o) + added;
    else
      return load_sum<L>(sums + o) * load<L>(scale + o) + added;
  };
  if (f.residual) {
    const To* const residual = static_cast<const To*>(f.residual) + at;
    store_pixel<V, real, bytes>(
        count, f.slope, to, byte,
        f.target.inverse_scale, [=]<class L>(std::int64_t o) __attribute__((always_inline)) {
          return sum.template operator()<L>(o) + load<L>(residual + o);
        });
  } else {
    store_pixel<V, real, bytes>(count, f.slope, to, byte, f.target.inverse_scale, sum);
  }
}

/// `live` positions from `position` on, the groups' outputs from `first` on.
template <class V, int groups, bool real, bool bytes, class To, class Sum>
[[gnu::always_inline]] inline void write_tile(const ProductEpilogue& f, std::int64_t position,
                                              std::int64_t live, std::int64_t first,
                                              const Sum* sums) {
  constexpr std::int64_t width = groups * group_outputs;
  const std::int64_t left = f.outputs - first;
  for (std::int64_t p = 0; p < live; ++p) {
    const std::int64_t at = (position + p) * f.outputs + first;
    if (left >= width)
      write_outputs<V, real, bytes, To>(f, first, at, width, sums + p * width);
    else
      write_outputs<V, real, bytes, To>(f, first, at, left, sums + p * width);
  }
}

/// The words that positions at any distance multiply next, a pointer to each.
template <int rows>
struct AnyWindows {
  const std::uint32_t* x[rows];
  std::int64_t i = 0;

  [[gnu::always_inline]] AnyWindows(const ProductSweep& s, std::int64_t position, std::int64_t r) {
#pragma GCC unroll 8
    for (int p = 0; p < rows; ++p) {  // past the last position it is calculated once more
      const std::int64_t last = s.count - 1, at = position + p < last ? position + p : last;
      x[p] = s.images + s.positions[at].at + r * s.row_stride;
    }
  }
  template <int p>
  [[gnu::always_inline]] std::uint32_t word() const {
    return x[p][i];
  }
  [[gnu::always_inline]] void next() { ++i; }
};

/// The same for positions `step` words apart, in few registers: addresses are a pointer, or that of
/// position 8, and an odd multiple of the step, once, twice or four times.
struct EvenWindows {
  const char *x, *x8;
  std::int64_t s1, s3, s5, s7;  // bytes

  [[gnu::always_inline]] EvenWindows(const ProductSweep& s, std::int64_t position, std::int64_t r)
      : x(reinterpret_cast<const char*>(s.images + s.positions[position].at + r * s.row_stride)),
        s1(4 * (s.positions[1].at - s.positions[0].at)),
        s3(3 * s1),
        s5(5 * s1),
        s7(7 * s1) {
    x8 = x + 8 * s1;
  }
  template <int p>
  [[gnu::always_inline]] std::uint32_t word() const {
    constexpr int of = p % 8;
    const char* const from = p < 8 ? x : x8;
    std::uint32_t w;
    __builtin_memcpy(&w,
                     of == 0   ? from
                     : of == 3 ? from + s3
                     : of == 5 ? from + s5
                     : of == 6 ? from + 2 * s3
                     : of == 7 ? from + s7
                               : from + of * s1,
                     sizeof w);
    return w;
  }
  [[gnu::always_inline]] void next() { x += 4, x8 += 4; }
};

/// Numbers 0 ... count - 1 as template arguments.
template <int... p>
struct Numbers {};
template <int count, int... p>
struct NumbersTo : NumbersTo<count - 1, count - 1, p...> {};
template <int... p>
struct NumbersTo<0, p...> {
  using Type = Numbers<p...>;
};

template <class V, class Products, int groups, int rows, class Windows>
void tile(const ProductSweep& s, std::int64_t position, std::int64_t group) {
  using Sums = typename Products::Sums;
  using Words = typename V::Words;
  constexpr int parts = static_cast<int>(group_outputs) / V::lanes;
  constexpr int vectors = groups * parts;
  const std::int64_t live = s.count - position < rows ? s.count - position : rows;
  const std::int64_t row_words = s.run * group_outputs, group_words = s.rows * row_words;
  const std::int64_t first = group * group_outputs;
  std::int64_t from = s.rows, to = 0;
  for (std::int64_t p = position; p < position + live; ++p) {
    from = s.positions[p].from < from ? s.positions[p].from : from;
    to = s.positions[p].to > to ? s.positions[p].to : to;
  }

  Sums sums[rows][vectors];
#pragma GCC unroll 16
  for (int p = 0; p < rows; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      if constexpr (__is_same(typename Products::Sum, std::int32_t))
        __builtin_memcpy(
            &sums[p][v],
            s.start + (from * (s.rows + 1) + to) * s.groups * group_outputs + first + v * V::lanes,
            sizeof(Sums));
      else
        sums[p][v] = Sums{};
    }

  const std::uint32_t* w = s.weight + group * group_words + from * row_words;
  for (std::int64_t r = from; r < to; ++r) {
    Windows x(s, position, r);
    for (std::int64_t i = 0; i < s.run; ++i, w += group_outputs, x.next()) {
      Words weight[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
        __builtin_memcpy(&weight[v], w + v / parts * group_words + v % parts * V::lanes,
                         sizeof(Words));
      const auto add = [&]<int p>(Numbers<p>) __attribute__((always_inline)) {
        const Words word = Words{} + x.template word<p>();
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[p][v] = Products::add(sums[p][v], word, weight[v]);
      };
      [&]<int... p>(Numbers<p...>) __attribute__((always_inline)) { (add(Numbers<p>{}), ...); }
      (typename NumbersTo<rows>::Type{});
    }
  }

  alignas(64) typename Products::Sum memory[rows * groups * group_outputs];
#pragma GCC unroll 16
  for (int p = 0; p < rows; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      __builtin_memcpy(memory + (p * vectors + v) * V::lanes, &sums[p][v], sizeof(Sums));
  for_target(
      s.epilogue.target, [&]<bool real, bool bytes>() __attribute__((always_inline)) {
        if (s.epilogue.to == Real::fp32)
          write_tile<V, groups, real, bytes, float>(s.epilogue, position, live, first, memory);
        else
          write_tile<V, groups, real, bytes, Bf16>(s.epilogue, position, live, first, memory);
      });
}

template <class V, class Products, int groups>
void tiles(const ProductSweep& s, std::int64_t group) {
  constexpr int rows = V::product_rows, few = rows / 2;
  constexpr int even = groups == 1 ? V::even_product_rows : rows;
  for (std::int64_t p = 0; p < s.count;) {
    const std::int64_t left = s.count - p;
    const ProductPosition* const at = s.positions + p;
    if (left >= even &&
        at[even - 1].at - at->at == (even - 1) * (s.positions[1].at - s.positions->at)) {
      tile<V, Products, groups, even, EvenWindows>(s, p, group);
      p += even;
    } else if (left > few) {
      tile<V, Products, groups, rows, AnyWindows<rows>>(s, p, group);
      p += rows;
    } else {
      tile<V, Products, groups, few, AnyWindows<few>>(s, p, group);
      p += few;
    }
  }
}

template <class V>
[[gnu::always_inline]] inline typename V::Shorts load_bytes(const std::uint8_t* p) {
  typename V::ShortBytes bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, typename V::Shorts) - std::int16_t{zero_byte};
}

template <class V>
void widen(std::int64_t count, const std::uint8_t* x, std::int16_t* y) {
  std::int64_t i = 0;
  for (; i + V::short_lanes <= count; i += V::short_lanes) {
    const typename V::Shorts wide = load_bytes<V>(x + i);
    __builtin_memcpy(y + i, &wide, sizeof wide);
  }
  for (; i < count; ++i) y[i] = static_cast<std::int16_t>(x[i] - zero_byte);
}

template <class V, class Products>
void sweep(const ProductSweep& s) {
  for (std::int64_t group = 0; group < s.groups;) {
    const std::int64_t left = s.groups - group;
    if constexpr (V::product_groups == 3) {
      if (left == 3 || left > 4) {
        tiles<V, Products, 3>(s, group);
        group += 3;
        continue;
      }
      if (left > 1) {
        tiles<V, Products, 2>(s, group);
        group += 2;
        continue;
      }
    }
    tiles<V, Products, 1>(s, group);
    ++group;
  }
}

}  // namespace pixeldp::kernels::cpu
