#pragma once

// What the matrix products share. Products are exact, sums are double, rounded once at the end.
#include <algorithm>

#include "machine/machine.hpp"
#include "text/decoder.hpp"

namespace ptxrun {
// The element in the low bits of v.
inline double matrix_element(Type t, u32 v) {
  switch (t) {
    case BF16:
      return bf16_to_float((u16)v);
    case F16:
      return half_to_float((u16)v);
    case TF32:
      return bits<float>(v & 0xffffe000u);
    case S8:
      return (s8)v;
    case U8:
      return (u8)v;
    case E4M3:
    case E5M2:
      return fp8_to_double((u8)v, t == E5M2);
    default:
      return 0;
  }
}
inline int matrix_element_bytes(Type t) { return t == TF32 ? 4 : type_size(t); }

// Elements of sums, in 32 bits: f32 or s32, which may saturate.
inline double sum_element(Type t, u32 v) { return t == S32 ? (double)(s32)v : bits<float>(v); }
inline u32 sum_result(Type t, double sum, bool saturate) {
  if (t != S32) return (u32)raw((float)sum);
  s64 whole = (s64)sum;
  return (u32)(saturate ? std::clamp<s64>(whole, INT32_MIN, INT32_MAX) : whole);
}

// Operations of the product, of which a warp does one part of `parts`.
inline void count_product(Decoder& d, u32 parts = 1) {
  d.in.operations = 2u * d.in.m * d.in.n * d.in.k / parts;
}
// The registers of D, A, B and C in one list: nv, na, nb and nc.
inline void take_fragments(Decoder& d, Type registers) {
  d.need(4);
  u32 first, na, nb, nc;
  d.list(d.operands[0], registers, d.in.v0, d.in.nv);
  d.list(d.operands[1], registers, first, na);
  d.list(d.operands[2], registers, first, nb);
  d.list(d.operands[3], registers, first, nc);
  d.in.na = (u8)na;
  d.in.nb = (u8)nb;
  d.in.nc = (u8)nc;
}
struct Fragments {
  const Operand *d, *a, *b, *c;
  Fragments(Warp& w, const Instr& in)
      : d(w.list(in.v0)), a(d + in.nv), b(a + in.na), c(b + in.nb) {}
};
}  // namespace ptxrun
