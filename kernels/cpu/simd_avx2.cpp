#include "kernels/cpu/simd_256.hpp"
#include "kernels/cpu/simd_inference.hpp"
#include "kernels/cpu/simd_lattice.hpp"
#include "kernels/cpu/simd_noise.hpp"
#include "kernels/cpu/simd_product.hpp"
#include "kernels/cpu/simd_rows.hpp"
#include "kernels/cpu/simd_statistics.hpp"
#include "kernels/cpu/simd_winograd.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// AVX2 and FMA.
struct Avx2 : Vectors256 {
  static constexpr int interleaved_groups = 5;
  static constexpr int tile_rows = 2, tile_classes = 3;
  static constexpr unsigned full_mask = 0xff;

  using Wides = std::uint64_t __attribute__((vector_size(32)));
  using Doubles = double __attribute__((vector_size(32)));

  static Wides multiply(Wides a, std::uint32_t b) {
    return (Wides)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
  }
  static Wides high(Wides a) { return a >> 32; }
  static Wides exclusive_or(Wides a, Wides b, Wides c) { return a ^ b ^ c; }
  static Wides lower_halves(Wides even, Wides odd) {
    return (Wides)_mm256_blend_ps((__m256)even, _mm256_moveldup_ps((__m256)odd), 0xaa);
  }
  static Wides upper_halves(Wides even, Wides odd) {
    return (Wides)_mm256_blend_ps(_mm256_movehdup_ps((__m256)even), (__m256)odd, 0xaa);
  }
  static void interleave(Floats a, Floats b, Floats& first, Floats& second) {
    // The 128-bit lanes of one unpack hold neighbouring blocks: see the order of the counters.
    first = _mm256_unpacklo_ps(a, b);
    second = _mm256_unpackhi_ps(a, b);
  }

  static Floats from_words(Words w) {
    // Both halves and the product are exact; the sum rounds once.
    return fma(from_ints(w >> 16), Floats{} + 65536.0f, from_ints(w & 0xffffu));
  }
  static Floats from_ints(Words w) { return _mm256_cvtepi32_ps((__m256i)w); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats sqrt(Floats a) { return _mm256_sqrt_ps(a); }

  /// Pairs of 16 bits with a sign; sums are taken modulo 2^32.
  static Ints add_short_products(Ints sums, Words x, Words w) {
    return (Ints)((Words)sums + (Words)_mm256_madd_epi16((__m256i)x, (__m256i)w));
  }

  /// Bytes from 0 to 127 by bytes with a sign: two products fit 16 bits.
  static Ints add_byte_products(Ints sums, Words x, Words w) {
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)x, (__m256i)w);
    return sums + (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }

  static Floats load_partial(const float* p, std::int64_t count) {
    const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return _mm256_maskload_ps(p, (__m256i)(lane < static_cast<std::int32_t>(count)));
  }
  static unsigned equal_mask(Floats a, Floats b) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)));
  }
  static float highest(Floats a) {
    const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
  }
  static Doubles lower_doubles(Floats a) { return _mm256_cvtps_pd(_mm256_castps256_ps128(a)); }
  static Doubles upper_doubles(Floats a) { return _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)); }
  static float sum(const Floats (&part)[2]) {
    const __m256 a = part[0] + part[1];
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
  }
  static double sum(const Doubles (&part)[4]) {
    const __m256d a = (part[0] + part[2]) + (part[1] + part[3]);
    const __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
  }
};

}  // namespace

const SimdKernels avx2_kernels = {add_noise<Avx2>,
                                  add_lattice_noise<Avx2>,
                                  Avx2::tile_rows,
                                  logits<Avx2>,
                                  add_scores<Avx2>,
                                  inference_kernels<Avx2>,
                                  row_kernels<Avx2>,
                                  {.fp32 = sweep<Avx2, RealProducts<Avx2>>,
                                   .int16 = sweep<Avx2, ShortProducts<Avx2>>,
                                   .widen = widen<Avx2>},
                                  dense_kernels<Avx2>,
                                  winograd_kernels<Avx2>};

}  // namespace pixeldp::kernels::cpu
