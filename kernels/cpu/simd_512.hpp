#pragma once

#include <cstdint>

#include <immintrin.h>

// The intrinsics of GCC 12 read an undefined vector on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace pixeldp::kernels::cpu {
namespace {  // every file has its own: simd_kernels.hpp says why

/// What the instruction sets have in common whose vectors are of 512 bits.
struct Vectors512 {
  static constexpr int lanes = 16;
  static constexpr int product_rows = 8, even_product_rows = 16, product_groups = 3;
  static constexpr int panel_rows = 8, panel_few_rows = 4, panel_groups = 2;
  static constexpr int panel_words = 160;

  using Floats = float __attribute__((vector_size(64)));
  using Words = std::uint32_t __attribute__((vector_size(64)));
  using Ints = std::int32_t __attribute__((vector_size(64)));
  using Halves = std::uint16_t __attribute__((vector_size(32)));
  using Bytes = std::uint8_t __attribute__((vector_size(16)));

  static Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
};

}  // namespace
}  // namespace pixeldp::kernels::cpu
