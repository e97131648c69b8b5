#pragma once

#include <cstdint>

/// Elementary functions in single precision from additions, multiplications and fused
/// multiply-additions in one fixed order, so that every instruction set and every GPU gives the
/// same bits. The coefficients are minimax polynomials rounded to single precision.
///
/// V is a vector type of kernels/cpu/simd_*.cpp, or a single lane of kernels/cuda/lane.cuh: Floats
/// and Words (32-bit unsigned) of V::lanes lanes. (Functions are constexpr because nvcc lets device
/// code call such functions.)
namespace pixeldp::kernels {

template <class V>
[[gnu::always_inline]] constexpr typename V::Floats all(float value) {
  if constexpr (V::lanes == 1)
    return value;
  else
    return typename V::Floats{} + value;
}

/// The same bits as another type: Floats as Words, and back.
template <class To, class From>
[[gnu::always_inline]] constexpr To same_bits(From from) {
  return __builtin_bit_cast(To, from);
}

/// c[0] + c[1] x + ... + c[n - 1] x^(n - 1) by Horner's rule.
template <class V, int n>
[[gnu::always_inline]] constexpr typename V::Floats polynomial(const float (&c)[n],
                                                               typename V::Floats x) {
  typename V::Floats sum = all<V>(c[n - 1]);
#pragma GCC unroll 16
  for (int i = n - 2; i >= 0; --i) sum = V::fma(sum, x, all<V>(c[i]));
  return sum;
}

/// -factor * ln(v * 2^-shift) for v * 2^-shift in [2^-shift, 1]; factor is a power of two.
///
/// v = m * 2^k with m in [2/3, 4/3), so that nothing cancels near 1; ln(1 + f) = f (1 - f Q(f)).
template <class V, int factor, int shift>
[[gnu::always_inline]] constexpr typename V::Floats minus_log(typename V::Floats v) {
  using Floats = typename V::Floats;
  using Words = typename V::Words;
  constexpr std::uint32_t two_thirds = 0x3f2aaaab;
  constexpr float minus_ln2 = -0.693147181f;
  constexpr float scale = factor;
  constexpr float q[] = {-scale,
                         scale * 0.4999993742f,
                         scale * -0.3333319724f,
                         scale * 0.2500781715f,
                         scale * -0.200111717f,
                         scale * 0.1641599089f,
                         scale * -0.1399576515f,
                         scale * 0.1538838744f,
                         scale * -0.1402657628f};
  constexpr float unit = 1.0f / static_cast<float>(std::uint64_t{1} << shift);
  const Words bits = same_bits<Words>(v);
  const Words exponent =
      (bits - (two_thirds + (static_cast<std::uint32_t>(shift) << 23))) & 0xff800000u;
  const Floats f = V::fma(same_bits<Floats>(bits - exponent), all<V>(unit), all<V>(-1.0f));
  const Floats k = V::from_ints(exponent);  // the exponent of v * 2^-shift, times 2^23
  return V::fma(polynomial<V>(q, f), f, k * (scale * minus_ln2 * 0x1p-23f));
}

/// cos and sin of y * pi/4 for y in [-1, 1].
template <class V>
[[gnu::always_inline]] constexpr void cos_sin(typename V::Floats y, typename V::Floats& c,
                                              typename V::Floats& s) {
  constexpr float cos_terms[] = {1.0f, -0.308424413f, 0.0158501491f, -0.000318977021f};
  constexpr float sin_terms[] = {0.785398185f, -0.0807458311f, 0.00249101641f, -3.66091517e-5f};
  const typename V::Floats z = y * y;
  c = polynomial<V>(cos_terms, z);
  s = y * polynomial<V>(sin_terms, z);
}

/// exp(x) for x in [-86, 0]; anything below counts as -86.
template <class V>
[[gnu::always_inline]] constexpr typename V::Floats exp_nonpositive(typename V::Floats x) {
  using Floats = typename V::Floats;
  using Words = typename V::Words;
  constexpr float terms[] = {
      1.0f, 1.0f, 0.4999999404f, 0.1666652113f, 0.04166838899f, 0.008368716575f, 0.001381462789f};
  constexpr float log2_e = 1.44269504f;
  constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;  // 10 bits, and the rest
  constexpr float to_integer = 0x1.8p23f;  // adding it leaves the rounded integer in the low bits
  x = V::max(all<V>(-86.0f), x);
  const Floats shifted = V::fma(x, all<V>(log2_e), all<V>(to_integer));
  const Floats n = shifted - to_integer;
  const Floats r = V::fma(n, all<V>(-ln2_low), V::fma(n, all<V>(-ln2_high), x));
  return same_bits<Floats>(same_bits<Words>(polynomial<V>(terms, r)) +
                           (same_bits<Words>(shifted) << 23));
}

}  // namespace pixeldp::kernels
