#pragma once

#include <cstdint>

#include <emmintrin.h>

namespace pixeldp::kernels::cpu {

/// SSE2, which every x86-64 processor has.
struct Plain {
  static constexpr int lanes = 4;
  static constexpr int interleaved_groups = 1;
  static constexpr int tile_rows = 1, tile_classes = 2;
  static constexpr int product_rows = 2, even_product_rows = 2, product_groups = 1;
  static constexpr int panel_rows = 2, panel_few_rows = 1, panel_groups = 1;
  static constexpr int panel_words = 320, short_lanes = 8, short_words = 1;
  static constexpr unsigned full_mask = 0xf;

  using Floats = float __attribute__((vector_size(16)));
  using Words = std::uint32_t __attribute__((vector_size(16)));
  using Ints = std::int32_t __attribute__((vector_size(16)));
  using Halves = std::uint16_t __attribute__((vector_size(8)));
  using Bytes = std::uint8_t __attribute__((vector_size(4)));
  using Shorts = std::int16_t __attribute__((vector_size(16)));
  using ShortBytes = std::uint8_t __attribute__((vector_size(8)));
  using Wides = std::uint64_t __attribute__((vector_size(16)));
  using Doubles = double __attribute__((vector_size(16)));

  static Wides multiply(Wides a, std::uint32_t b) {
    return (Wides)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
  }
  static Wides high(Wides a) { return a >> 32; }
  static Wides exclusive_or(Wides a, Wides b, Wides c) { return a ^ b ^ c; }
  static Wides lower_halves(Wides even, Wides odd) { return (even & 0xffffffffu) | odd << 32; }
  static Wides upper_halves(Wides even, Wides odd) {
    return even >> 32 | (odd & 0xffffffff00000000u);
  }
  static void interleave(Floats a, Floats b, Floats& first, Floats& second) {
    first = _mm_unpacklo_ps(a, b);
    second = _mm_unpackhi_ps(a, b);
  }

  static Floats from_words(Words w) {
    // Both halves and the product are exact; the sum rounds once.
    return from_ints(w >> 16) * 65536.0f + from_ints(w & 0xffffu);
  }
  static Floats from_ints(Words w) { return _mm_cvtepi32_ps((__m128i)w); }

  /// a b + c, rounded to odd: where it is inexact, the neighbour whose last bit is 1 is taken, so
  /// that rounding the result to single precision sees on which side of a tie the exact value lies
  /// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
  /// rounding to odd", IEEE Transactions on Computers 57(4), 2008). a, b, c are floats, so a b is
  /// exact.
  [[gnu::noinline, gnu::cold]] static Doubles multiply_add_to_odd(Doubles a, Doubles b, Doubles c) {
    const Doubles product = a * b;
    const Doubles sum = product + c;
    const Doubles part = sum - product;
    const Doubles error = (product - (sum - part)) + (c - part);  // exact (Knuth's two-sum)
    const Wides bits = (Wides)sum;
    const Wides inexact =  // false where the sum is not finite
        (Wides)_mm_or_pd(_mm_cmplt_pd(error, Doubles{}), _mm_cmpgt_pd(error, Doubles{}));
    const Wides even = (bits & 1) - 1;                   // all ones or zero
    const Wides overshot = (bits ^ (Wides)error) >> 63;  // 1 where rounded away from zero
    return (Doubles)(bits + ((1 - (overshot << 1)) & inexact & even));
  }
  /// True where rounding the sum once more, to single precision, could go wrong: where it looks
  /// like a tie of two floats, or lies below the smallest normal one.
  static bool may_round_twice(Doubles sum) {
    const Ints low_then_high =
        (Ints)((Words)sum & Words{0x1fffffff, 0x7fffffff, 0x1fffffff, 0x7fffffff});
    const Ints tie = low_then_high == Ints{0x10000000, -1, 0x10000000, -1};
    const Ints small = (low_then_high > Ints{0x7fffffff, 0, 0x7fffffff, 0}) &
                       (low_then_high < Ints{0, 0x38100000, 0, 0x38100000});
    return _mm_movemask_ps((__m128)(tie | small)) != 0;
  }
  /// The instruction for it came later than SSE2. (The conversions must stay intrinsics: GCC 12
  /// drops the rounding of vectors that go from double to float and back.)
  static Floats fma(Floats a, Floats b, Floats c) {
    Doubles lower = (Doubles)lower_doubles(a) * lower_doubles(b) + lower_doubles(c);
    Doubles upper = (Doubles)upper_doubles(a) * upper_doubles(b) + upper_doubles(c);
    if (__builtin_expect(may_round_twice(lower) | may_round_twice(upper), 0)) {
      lower = multiply_add_to_odd(lower_doubles(a), lower_doubles(b), lower_doubles(c));
      upper = multiply_add_to_odd(upper_doubles(a), upper_doubles(b), upper_doubles(c));
    }
    return _mm_movelh_ps(_mm_cvtpd_ps(lower), _mm_cvtpd_ps(upper));
  }
  static Floats sqrt(Floats a) { return _mm_sqrt_ps(a); }
  static Floats max(Floats a, Floats b) { return _mm_max_ps(a, b); }
  static Floats min(Floats a, Floats b) { return _mm_min_ps(a, b); }

  /// As Avx2's.
  static Ints add_short_products(Ints sums, Words x, Words w) {
    return (Ints)((Words)sums + (Words)_mm_madd_epi16((__m128i)x, (__m128i)w));
  }

  static Floats load_partial(const float* p, std::int64_t count) {
    Floats v = {};
    for (int i = 0; i < count; ++i) v[i] = p[i];
    return v;
  }
  static unsigned equal_mask(Floats a, Floats b) {
    return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpeq_ps(a, b)));
  }
  static float highest(Floats a) {
    const __m128 b = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_shuffle_ps(b, b, 1)));
  }
  static Doubles lower_doubles(Floats a) { return _mm_cvtps_pd(a); }
  static Doubles upper_doubles(Floats a) { return _mm_cvtps_pd(_mm_movehl_ps(a, a)); }
  static float sum(const Floats (&part)[4]) {
    const Floats a = (part[0] + part[2]) + (part[1] + part[3]);
    return (a[0] + a[2]) + (a[1] + a[3]);
  }
  static double sum(const Doubles (&part)[8]) {
    const Doubles a =
        ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
    return a[0] + a[1];
  }
};

}  // namespace pixeldp::kernels::cpu
