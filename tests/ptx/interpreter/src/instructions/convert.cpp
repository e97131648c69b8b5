// Conversions between types.
#include <algorithm>

#include "instructions/elementwise.hpp"
#include "instructions/float.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
// To an integer in floating point (.rni and so on).
enum IntegerRounding : u8 { TO_NONE, TO_NEAREST, TO_ZERO, DOWN, UP };
double to_integer(u8 rounding, double x) {
  switch (rounding) {
    case TO_NEAREST:
      return std::nearbyint(x);
    case TO_ZERO:
      return std::trunc(x);
    case DOWN:
      return std::floor(x);
    case UP:
      return std::ceil(x);
    default:
      return x;
  }
}

double value_of(const Instr& in, u64 v, Type type) {
  switch (type) {
    case F16:
      return half_to_float((u16)v);
    case BF16:
      return bf16_to_float((u16)v);
    case F32:
      return in.ftz ? ftz(bits<float>(v)) : bits<float>(v);
    case TF32:
      return bits<float>(v);
    case F64:
      return bits<double>(v);
    default:
      return fp8_to_double((u8)v, type == E5M2);
  }
}
u64 to_f32(const Instr& in, double x) {
  volatile double exact = x;
  volatile float rounded;
  {
    RoundingScope scope(in.rounding);
    rounded = (float)exact;
  }
  float result = rounded;
  if (result != result) return 0x7fffffff;
  return raw(in.ftz ? ftz(result) : result);
}
u64 to_tf32(const Instr& in, double x) {
  if (x != x) return 0x7fffffff;
  u32 v = (u32)raw((float)x);
  if ((v & 0x7f800000) == 0x7f800000) return v;
  if (in.rounding == RNA)
    v += 0x1000;
  else if (in.rounding == RN)
    v += 0xfff + ((v >> 13) & 1);
  return v & 0xffffe000;
}
u64 float_to_float(const Instr& in, double x, Type to) {
  if (in.relu && !(x > 0) && x == x) x = 0;
  x = to_integer(in.op, x);
  if (in.sat) x = saturated_to_one(x);
  switch (to) {
    case F16:
      return to_half(x, (Rounding)in.rounding);
    case BF16:
      return to_bf16(x, (Rounding)in.rounding);
    case F32:
      return to_f32(in, x);
    case TF32:
      return to_tf32(in, x);
    case F64:
      return raw(x);
    default:
      return 0;
  }
}
// Saturates; NaN becomes zero, or the least of 64 bits.
u64 float_to_integer(const Instr& in, double x, Type to) {
  x = to_integer(in.op == TO_NONE ? (u8)TO_NEAREST : in.op, x);
  const int width = 8 * type_size(to);
  if (x != x) return width == 64 ? 1ull << 63 : 0;
  const double end = std::ldexp(1.0, is_signed(to) ? width - 1 : width);
  if (is_signed(to)) {
    if (x >= end) return low_bits(to) >> 1;
    if (x < -end) return ~(low_bits(to) >> 1);
    return (u64)(s64)x;
  }
  return x >= end ? low_bits(to) : x < 0 ? 0 : (u64)x;
}
u64 integer_to_float(const Instr& in, u64 v, Type to, bool from_signed) {
  volatile s64 with_sign = (s64)v;
  volatile u64 without = v;
  if (to == F32) {
    RoundingScope scope(in.rounding);
    volatile float result = from_signed ? (float)with_sign : (float)without;
    return raw((float)result);
  }
  volatile double result;
  {
    RoundingScope scope(in.rounding);
    result = from_signed ? (double)with_sign : (double)without;
  }
  if (to == F64) return raw((double)result);
  return to == F16 ? to_half(result, (Rounding)in.rounding)
                   : to_bf16(result, (Rounding)in.rounding);
}
u64 saturated(u64 v, Type to, bool from_signed) {
  const u64 most = is_signed(to) ? low_bits(to) >> 1 : low_bits(to);
  if (!from_signed) return std::min(v, most);
  if ((s64)v < 0) return is_signed(to) ? (u64)std::max((s64)v, ~(s64)most) : 0;
  return std::min(v, most);
}
// v holds a value of type `from`, the result one of type `to`.
u64 convert(const Instr& in, u64 v, Type to, Type from) {
  const bool floating = is_float(to);
  if (is_float(from) || is_fp8(from)) {
    double x = value_of(in, v, from);
    return floating     ? float_to_float(in, x, to)
           : is_fp8(to) ? to_fp8(x, to == E5M2)
                        : float_to_integer(in, x, to);
  }
  v = sign_extend(v, from);
  if (floating) return integer_to_float(in, v, to, is_signed(from));
  return in.sat ? saturated(v, to, is_signed(from)) : v;
}

