#include "kernels/cpu/simd_512.hpp"
#include "kernels/cpu/simd_product.hpp"
#include "kernels/cpu/simd_winograd.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// AVX-512 F, BW, DQ and VL; and VNNI or BF16, each for its products.
struct Avx512Dot : Vectors512 {
  static constexpr int short_lanes = 32, short_words = 4;
  using Shorts = std::int16_t __attribute__((vector_size(64)));
  using ShortBytes = std::uint8_t __attribute__((vector_size(32)));
  /// What is left of channels, half a vector.
  struct Narrow {
    static constexpr int short_lanes = 16;
    using Shorts = std::int16_t __attribute__((vector_size(32)));
    using ShortBytes = std::uint8_t __attribute__((vector_size(16)));
  };

  static Floats add_half_products(Floats sums, Words x, Words w) {
    return _mm512_dpbf16_ps(sums, (__m512bh)x, (__m512bh)w);
  }
  /// Pairs of 16 bits with a sign; sums are taken modulo 2^32.
  static Ints add_short_products(Ints sums, Words x, Words w) {
    return (Ints)_mm512_dpwssd_epi32((__m512i)sums, (__m512i)x, (__m512i)w);
  }
  static Ints add_byte_products(Ints sums, Words x, Words w) {
    return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)x, (__m512i)w);
  }
};

}  // namespace

const ProductKernels avx512_dot_products = {.bf16 = sweep<Avx512Dot, HalfProducts<Avx512Dot>>,
                                            .int8 = sweep<Avx512Dot, ByteProducts<Avx512Dot>>};
const WinogradKernels avx512_dot_winograd = winograd_byte_kernels<Avx512Dot>;

}  // namespace pixeldp::kernels::cpu
