// Comparisons and selections.
#include <type_traits>

#include "instructions/elementwise.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
// ---- comparisons
enum Comparison : u8 { EQ, NE, LT, LE, GT, GE, EQU, NEU, LTU, LEU, GTU, GEU, NUM, IS_NAN };
template <class T>
bool compare(u8 comparison, T a, T b) {
  bool unordered = (a != a) || (b != b);
  switch (comparison) {
    case EQ:
      return a == b;
    case NE:
      return !unordered && a != b;
    case LT:
      return a < b;
    case LE:
      return a <= b;
    case GT:
      return a > b;
    case GE:
      return a >= b;
    case EQU:
      return unordered || a == b;
    case NEU:
      return unordered || a != b;
    case LTU:
      return unordered || a < b;
    case LEU:
      return unordered || a <= b;
    case GTU:
      return unordered || a > b;
    case GEU:
      return unordered || a >= b;
    case NUM:
      return !unordered;
    case IS_NAN:
      return unordered;
  }
  return false;
}
void decode_comparison(Decoder& d) {
  static const char* const names[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                      "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
  static const char* const of_unsigned[] = {"lo", "ls", "hi", "hs"};
  int found = d.which(names);
  if (found < 0) {
    found = d.which(of_unsigned);
    d.refuse_if(found < 0);
    found += LT;
  }
  d.in.op = (u8)found;
}

// ---- setp: d = comparison and p = its opposite, joined with predicate c by op2; neg: with not c
enum Join : u8 { ALONE, AND, OR, XOR };
u32 joined(u8 join, u32 a, u32 b) {
  return join == AND ? a & b : join == OR ? a | b : join == XOR ? a ^ b : a;
}
template <int comparison, class T>
u32 compare_all(const T* a, const T* b) {
  u32 result = 0;
  for (int i = 0; i < 32; i++) result |= (u32)compare<T>(comparison, a[i], b[i]) << i;
  return result;
}
template <class T>
u32 compare_all(u8 comparison, const T* a, const T* b) {
  switch (comparison) {
#define CASE(c) \
  case c:       \
    return compare_all<c>(a, b)
    CASE(EQ);
    CASE(NE);
    CASE(LT);
    CASE(LE);
    CASE(GT);
    CASE(GE);
    CASE(EQU);
    CASE(NEU);
    CASE(LTU);
    CASE(LEU);
    CASE(GTU);
    CASE(GEU);
    CASE(NUM);
    CASE(IS_NAN);
#undef CASE
  }
  return 0;
}
template <class T>
void run_setp(Warp& w, const Instr& in, u32 mask) {
  const T *a = w.lanes<T>(in.a), *b = w.lanes<T>(in.b);
  T flushed_a[32], flushed_b[32];
  if (std::is_same_v<T, float> && in.ftz) {
    for (int i = 0; i < 32; i++) {
      flushed_a[i] = (T)ftz((float)a[i]);
      flushed_b[i] = (T)ftz((float)b[i]);
    }
    a = flushed_a;
    b = flushed_b;
  }
  u32 result = compare_all(in.op, a, b), opposite = ~result;
  if (in.op2 != ALONE) {
    u32 c = in.neg ? ~w.mask(in.c) : w.mask(in.c);
    result = joined(in.op2, result, c);
    opposite = joined(in.op2, opposite, c);
  }
  if (in.d.present()) w.set_mask(in.d, mask, result);
  if (in.p.present()) w.set_mask(in.p, mask, opposite);
}
// f16 and bf16; of pairs, d and p are the results of the low and the high values.
void run_setp_half(Warp& w, const Instr& in, u32 mask) {
  FOR_LANES(mask, {
    u64 a = w.get(in.a, i), b = w.get(in.b, i);
    auto result = [&](int shift) {
      return compare(in.op, half_value(in.t, a >> shift), half_value(in.t, b >> shift));
    };
    u32 c = in.op2 == ALONE ? 0 : (w.get(in.c, i) != 0) != in.neg;
    bool low = result(0), second = is_pair(in.t) ? result(16) : !low;
    w.set(in.d, i, joined(in.op2, low, c));
    w.set(in.p, i, joined(in.op2, second, c));
  });
}
void decode_setp(Decoder& d) {
  d.need(3);
  decode_comparison(d);
  d.destinations(d.operands[0], PRED);
  d.in.a = d.value(d.operands[1], d.type);
  d.in.b = d.value(d.operands[2], d.type);
  if (d.operands.size() > 3) {
    d.in.op2 = d.has("and") ? AND : d.has("or") ? OR : XOR;
    d.in.c = d.predicate(d.operands[3], d.in.neg);
  }
  d.in.run = is_half(d.type) ? run_setp_half
             : d.type == F32 ? run_setp<float>
             : d.type == F64
                 ? run_setp<double>
                 : by_integer(d.type, [](auto t) -> Handler { return run_setp<decltype(t)>; });
}

// ---- set: ones or 1.0, in type t, where values of type t2 compare
bool compare_bits(const Instr& in, u64 a, u64 b) {
  if (in.t2 == F32) return compare(in.op, bits<float>(a), bits<float>(b));
  if (in.t2 == F64) return compare(in.op, bits<double>(a), bits<double>(b));
  if (is_signed(in.t2))
    return compare(in.op, (s64)sign_extend(a, in.t2), (s64)sign_extend(b, in.t2));
  return compare(in.op, a, b);
}
u64 truth(Type t) {
  return t == F32                   ? 0x3f800000
         : t == F16 || t == F16X2   ? 0x3c00
         : t == BF16 || t == BF16X2 ? 0x3f80
                                    : ~0u;
}
u64 set_bits(const Instr& in, u64 a, u64 b, u64, u64) {
  if (!is_half(in.t2)) return compare_bits(in, a, b) ? truth(in.t) : 0;
  auto at = [&](int shift) {
    return compare(in.op, half_value(in.t2, a >> shift), half_value(in.t2, b >> shift));
  };
  if (!is_pair(in.t2)) return at(0) ? truth(in.t) : 0;
  return each_half(in.t2, [&](int shift) { return at(shift) ? truth(in.t) : 0; });
}
void decode_set(Decoder& d) {
  decode_comparison(d);
  d.refuse_if(d.operands.size() > 3 || d.types.size() < 2);
  d.in.t = d.types[0];
  d.in.t2 = d.types[1];
  d.take({d.in.t, d.in.t2, d.in.t2});
  d.in.run = map_bits<set_bits>;
}

// ---- testp: a property of one value
enum Property : u8 { FINITE, INFINITE, NUMBER, NOT_A_NUMBER, NORMAL, SUBNORMAL };
template <class T>
bool holds(u8 property, T v) {
  switch (property) {
    case FINITE:
      return std::isfinite(v);
    case INFINITE:
      return std::isinf(v);
    case NUMBER:
      return !std::isnan(v);
    case NOT_A_NUMBER:
      return std::isnan(v);
    case NORMAL:
      return std::isnormal(v);
    case SUBNORMAL:
      return std::fpclassify(v) == FP_SUBNORMAL;
  }
  return false;
}
u64 test_property(const Instr& in, u64 a, u64, u64, u64) {
  return in.t == F32 ? holds(in.op, bits<float>(a)) : holds(in.op, bits<double>(a));
}
void decode_testp(Decoder& d) {
  static const char* const names[] = {"finite",     "infinite", "number",
                                      "notanumber", "normal",   "subnormal"};
  int property = d.which(names);
  d.refuse_if(property < 0 || (d.type != F32 && d.type != F64));
  d.in.op = (u8)property;
  d.take({PRED, d.type});
  d.in.run = map_bits<test_property>;
}

// ---- selections
template <class T>
void run_selp(Warp& w, const Instr& in, u32 mask) {
  T* d = w.lanes<T>(in.d);
  const T *a = w.lanes<T>(in.a), *b = w.lanes<T>(in.b);
  const u32 chosen = w.mask(in.c);
  FOR_LANES(mask, d[i] = (chosen >> i) & 1 ? a[i] : b[i]);
}
void run_selp_predicates(Warp& w, const Instr& in, u32 mask) {
  u32 chosen = w.mask(in.c);
  w.set_mask(in.d, mask, (w.mask(in.a) & chosen) | (w.mask(in.b) & ~chosen));
}
void decode_selp(Decoder& d) {
  d.need(4);
  take_binary(d);
  bool negated;
  d.in.c = d.predicate(d.operands[3], negated);
  if (negated) std::swap(d.in.a, d.in.b);
  d.in.run = d.type == PRED ? run_selp_predicates
                            : by_size(type_size(d.type),
                                      [](auto t) -> Handler { return run_selp<decltype(t)>; });
}
u64 select_by_sign(const Instr& in, u64 a, u64 b, u64 c, u64) {
  return (in.t2 == S32 ? (s32)c >= 0 : bits<float>(c) >= 0) ? a : b;
}
void decode_slct(Decoder& d) {
  d.refuse_if(d.types.size() < 2);
  d.in.t = d.types[0];
  d.in.t2 = d.types[1];
  d.take({d.in.t, d.in.t, d.in.t, d.in.t2});
  d.in.run = map_bits<select_by_sign>;
}

const Opcodes opcodes{{"setp", decode_setp, CL_PRED},
                      {"set", decode_set, CL_PRED},
                      {"testp", decode_testp, CL_PRED},
                      {"selp", decode_selp, CL_PRED},
                      {"slct", decode_slct, CL_PRED}};
}  // namespace
}  // namespace ptxrun
