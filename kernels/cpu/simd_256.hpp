#pragma once

#include <cstdint>

#include <immintrin.h>

namespace pixeldp::kernels::cpu {
namespace {  // every file has its own: simd_kernels.hpp says why

/// What the instruction sets have in common whose vectors are of 256 bits.
struct Vectors256 {
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
};

}  // namespace
}  // namespace pixeldp::kernels::cpu
