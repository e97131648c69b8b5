#include <immintrin.h>

#include "kernels/cpu/simd_product.hpp"
#include "kernels/cpu/simd_winograd.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// AVX2 and FMA, with AVX-VNNI for products of integers.
struct AvxVnni {
  static constexpr int lanes = 8;
  static constexpr int product_rows = 4, even_product_rows = 4, product_groups = 1;
  static constexpr int panel_rows = 6, panel_few_rows = 4, panel_groups = 1;
  static constexpr int panel_words = 320, short_lanes = 16, short_words = 1;
  using Floats = float __attribute__((vector_size(32)));
  using Words = std::uint32_t __attribute__((vector_size(32)));
  using Ints = std::int32_t __attribute__((vector_size(32)));
  using Halves = std::uint16_t __attribute__((vector_size(16)));
  using Bytes = std::uint8_t __attribute__((vector_size(8)));
  using Shorts = std::int16_t __attribute__((vector_size(32)));
  using ShortBytes = std::uint8_t __attribute__((vector_size(16)));

  static Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
  static Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }

  /// Pairs of 16 bits with a sign; sums are taken modulo 2^32.
  static Ints add_short_products(Ints sums, Words x, Words w) {
    return (Ints)_mm256_dpwssd_avx_epi32((__m256i)sums, (__m256i)x, (__m256i)w);
  }
  static Ints add_byte_products(Ints sums, Words x, Words w) {
    return (Ints)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)x, (__m256i)w);
  }
};

}  // namespace

const ProductKernels avx_vnni_products = {.int8 = sweep<AvxVnni, ByteProducts<AvxVnni>>};
const WinogradKernels avx_vnni_winograd = winograd_byte_kernels<AvxVnni>;

}  // namespace pixeldp::kernels::cpu
