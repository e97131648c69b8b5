#include "kernels/cpu/simd_256.hpp"
#include "kernels/cpu/simd_product.hpp"
#include "kernels/cpu/simd_winograd.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// AVX2 and FMA, with AVX-VNNI for products of integers.
struct AvxVnni : Vectors256 {
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
