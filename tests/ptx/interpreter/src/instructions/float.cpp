// Floating-point arithmetic: f32 and f64 in a loop of their own where they round to nearest, else,
// and f16 and bf16, one value after another.
#include "instructions/float.hpp"

#include "instructions/elementwise.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
// ---- in a loop
struct FusedMultiplyAdd {
  static float f(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static double f(double a, double b, double c) { return __builtin_fma(a, b, c); }
};
struct Divide {
  template <class T>
  static T f(T a, T b) {
    return a / b;
  }
};
struct Absolute {
  template <class T>
  static T f(T a) {
    return std::fabs(a);
  }
};
// Subnormals of sources and result count as zero.
template <class O>
struct Flushed {
  template <class... T>
  static float f(T... a) {
    return ftz((float)O::f(ftz(a)...));
  }
};

// ---- one after another: in.op says what
enum FloatOp : u8 {
  ADD,
  SUB,
  MUL,
  FMA,
  DIV,
  RCP,
  SQRT,
  RSQRT,
  MIN,
  MAX,
  ABS,
  NEG,
  EX2,
  LG2,
  SIN,
  COS,
  TANH,
  COPYSIGN,
  MIN3,
  MAX3
};
// Not inlined, so that nothing moves over the change of rounding.
template <class T>
__attribute__((noinline)) T rounded(int op, T a, T b, T c, u8 rounding) {
  volatile T x = a, y = b, z = c, r = 0;
  RoundingScope scope(rounding);
  switch (op) {
    case ADD:
      r = x + y;
      break;
    case SUB:
      r = x - y;
      break;
    case MUL:
      r = x * y;
      break;
    case FMA:
      r = std::fma((T)x, (T)y, (T)z);
      break;
    case DIV:
      r = x / y;
      break;
    case RCP:
      r = (T)1 / x;
      break;
    case SQRT:
      r = std::sqrt((T)x);
      break;
  }
  return r;
}
// xorsign: of the magnitudes, with the product of the signs.
template <class O, class T>
T extremum(const Instr& in, T a, T b) {
  if (in.nan && (a != a || b != b)) return (T)NAN;
  if (!in.xorsign) return O::f(a, b);
  T result = O::f(std::fabs(a), std::fabs(b));
  return std::signbit(a) != std::signbit(b) ? -result : result;
}
template <class O, class T>
T extremum(const Instr& in, T a, T b, T c) {
  if (in.nan && (a != a || b != b || c != c)) return (T)NAN;
  return O::f(O::f(a, b), c);
}
template <class T>
T apply(const Instr& in, T a, T b, T c) {
  switch (in.op) {
    case RSQRT:
      return (T)(1.0 / std::sqrt((double)a));
    case MIN:
      return extremum<FloatMinimum>(in, a, b);
    case MAX:
      return extremum<FloatMaximum>(in, a, b);
    case MIN3:
      return extremum<FloatMinimum>(in, a, b, c);
    case MAX3:
      return extremum<FloatMaximum>(in, a, b, c);
    case ABS:
      return std::fabs(a);
    case NEG:
      return -a;
    case EX2:
      return (T)std::exp2((double)a);
    case LG2:
      return (T)std::log2((double)a);
    case SIN:
      return (T)std::sin((double)a);
    case COS:
      return (T)std::cos((double)a);
    case TANH:
      return (T)std::tanh((double)a);
    case COPYSIGN:
      return std::copysign(b, a);
    default:
      return rounded<T>(in.op, a, b, c, in.rounding);
  }
}
template <class T>
void run_float(Warp& w, const Instr& in, u32 mask) {
  T* d = w.lanes<T>(in.d);
  const T* a = w.lanes<T>(in.a);
  const T* b = in.b.present() ? w.lanes<T>(in.b) : a;
  const T* c = in.c.present() ? w.lanes<T>(in.c) : a;
  FOR_LANES(mask, {
    T r = in.ftz ? ftz(apply<T>(in, ftz(a[i]), ftz(b[i]), ftz(c[i])))
                 : apply<T>(in, a[i], b[i], c[i]);
    d[i] = in.sat ? saturated_to_one(r) : r;
  });
}
u16 apply_half(const Instr& in, u16 a, u16 b, u16 c) {
  if (in.op == NEG) return a ^ 0x8000;
  if (in.op == ABS) return a & 0x7fff;
  double x = half_value(in.t, a), y = half_value(in.t, b), z = half_value(in.t, c);
  double v = in.op == FMA ? std::fma(x, y, z) : apply<double>(in, x, y, z);
  if (in.relu && v < 0) v = 0;
  u16 result = half_result(in.t, v);
  return in.sat ? half_result(in.t, saturated_to_one(half_value(in.t, result))) : result;
}
void run_half(Warp& w, const Instr& in, u32 mask) {
  FOR_LANES(mask, {
    u64 a = w.get(in.a, i), b = w.get_or_zero(in.b, i), c = w.get_or_zero(in.c, i);
    w.set(in.d, i, each_half(in.t, [&](int shift) {
            return apply_half(in, a >> shift, b >> shift, c >> shift);
          }));
  });
}

// ---- decoding
Handler one_by_one(Decoder& d, FloatOp op) {
  d.in.op = op;
  return is_half(d.type) ? run_half
         : d.type == F32 ? run_float<float>
         : d.type == F64 ? run_float<double>
                         : nullptr;
}
// The loops, where they do: single for f32, flushed with .ftz, and dbl for f64.
Handler in_a_loop(Decoder& d, Handler single, Handler flushed, Handler dbl) {
  if (is_half(d.type) || d.in.sat || d.in.rounding != RN) return nullptr;
  return d.type == F64 ? dbl : d.type != F32 ? nullptr : d.in.ftz ? flushed : single;
}
void choose(Decoder& d, FloatOp op, Handler loop) { d.in.run = loop ? loop : one_by_one(d, op); }
template <class O, FloatOp op>
void decode_two(Decoder& d) {
  d.refuse_if(d.types.size() == 2 && d.types[0] != d.types[1]);  // of mixed precision
  take_binary(d);
  choose(d, op, in_a_loop(d, map2<O, float>, map2<Flushed<O>, float>, map2<O, double>));
}
void decode_div(Decoder& d) {
  take_binary(d);
  choose(d, DIV, in_a_loop(d, map2<Divide, float>, nullptr, map2<Divide, double>));
}
void decode_fma(Decoder& d) {
  using O = FusedMultiplyAdd;
  take_ternary(d);
  choose(d, FMA, in_a_loop(d, map3<O, float>, map3<Flushed<O>, float>, map3<O, double>));
}
template <class O, FloatOp op>
void decode_sign(Decoder& d) {
  take_unary(d);
  choose(d, op, in_a_loop(d, map1<O, float>, nullptr, map1<O, double>));
}
template <class O, FloatOp op, FloatOp op3>
void decode_extremum(Decoder& d) {
  d.in.nan = d.has("NaN");
  d.in.xorsign = d.has("xorsign");
  if (d.operands.size() == 4) {
    d.refuse_if(d.has("abs"));
    take_ternary(d);
    return choose(d, op3, nullptr);
  }
  take_binary(d);
  bool slow = d.in.nan || d.in.xorsign;
  choose(d, op, slow ? nullptr : in_a_loop(d, map2<O, float>, nullptr, map2<O, double>));
}
template <FloatOp op>
void decode_function(Decoder& d) {
  take_unary(d);
  choose(d, op, nullptr);
}
void decode_copysign(Decoder& d) {
  take_binary(d);
  choose(d, COPYSIGN, nullptr);
}

const Opcodes opcodes{{"add", decode_two<Add, ADD>, CL_FP32, 1},
                      {"sub", decode_two<Subtract, SUB>, CL_FP32, 1},
                      {"mul", decode_two<Multiply, MUL>, CL_FP32, 1},
                      {"fma", decode_fma, CL_FP32, 2},
                      {"mad", decode_fma, CL_FP32, 2},
                      {"div", decode_div, CL_FP32, 1},
                      {"neg", decode_sign<Negate, NEG>, CL_FP32},
                      {"abs", decode_sign<Absolute, ABS>, CL_FP32},
                      {"copysign", decode_copysign, CL_FP32},
                      {"min", decode_extremum<FloatMinimum, MIN, MIN3>, CL_FP32, 1},
                      {"max", decode_extremum<FloatMaximum, MAX, MAX3>, CL_FP32, 1},
                      {"rcp", decode_function<RCP>, CL_SFU, 1},
                      {"sqrt", decode_function<SQRT>, CL_SFU, 1},
                      {"rsqrt", decode_function<RSQRT>, CL_SFU, 1},
                      {"ex2", decode_function<EX2>, CL_SFU, 1},
                      {"lg2", decode_function<LG2>, CL_SFU, 1},
                      {"sin", decode_function<SIN>, CL_SFU, 1},
                      {"cos", decode_function<COS>, CL_SFU, 1},
                      {"tanh", decode_function<TANH>, CL_SFU, 1}};
}  // namespace
}  // namespace ptxrun
