#pragma once

#include "kernels/formulas/elementary.hpp"

/// What the kernels of draw_statistics.hpp on processors and GPUs share, besides
/// exp_nonpositive. V is as in elementary.hpp, with Doubles and Wides (64-bit unsigned) besides.
namespace pixeldp::kernels {

/// Every sum over features or classes has 16 lanes (index modulo 16), each added to in rising
/// order, and a fixed tree at the end: lanes i and i + 8, then i + 4, i + 2, i + 1.
inline constexpr int statistics_lanes = 16;

/// score * 2^32 rounded to the nearest integer, ties to even, for scores in [0, 1].
template <class V>
[[gnu::always_inline]] constexpr typename V::Wides fixed_point(typename V::Doubles score) {
  constexpr double to_integer = 0x1p52;  // adding it leaves the rounded integer in the low bits
  constexpr std::uint64_t to_integer_bits = 0x4330000000000000;
  return same_bits<typename V::Wides>(score * 0x1p32 + to_integer) - to_integer_bits;
}

}  // namespace pixeldp::kernels
