// Integer arithmetic.
#include <algorithm>
#include <type_traits>

#include "instructions/elementwise.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
u64 saturated(s64 v) { return (u32)std::clamp<s64>(v, INT32_MIN, INT32_MAX); }

// ---- with carry. x: takes the carry in, y: sets it.
using CarrySum = u128 (*)(const Instr&, u64 a, u64 b, u64 c, u64 carry);
template <CarrySum sum>
void run_carry(Warp& w, const Instr& in, u32 mask) {
  const u64 low = low_bits(in.t);
  FOR_LANES(mask, {
    u128 s = sum(in, w.get(in.a, i) & low, w.get(in.b, i) & low, w.get_or_zero(in.c, i) & low,
                 in.x ? (w.carry >> i) & 1 : 0);
    w.set(in.d, i, (u64)s & low);
    if (in.y) w.carry = (w.carry & ~(1u << i)) | ((u32)(s >> 8 * type_size(in.t)) & 1) << i;
  });
}
u128 add_with_carry(const Instr&, u64 a, u64 b, u64, u64 carry) { return (u128)a + b + carry; }
u128 subtract_with_borrow(const Instr&, u64 a, u64 b, u64, u64 borrow) {
  return (u128)a - b - borrow;
}
u128 multiply_add_with_carry(const Instr& in, u64 a, u64 b, u64 c, u64 carry) {
  u64 product = a * b;
  if (in.op2 && is_signed(in.t))  // the high half
    product =
        (u64)((s128)(s64)sign_extend(a, in.t) * (s64)sign_extend(b, in.t) >> 8 * type_size(in.t));
  else if (in.op2)
    product = (u64)((u128)a * b >> 8 * type_size(in.t));
  return (u128)(product & low_bits(in.t)) + c + carry;
}

// ---- sums
template <CarrySum sum>
void decode_carry(Decoder& d) {
  d.refuse_if(d.has("wide"));
  d.in.x = d.words[0].back() == 'c';  // addc, subc, madc
  d.in.y = d.has("cc");
  d.in.op2 = d.has("hi");
  if (sum == multiply_add_with_carry)
    take_ternary(d);
  else
    take_binary(d);
  d.in.run = run_carry<sum>;
}
u64 add_saturated(const Instr&, u64 a, u64 b, u64, u64) { return saturated((s64)(s32)a + (s32)b); }
u64 subtract_saturated(const Instr&, u64 a, u64 b, u64, u64) {
  return saturated((s64)(s32)a - (s32)b);
}
template <class O, Scalar saturating, CarrySum carrying>
void decode_sum(Decoder& d) {
  if (d.has("cc")) return decode_carry<carrying>(d);
  if (d.in.sat && d.type == S32) return decode_bits2<saturating>(d);
  decode_binary<O>(d);
}

// ---- products: the low half, the high half, or both ("wide")
template <class T>
using Wide = std::conditional_t<
    sizeof(T) == 8, std::conditional_t<std::is_signed_v<T>, s128, u128>,
    std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, s64, u64>,
                       std::conditional_t<std::is_signed_v<T>, s32, u32>>>;
struct MultiplyAdd {
  template <class T>
  static T f(T a, T b, T c) {
    return a * b + c;
  }
};
struct MultiplyHigh {
  template <class T>
  static T f(T a, T b) {
    return (T)(((Wide<T>)a * (Wide<T>)b) >> (8 * sizeof(T)));
  }
};
struct MultiplyAddHigh {
  template <class T>
  static T f(T a, T b, T c) {
    return MultiplyHigh::f(a, b) + c;
  }
};
struct MultiplyWide {
  template <class T>
  static Wide<T> f(T a, T b) {
    return (Wide<T>)a * (Wide<T>)b;
  }
};
struct MultiplyAddWide {
  template <class T>
  static Wide<T> f(T a, T b, Wide<T> c) {
    return (Wide<T>)a * (Wide<T>)b + c;
  }
};
u64 multiply_add_saturated(const Instr&, u64 a, u64 b, u64 c, u64) {
  return saturated(((s64)(s32)a * (s32)b >> 32) + (s32)c);
}

void decode_wide(Decoder& d, bool add) {
  Type t = d.type, wide = t == U16 ? U32 : t == S16 ? S32 : t == U32 ? U64 : S64;
  d.refuse_if(type_size(t) * 2 != type_size(wide) || is_signed(t) != is_signed(wide));
  if (add)
    d.take({wide, t, t, wide});
  else
    d.take({wide, t, t});
  d.in.run = by_integer(t, [&](auto x) -> Handler {
    using T = decltype(x);
    if constexpr (sizeof(T) == 8)
      return nullptr;
    else
      return add ? (Handler)map3<MultiplyAddWide, Wide<T>, T>
                 : (Handler)map2<MultiplyWide, Wide<T>, T>;
  });
}
void decode_mul(Decoder& d) {
  if (d.has("wide")) return decode_wide(d, false);
  if (d.has("hi")) return decode_binary<MultiplyHigh>(d);
  decode_binary<Multiply>(d);
}
void decode_mad(Decoder& d) {
  bool high = d.has("hi");
  if (d.has("cc")) return decode_carry<multiply_add_with_carry>(d);
  if (d.in.sat && high) return decode_bits3<multiply_add_saturated>(d);
  if (d.has("wide")) return decode_wide(d, true);
  take_ternary(d);
  d.in.run = high ? ternary<MultiplyAddHigh>(d.type) : ternary<MultiplyAdd>(d.type);
}

