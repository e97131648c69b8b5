// Logic, shifts, and fields of bits.
#include <algorithm>
#include <cstdlib>

#include "instructions/elementwise.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
// ---- logic, also of predicates, which are masks of all lanes
struct And {
  template <class T>
  static T f(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <class T>
  static T f(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <class T>
  static T f(T a, T b) {
    return a ^ b;
  }
};
struct Not {
  template <class T>
  static T f(T a) {
    return (T)~a;
  }
};
struct IsZero {
  template <class T>
  static T f(T a) {
    return a == 0;
  }
};
template <class O>
void run_predicates(Warp& w, const Instr& in, u32 mask) {
  w.set_mask(in.d, mask, O::f(w.mask(in.a), w.mask(in.b)));
}
void run_not(Warp& w, const Instr& in, u32 mask) { w.set_mask(in.d, mask, ~w.mask(in.a)); }
template <class O>
void decode_logic(Decoder& d) {
  take_binary(d);
  d.in.run = d.type == PRED ? run_predicates<O> : binary<O>(d.type);
}
void decode_not(Decoder& d) {
  take_unary(d);
  d.in.run = d.type == PRED ? run_not : unary<Not>(d.type);
}
// imm is a table: bit k holds the result for the bits a, b and c of k, a the highest.
void run_lop3(Warp& w, const Instr& in, u32 mask) {
  u32 table[8];
  for (int k = 0; k < 8; k++) table[k] = in.imm >> k & 1 ? ~0u : 0;
  u32* d = w.lanes<u32>(in.d);
  const u32 *a = w.lanes<u32>(in.a), *b = w.lanes<u32>(in.b), *c = w.lanes<u32>(in.c);
  FOR_LANES(mask, {
    u32 result = 0;
    for (int k = 0; k < 8; k++)
      result |= table[k] & (k & 4 ? a[i] : ~a[i]) & (k & 2 ? b[i] : ~b[i]) & (k & 1 ? c[i] : ~c[i]);
    d[i] = result;
  });
}
void decode_lop3(Decoder& d) {
  d.need(5);
  d.refuse_if(d.type != B32 || d.operands[0].find('|') != string::npos);
  d.in.imm = d.symbols.expression(d.operands[4]);
  take_ternary(d);
  d.in.run = run_lop3;
}

// ---- shifts, by as many bits as there are at most
struct ShiftLeft {
  template <class T>
  static T f(T a, u32 n) {
    return n >= 8 * sizeof(T) ? 0 : (T)(a << n);
  }
};
struct ShiftRight {
  template <class T>
  static T f(T a, u32 n) {
    constexpr u32 most = 8 * sizeof(T) - 1;
    return (T)(a >> (n > most ? most : n)) >> (n > most ? 1 : 0);
  }
};
void decode_shl(Decoder& d) {
  d.take({d.type, d.type, U32});
  d.in.run = by_size(type_size(d.type), [](auto t) -> Handler {
    return map2<ShiftLeft, decltype(t), decltype(t), u32>;
  });
}
void decode_shr(Decoder& d) {
  d.take({d.type, d.type, U32});
  d.in.run = by_integer(
      d.type, [](auto t) -> Handler { return map2<ShiftRight, decltype(t), decltype(t), u32>; });
}
// Of the 64 bits b:a; x: the count wraps instead of ending at 32.
u64 funnel_shift(const Instr& in, u64 a, u64 b, u64 c, u64) {
  u32 n = in.x ? (u32)c & 31 : std::min<u32>((u32)c, 32);
  u64 both = b << 32 | (u32)a;
  return in.op2 ? (u32)(both << n >> 32) : (u32)(both >> n);  // op2: to the left
}
void decode_shf(Decoder& d) {
  d.in.x = d.has("wrap");
  d.in.op2 = d.has("l");
  decode_bits3<funnel_shift>(d);
}

// ---- fields
u64 extract_field(const Instr& in, u64 a, u64 b, u64 c, u64) {
  const u32 width = 8 * type_size(in.t), from = b & 0xff, length = c & 0xff;
  u64 sign = is_signed(in.t) && length ? a >> std::min(from + length - 1, width - 1) & 1 : 0;
  u64 result = 0;
  for (u32 k = 0; k < width; k++)
    result |= (k < length && from + k < width ? a >> (from + k) & 1 : sign) << k;
  return result;
}
void decode_bfe(Decoder& d) {
  d.take({d.type, d.type, U32, U32});
  d.in.run = map_bits<extract_field>;
}
u64 insert_field(const Instr& in, u64 a, u64 b, u64 c, u64 e) {
  const u32 width = 8 * type_size(in.t), from = c & 0xff, length = e & 0xff;
  for (u32 k = 0; k < length && from + k < width; k++)
    b = (b & ~(1ull << (from + k))) | (a >> k & 1) << (from + k);
  return b;
}
void decode_bfi(Decoder& d) {
  d.take({d.type, d.type, d.type, U32, U32});
  d.in.run = map_bits<insert_field>;
}
// The highest bit that is not the sign; x: how far to shift it to the top.
u64 find_field(const Instr& in, u64 a, u64, u64, u64) {
  const int width = 8 * type_size(in.t);
  if (is_signed(in.t) && a >> (width - 1) & 1) a = ~a & low_bits(in.t);
  if (!a) return 0xffffffff;
  int position = 63 - __builtin_clzll(a);
  return in.x ? width - 1 - position : position;
}
void decode_bfind(Decoder& d) {
  d.in.x = d.has("shiftamt");
  d.take({U32, d.type});
  d.in.run = map_bits<find_field>;
}
// Ones of this length from this bit on.
u64 mask_field(const Instr& in, u64 a, u64 b, u64, u64) {
  u32 from = in.x ? a & 31 : (u32)a, length = in.x ? b & 31 : (u32)b;
  if (from >= 32) return 0;
  return (u32)((length >= 32 ? ~0ull : (1ull << length) - 1) << from);
}
u64 extend_field(const Instr& in, u64 a, u64 b, u64, u64) {
  u32 length = in.x ? b & 31 : (u32)b, value = (u32)a;
  if (length >= 32) return value;
  if (!length) return 0;
  u32 shift = 32 - length;
  return is_signed(in.t) ? (u32)((s32)(value << shift) >> shift) : value << shift >> shift;
}
template <Scalar f>
void decode_wrapping(Decoder& d) {
  d.in.x = d.has("wrap");
  decode_bits2<f>(d);
}

// ---- bits of a word
struct CountOnes {
  static u32 f(u32 a) { return __builtin_popcount(a); }
  static u32 f(u64 a) { return __builtin_popcountll(a); }
};
struct CountLeadingZeros {
  static u32 f(u32 a) { return a ? __builtin_clz(a) : 32; }
  static u32 f(u64 a) { return a ? __builtin_clzll(a) : 64; }
};
template <class O>
void decode_count(Decoder& d) {
  d.take({U32, d.type});
  d.in.run = type_size(d.type) == 8 ? map1<O, u32, u64> : map1<O, u32, u32>;
}
struct Reverse {
  static u32 f(u32 a) {
    a = __builtin_bswap32(a);
    a = ((a >> 4) & 0x0f0f0f0f) | ((a & 0x0f0f0f0f) << 4);
    a = ((a >> 2) & 0x33333333) | ((a & 0x33333333) << 2);
    return ((a >> 1) & 0x55555555) | ((a & 0x55555555) << 1);
  }
  static u64 f(u64 a) { return (u64)f((u32)a) << 32 | f((u32)(a >> 32)); }
};
void decode_brev(Decoder& d) {
  take_unary(d);
  d.in.run = type_size(d.type) == 8 ? map1<Reverse, u64> : map1<Reverse, u32>;
}
// The place of the c-th one of a from bit b on, downwards where c is negative.
u64 find_nth(const Instr&, u64 a, u64 b, u64 c, u64) {
  int at = b & 31, nth = (s32)c;
  if (!nth) return a >> at & 1 ? at : 0xffffffff;
  int step = nth > 0 ? 1 : -1;
  for (int left = std::abs(nth); at >= 0 && at < 32; at += step)
    if ((u32)a >> at & 1 && --left == 0) return at;
  return 0xffffffff;
}

// ---- bytes
enum PermuteMode : u8 { BY_SELECTOR, F4E, B4E, RC8, ECL, ECR, RC16 };
u64 permute_bytes(const Instr& in, u64 a, u64 b, u64 c, u64) {
  u64 bytes = (u32)a | b << 32;
  u32 result = 0;
  for (u32 k = 0; k < 4; k++) {
    u32 q = c & 3, from = 0;
    switch (in.op2) {
      case BY_SELECTOR:
        from = c >> (4 * k) & 15;  // bit 3: the byte's sign, eight times
        break;
      case F4E:
        from = (q + k) & 7;
        break;
      case B4E:
        from = (8 + q - k) & 7;
        break;
      case RC8:
        from = q;
        break;
      case ECL:
        from = std::max(k, q);
        break;
      case ECR:
        from = std::min(k, q);
        break;
      case RC16:
        from = (q & 1) * 2 + (k & 1);
        break;
    }
    u8 byte = (u8)(bytes >> (8 * (from & 7)));
    if (from & 8) byte = byte & 0x80 ? 0xff : 0;
    result |= (u32)byte << (8 * k);
  }
  return result;
}
void decode_prmt(Decoder& d) {
  static const char* const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
  d.in.op2 = (u8)(d.which(modes) + 1);
  decode_bits3<permute_bytes>(d);
}

const Opcodes opcodes{{"and", decode_logic<And>, CL_INT},
                      {"or", decode_logic<Or>, CL_INT},
                      {"xor", decode_logic<Xor>, CL_INT},
                      {"not", decode_not, CL_INT},
                      {"cnot", decode_unary<IsZero>, CL_INT},
                      {"lop3", decode_lop3, CL_INT},
                      {"shl", decode_shl, CL_INT},
                      {"shr", decode_shr, CL_INT},
                      {"shf", decode_shf, CL_INT},
                      {"bfe", decode_bfe, CL_INT},
                      {"bfi", decode_bfi, CL_INT},
                      {"bfind", decode_bfind, CL_INT},
                      {"bmsk", decode_wrapping<mask_field>, CL_INT},
                      {"szext", decode_wrapping<extend_field>, CL_INT},
                      {"popc", decode_count<CountOnes>, CL_INT},
                      {"clz", decode_count<CountLeadingZeros>, CL_INT},
                      {"brev", decode_brev, CL_INT},
                      {"fns", decode_bits3<find_nth>, CL_INT},
                      {"prmt", decode_prmt, CL_MOVE}};
}  // namespace
}  // namespace ptxrun
