#include "kernels/cpu/simd_512.hpp"
#include "kernels/cpu/simd_inference.hpp"
#include "kernels/cpu/simd_lattice.hpp"
#include "kernels/cpu/simd_noise.hpp"
#include "kernels/cpu/simd_product.hpp"
#include "kernels/cpu/simd_rows.hpp"
#include "kernels/cpu/simd_statistics.hpp"
#include "kernels/cpu/simd_winograd.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// AVX-512 F, BW, DQ and VL.
struct Avx512 : Vectors512 {
  static constexpr int interleaved_groups = 6;
  static constexpr int tile_rows = 4, tile_classes = 5;
  static constexpr int short_lanes = 16, short_words = 1;
  static constexpr unsigned full_mask = 0xffff;

  using Shorts = std::int16_t __attribute__((vector_size(32)));
  using ShortBytes = std::uint8_t __attribute__((vector_size(16)));
  using Wides = std::uint64_t __attribute__((vector_size(64)));
  using Doubles = double __attribute__((vector_size(64)));

  static Wides multiply(Wides a, std::uint32_t b) {
    return (Wides)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
  }
  static Wides high(Wides a) { return (Wides)_mm512_movehdup_ps((__m512)a); }
  static Wides exclusive_or(Wides a, Wides b, Wides c) {
    return (Wides)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
  }
  static Wides lower_halves(Wides even, Wides odd) {
    return (Wides)_mm512_mask_moveldup_ps((__m512)even, 0xaaaa, (__m512)odd);
  }
  static Wides upper_halves(Wides even, Wides odd) {
    return (Wides)_mm512_mask_movehdup_ps((__m512)odd, 0x5555, (__m512)even);
  }
  static void interleave(Floats a, Floats b, Floats& first, Floats& second) {
    first = _mm512_unpacklo_ps(a, b);
    second = _mm512_unpackhi_ps(a, b);
  }

  static Floats from_words(Words w) { return _mm512_cvtepu32_ps((__m512i)w); }
  static Floats from_ints(Words w) { return _mm512_cvtepi32_ps((__m512i)w); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats sqrt(Floats a) { return _mm512_sqrt_ps(a); }

  /// As Avx2's.
  static Ints add_short_products(Ints sums, Words x, Words w) {
    return (Ints)((Words)sums + (Words)_mm512_madd_epi16((__m512i)x, (__m512i)w));
  }

  static Floats load_partial(const float* p, std::int64_t count) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
  }
  static unsigned equal_mask(Floats a, Floats b) { return _mm512_cmpeq_ps_mask(a, b); }
  static float highest(Floats a) { return _mm512_reduce_max_ps(a); }
  static Doubles lower_doubles(Floats a) {
    return _mm512_cvtps_pd(_mm512_castps512_ps256((__m512)a));
  }
  static Doubles upper_doubles(Floats a) {
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)a, 1));
  }
  static float sum(const Floats (&part)[1]) {
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256((__m512)part[0]),
                                   _mm512_extractf32x8_ps((__m512)part[0], 1));
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
  }
  static double sum(const Doubles (&part)[2]) {
    const __m512d s = part[0] + part[1];
    const __m256d a = _mm256_add_pd(_mm512_castpd512_pd256(s), _mm512_extractf64x4_pd(s, 1));
    const __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
  }
};

}  // namespace

const SimdKernels avx512_kernels = {add_noise<Avx512>,
                                    add_lattice_noise<Avx512>,
                                    Avx512::tile_rows,
                                    logits<Avx512>,
                                    add_scores<Avx512>,
                                    inference_kernels<Avx512>,
                                    row_kernels<Avx512>,
                                    {.fp32 = sweep<Avx512, RealProducts<Avx512>>,
                                     .int16 = sweep<Avx512, ShortProducts<Avx512>>,
                                     .widen = widen<Avx512>},
                                    dense_kernels<Avx512>,
                                    winograd_kernels<Avx512>};

}  // namespace pixeldp::kernels::cpu