// Of the low 24 bits.
u64 multiply24(const Instr& in, u64 a, u64 b, u64, u64) {
  auto factor = [&](u64 v) {
    return is_signed(in.t) ? (s64)((s32)(v << 8) >> 8) : (s64)(v & 0xffffff);
  };
  s64 product = factor(a) * factor(b);
  return in.op2 ? (u64)(product >> 16) : (u64)product;
}
u64 multiply_add24(const Instr& in, u64 a, u64 b, u64 c, u64 e) {
  return multiply24(in, a, b, c, e) + c;
}
void decode_mul24(Decoder& d) {
  d.in.op2 = d.has("hi");
  decode_bits2<multiply24>(d);
}
void decode_mad24(Decoder& d) {
  d.in.op2 = d.has("hi");
  decode_bits3<multiply_add24>(d);
}

// Sums of products of bytes with bytes (dp4a), or of 16 bits with the low or high bytes (dp2a).
template <class A>
u64 dot_product(const Instr& in, u64 a, u64 b, u64 c, u64) {
  constexpr int terms = 4 / sizeof(A), bits_a = 8 * sizeof(A);
  s64 sum = (s32)c;
  if (in.x) b >>= 8 * terms;
  for (int k = 0; k < terms; k++) {
    s64 left =
        in.t == S32 ? (s64)(std::make_signed_t<A>)(a >> (bits_a * k)) : (s64)(A)(a >> (bits_a * k));
    s64 right = in.t2 == S32 ? (s64)(s8)(b >> (8 * k)) : (s64)(u8)(b >> (8 * k));
    sum += left * right;
  }
  return (u32)sum;
}
template <class A>
void decode_dot_product(Decoder& d) {
  d.refuse_if(d.types.size() < 2);
  take_ternary(d);
  d.in.t = d.types[0];
  d.in.t2 = d.types[1];
  d.in.x = sizeof(A) == 2 && d.has("hi");
  d.in.run = map_bits<dot_product<A>>;
}

// ---- the rest
struct Divide {
  template <class T>
  static T f(T a, T b) {
    if (b == 0) return (T)-1;
    if (std::is_signed_v<T> && b == (T)-1) return (T)(0 - (std::make_unsigned_t<T>)a);
    return a / b;
  }
};
struct Remainder {
  template <class T>
  static T f(T a, T b) {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == (T)-1) return 0;
    return a % b;
  }
};
struct Absolute {
  template <class T>
  static T f(T a) {
    return a < 0 ? (T)(0 - a) : a;
  }
};
struct Minimum {
  template <class T>
  static T f(T a, T b) {
    return a < b ? a : b;
  }
};
struct Maximum {
  template <class T>
  static T f(T a, T b) {
    return a > b ? a : b;
  }
};
u64 sum_of_differences(const Instr& in, u64 a, u64 b, u64 c, u64) {
  if (is_signed(in.t)) {
    s64 x = (s64)sign_extend(a, in.t), y = (s64)sign_extend(b, in.t);
    return c + (u64)(x > y ? x - y : y - x);
  }
  return c + (a > b ? a - b : b - a);
}

const Opcodes opcodes{
    {"add", decode_sum<Add, add_saturated, add_with_carry>, CL_INT},
    {"sub", decode_sum<Subtract, subtract_saturated, subtract_with_borrow>, CL_INT},
    {"addc", decode_carry<add_with_carry>, CL_INT},
    {"subc", decode_carry<subtract_with_borrow>, CL_INT},
    {"mul", decode_mul, CL_INT},
    {"mad", decode_mad, CL_INT},
    {"madc", decode_carry<multiply_add_with_carry>, CL_INT},
    {"mul24", decode_mul24, CL_INT},
    {"mad24", decode_mad24, CL_INT},
    {"dp4a", decode_dot_product<u8>, CL_INT},
    {"dp2a", decode_dot_product<u16>, CL_INT},
    {"div", decode_binary<Divide>, CL_INT},
    {"rem", decode_binary<Remainder>, CL_INT},
    {"neg", decode_unary<Negate>, CL_INT},
    {"abs", decode_unary<Absolute>, CL_INT},
    {"min", decode_binary<Minimum>, CL_INT},
    {"max", decode_binary<Maximum>, CL_INT},
    {"sad", decode_bits3<sum_of_differences>, CL_INT}};
}  // namespace
}  // namespace ptxrun