// ---- one value
void run_cvt(Warp& w, const Instr& in, u32 mask) {
  const Type to = in.t;
  FOR_LANES(mask, {
    u64 result = convert(in, w.get(in.a, i), to, in.t2);
    // A register may have more bits than the type.
    bool wider = type_size(to) < in.d.bytes;
    w.set(in.d, i, wider && !is_float(to) ? sign_extend(result, to) : result & low_bits(to));
  });
}
template <class D>
struct Cast {
  template <class S>
  static D f(S a) {
    return (D)a;
  }
};
struct HalfToFloat {
  static float f(u16 a) { return half_to_float(a); }
};
struct Bf16ToFloatBits {
  static u32 f(u16 a) { return (u32)a << 16; }
};
struct FloatToBf16 {
  static u16 f(float a) { return bf16_round_nearest(a); }
};
struct FloatToHalf {
  static u16 f(float a) { return a != a ? 0x7fff : _cvtss_sh(a, 0); }
};
// The loop for frequent conversions without modifiers; null where there is none.
Handler loop_of(const Instr& in) {
  if (in.sat || in.relu || in.rounding != RN || in.op || in.ftz) return nullptr;
  if (in.t == F32) {
    if (in.t2 == BF16) return map1<Bf16ToFloatBits, u32, u16>;
    if (in.t2 == F16) return map1<HalfToFloat, float, u16>;
    if (in.t2 == S32) return map1<Cast<float>, float, s32>;
    if (in.t2 == U32) return map1<Cast<float>, float, u32>;
  }
  if (in.t2 == F32) {
    if (in.t == BF16) return map1<FloatToBf16, u16, float>;
    if (in.t == F16) return map1<FloatToHalf, u16, float>;
    if (in.t == F64) return map1<Cast<double>, double, float>;
  }
  return nullptr;
}
// Between integers that fill their registers.
Handler integer_loop_of(const Instr& in) {
  if (is_float(in.t) || is_float(in.t2) || in.sat || type_size(in.t) == 1 ||
      in.a.bytes != std::max(2, type_size(in.t2)) || in.d.bytes != type_size(in.t))
    return nullptr;
  return by_integer(in.t2, [&](auto source) -> Handler {
    return by_size(in.d.bytes, [](auto result) -> Handler {
      using D = decltype(result);
      return map1<Cast<D>, D, decltype(source)>;
    });
  });
}

// ---- pairs: a becomes the high one, b the low one
void run_cvt_pair(Warp& w, const Instr& in, u32 mask) {
  const Type to = in.t == F16X2 ? F16 : in.t == BF16X2 ? BF16 : in.t;
  FOR_LANES(mask, {
    u64 high = convert(in, w.get(in.a, i), to, in.t2), low = convert(in, w.get(in.b, i), to, in.t2);
    w.set(in.d, i, high << (8 * type_size(to)) | low);
  });
}
struct FloatsToBf16 {
  static u32 f(float a, float b) {
    return (u32)bf16_round_nearest(a) << 16 | bf16_round_nearest(b);
  }
};
void decode_cvt_pair(Decoder& d) {
  Instr& in = d.in;
  d.take({B32, F32, F32});
  bool plain = in.t == BF16X2 && in.rounding == RN && !in.relu && !in.sat && in.t2 == F32;
  in.run = plain ? map2<FloatsToBf16, u32, float> : run_cvt_pair;
}

// Pairs of fp8, in 16 bits, from and to f16x2 or from two floats.
u64 fp8_pair_to_halves(const Instr& in, u64 a, u64, u64, u64) {
  return each_half(F16X2, [&](int shift) {
    return to_half(fp8_to_double((u8)(a >> shift / 2), in.t2 == E5M2));
  });
}
u64 halves_to_fp8_pair(const Instr& in, u64 a, u64, u64, u64) {
  u64 result = 0;
  for (int half = 0; half < 2; half++) {
    double x = half_to_float((u16)(a >> (16 * half)));
    result |= (u64)to_fp8(in.relu && x < 0 ? 0 : x, in.t == E5M2) << (8 * half);
  }
  return result;
}
void decode_cvt_fp8(Decoder& d) {
  Instr& in = d.in;
  const Type fp8 = d.has("e4m3x2") ? E4M3 : E5M2;
  if (d.words.back() == "e4m3x2" || d.words.back() == "e5m2x2") {
    in.t = F16X2;
    in.t2 = fp8;
    d.take({B32, B16});
    in.run = map_bits<fp8_pair_to_halves>;
    return;
  }
  d.refuse_if(d.type != F32 && d.type != F16X2);
  in.t = fp8;
  in.t2 = d.type;
  in.sat = false;  // to the largest value, always
  if (d.type == F16X2) {
    d.take({B16, B32});
    in.run = map_bits<halves_to_fp8_pair>;
  } else {
    d.take({B16, F32, F32});
    in.run = run_cvt_pair;
  }
}

void decode_cvt(Decoder& d) {
  Instr& in = d.in;
  if (d.has("e4m3x2") || d.has("e5m2x2")) return decode_cvt_fp8(d);
  d.refuse_if(d.types.size() < 2);
  in.t = d.types[0];
  in.t2 = d.types[1];
  static const char* const roundings[] = {"rni", "rzi", "rmi", "rpi"};
  in.op = (u8)(d.which(roundings) + 1);
  if (is_pair(in.t)) return decode_cvt_pair(d);
  d.take({in.t, in.t2});
  Handler loop = loop_of(in);
  if (!loop) loop = integer_loop_of(in);
  in.run = loop ? loop : run_cvt;
}

const Opcodes opcodes{{"cvt", decode_cvt, CL_CVT}};
}  // namespace
}  // namespace ptxrun
