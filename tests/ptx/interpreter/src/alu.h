// alu.h - arithmetic handlers that are templates. A handler runs one instruction for the lanes
// of a mask: H1, H2, H3 take one, two, three sources of one type, HW2 and HW3 widen.
#pragma once
#include <algorithm>
#include <cfenv>

#include "machine.h"
namespace ptxrun {
template <class T, class O>
void H2(Warp& w, const Instr& in, u32 m) {
  T* d = w.P<T>(in.d);
  const T *a = w.P<T>(in.a), *b = w.P<T>(in.b);
  LOOP(m, d[i] = O::f(a[i], b[i]));
}
template <class T, class O>
void H1(Warp& w, const Instr& in, u32 m) {
  T* d = w.P<T>(in.d);
  const T* a = w.P<T>(in.a);
  LOOP(m, d[i] = O::f(a[i]));
}
template <class T, class O>
void H3(Warp& w, const Instr& in, u32 m) {
  T* d = w.P<T>(in.d);
  const T *a = w.P<T>(in.a), *b = w.P<T>(in.b), *c = w.P<T>(in.c);
  LOOP(m, d[i] = O::f(a[i], b[i], c[i]));
}
template <class D, class T, class O>
void HW2(Warp& w, const Instr& in, u32 m) {
  D* d = w.P<D>(in.d);
  const T *a = w.P<T>(in.a), *b = w.P<T>(in.b);
  LOOP(m, d[i] = O::f(a[i], b[i]));
}
template <class D, class T, class O>
void HW3(Warp& w, const Instr& in, u32 m) {
  D* d = w.P<D>(in.d);
  const T *a = w.P<T>(in.a), *b = w.P<T>(in.b);
  const D* c = w.P<D>(in.c);
  LOOP(m, d[i] = O::f(a[i], b[i], c[i]));
}
#define OP1(n, e)      \
  struct n {           \
    template <class T> \
    static T f(T a) {  \
      return e;        \
    }                  \
  };
#define OP2(n, e)          \
  struct n {               \
    template <class T>     \
    static T f(T a, T b) { \
      return e;            \
    }                      \
  };
#define OP3(n, e)               \
  struct n {                    \
    template <class T>          \
    static T f(T a, T b, T c) { \
      return e;                 \
    }                           \
  };
OP2(Add, a + b)
OP2(Sub, a - b)
OP2(Mul, a* b)
OP2(And, a& b)
OP2(Or, a | b)
OP2(Xor, a ^ b)
OP3(Mad, a* b + c)
OP1(Not, (T)~a)
OP1(Neg, (T)(0 - a))
OP1(CNot, (T)(a == 0))
OP2(IMin, a < b ? a : b) OP2(IMax, a > b ? a : b) OP1(IAbs, a < 0 ? (T)(0 - a) : a) struct IDiv {
  template <class T>
  static T f(T a, T b) {
    if (b == 0) return (T)-1;
    if (std::is_signed<T>::value && b == (T)-1)
      return (T)(0 - (typename std::make_unsigned<T>::type)a);
    return a / b;
  }
};
struct IRem {
  template <class T>
  static T f(T a, T b) {
    if (b == 0) return a;
    if (std::is_signed<T>::value && b == (T)-1) return 0;
    return a % b;
  }
};
template <class T>
struct Wd {};
template <>
struct Wd<u16> {
  typedef u32 t;
};
template <>
struct Wd<s16> {
  typedef s32 t;
};
template <>
struct Wd<u32> {
  typedef u64 t;
};
template <>
struct Wd<s32> {
  typedef s64 t;
};
template <>
struct Wd<u64> {
  typedef u128 t;
};
template <>
struct Wd<s64> {
  typedef __int128 t;
};
struct MulHi {
  template <class T>
  static T f(T a, T b) {
    typedef typename Wd<T>::t W;
    return (T)(((W)a * (W)b) >> (8 * sizeof(T)));
  }
};
struct MadHi {
  template <class T>
  static T f(T a, T b, T c) {
    return MulHi::f(a, b) + c;
  }
};
struct MulW {
  template <class T>
  static typename Wd<T>::t f(T a, T b) {
    typedef typename Wd<T>::t W;
    return (W)a * (W)b;
  }
};
struct MadW {
  template <class T, class D>
  static D f(T a, T b, D c) {
    return (D)a * (D)b + c;
  }
};
struct FMa {
  static float f(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static double f(double a, double b, double c) { return __builtin_fma(a, b, c); }
};
template <class O>
struct Z {
  static float f(float a) { return ftz((float)O::f(ftz(a))); }
  static float f(float a, float b) { return ftz(O::f(ftz(a), ftz(b))); }
  static float f(float a, float b, float c) { return ftz(O::f(ftz(a), ftz(b), ftz(c))); }
};
OP1(FNeg, -a) OP2(FDiv, a / b) struct FAbs {
  static float f(float a) { return fabsf(a); }
  static double f(double a) { return fabs(a); }
};
struct FSqrt {
  static float f(float a) { return sqrtf(a); }
  static double f(double a) { return sqrt(a); }
};
OP1(FRcp, (T)1 / a)
struct FMin {
  template <class T>
  static T f(T a, T b) {
    if (a != a) return b == b ? b : (T)NAN;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? a : b;
    return a < b ? a : b;
  }
};
struct FMax {
  template <class T>
  static T f(T a, T b) {
    if (a != a) return b == b ? b : (T)NAN;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? b : a;
    return a > b ? a : b;
  }
};
struct Rsq {
  static float f(float a) { return (float)(1.0 / sqrt((double)a)); }
  static double f(double a) { return 1.0 / sqrt(a); }
};
struct Ex2 {
  static float f(float a) { return (float)exp2((double)a); }
};
struct Lg2 {
  static float f(float a) { return (float)log2((double)a); }
};
struct Sin {
  static float f(float a) { return (float)sin((double)a); }
};
struct Cos {
  static float f(float a) { return (float)cos((double)a); }
};
struct Tanh {
  static float f(float a) { return (float)tanh((double)a); }
};
struct Popc {
  static u32 f(u32 a) { return __builtin_popcount(a); }
};
struct Clz {
  static u32 f(u32 a) { return a ? __builtin_clz(a) : 32; }
};
struct Brev {
  static u32 f(u32 a) {
    a = __builtin_bswap32(a);
    a = ((a >> 4) & 0x0f0f0f0f) | ((a & 0x0f0f0f0f) << 4);
    a = ((a >> 2) & 0x33333333) | ((a & 0x33333333) << 2);
    return ((a >> 1) & 0x55555555) | ((a & 0x55555555) << 1);
  }
  static u64 f(u64 a) { return ((u64)f((u32)a) << 32) | f((u32)(a >> 32)); }
};
template <class T>
void hShl(Warp& w, const Instr& in, u32 m) {
  T* d = w.P<T>(in.d);
  const T* a = w.P<T>(in.a);
  const u32* b = w.P<u32>(in.b);
  LOOP(m, d[i] = b[i] >= 8 * sizeof(T) ? 0 : (T)(a[i] << b[i]));
}
template <class T>
void hShr(Warp& w, const Instr& in, u32 m) {
  T* d = w.P<T>(in.d);
  const T* a = w.P<T>(in.a);
  const u32* b = w.P<u32>(in.b);
  LOOP(m, d[i] = (T)(a[i] >> (b[i] >= 8 * sizeof(T) ? 8 * sizeof(T) - 1 : b[i])) >>
                 (b[i] >= 8 * sizeof(T) ? 1 : 0));
}
template <class T>
void hSel(Warp& w, const Instr& in, u32 m) {
  T* d = w.P<T>(in.d);
  const T *a = w.P<T>(in.a), *b = w.P<T>(in.b);
  u32 p = *w.P<u32>(in.c);
  LOOP(m, d[i] = (p >> i) & 1 ? a[i] : b[i]);
}
template <class T>
void hMov(Warp& w, const Instr& in, u32 m) {
  T* d = w.P<T>(in.d);
  const T* a = w.P<T>(in.a);
  LOOP(m, d[i] = a[i]);
}
void hMovGen(Warp&, const Instr&, u32);
void hNop(Warp&, const Instr&, u32);
void hClk(Warp&, const Instr&, u32);
void hPredOp(Warp&, const Instr&, u32);
void hSelPred(Warp&, const Instr&, u32);
void hSetpHalf(Warp&, const Instr&, u32);
void hSet(Warp&, const Instr&, u32);
void hHalf(Warp&, const Instr&, u32);
void hTestp(Warp&, const Instr&, u32);
void hInt(Warp&, const Instr&, u32);
void hCvt(Warp&, const Instr&, u32);
void hCvtX2(Warp&, const Instr&, u32);
void hCvtBf16x2(Warp&, const Instr&, u32);
void hCvtF8x2(Warp&, const Instr&, u32);
void hCvtH2F8(Warp&, const Instr&, u32);
void hCvtBF(Warp&, const Instr&, u32);
void hCvtHF(Warp&, const Instr&, u32);
void hCvtFB(Warp&, const Instr&, u32);
void hCvtFH(Warp&, const Instr&, u32);
void hPack(Warp&, const Instr&, u32);
void hUnpack(Warp&, const Instr&, u32);
enum Cmp : u8 {
  C_EQ,
  C_NE,
  C_LT,
  C_LE,
  C_GT,
  C_GE,
  C_EQU,
  C_NEU,
  C_LTU,
  C_LEU,
  C_GTU,
  C_GEU,
  C_NUM,
  C_NAN
};
template <class T>
inline bool cmpv(u8 c, T a, T b) {
  bool u = (a != a) || (b != b);
  switch (c) {
    case C_EQ:
      return a == b;
    case C_NE:
      return !u && a != b;
    case C_LT:
      return a < b;
    case C_LE:
      return a <= b;
    case C_GT:
      return a > b;
    case C_GE:
      return a >= b;
    case C_EQU:
      return u || a == b;
    case C_NEU:
      return u || a != b;
    case C_LTU:
      return u || a < b;
    case C_LEU:
      return u || a <= b;
    case C_GTU:
      return u || a > b;
    case C_GEU:
      return u || a >= b;
    case C_NUM:
      return !u;
    case C_NAN:
      return u;
  }
  return false;
}
template <class T, int C>
u32 cmpmask(const T* a, const T* b) {
  u32 r = 0;
  for (int i = 0; i < 32; i++) r |= (u32)cmpv<T>(C, a[i], b[i]) << i;
  return r;
}
template <class T>
void hSetp(Warp& w, const Instr& in, u32 m) {
  const T *a = w.P<T>(in.a), *b = w.P<T>(in.b);
  u32 r = 0;
  T ta[32], tb[32];
  if (in.ftz && std::is_same<T, float>::value) {
    for (int i = 0; i < 32; i++) {
      ta[i] = (T)ftz((float)a[i]);
      tb[i] = (T)ftz((float)b[i]);
    }
    a = ta;
    b = tb;
  }
  switch (in.op) {
#define CC(c)                \
  case c:                    \
    r = cmpmask<T, c>(a, b); \
    break;
    CC(C_EQ)
    CC(C_NE)
    CC(C_LT)
    CC(C_LE)
    CC(C_GT)
    CC(C_GE) CC(C_EQU) CC(C_NEU) CC(C_LTU) CC(C_LEU) CC(C_GTU) CC(C_GEU) CC(C_NUM) CC(C_NAN)
  }
  u32 q = ~r;
  if (in.op2) {
    u32 c = *w.P<u32>(in.c);
    if (in.neg) c = ~c;
    switch (in.op2) {
      case 1:
        r &= c;
        q &= c;
        break;
      case 2:
        r |= c;
        q |= c;
        break;
      case 3:
        r ^= c;
        q ^= c;
        break;
    }
  }
  if (in.d.k < 3) {
    u32& d = *w.P<u32>(in.d);
    d = (d & ~m) | (r & m);
  }
  if (in.p.k < 3) {
    u32& d = *w.P<u32>(in.p);
    d = (d & ~m) | (q & m);
  }
}
inline double halfValue(Ty t, u16 v) {
  return t == F16 || t == F16X2 ? halfToFloat(v) : bf16ToFloat(v);
}
inline u16 halfResult(Ty t, double v) { return t == F16 || t == F16X2 ? toHalf(v) : toBf16(v); }
// slow generic float ops (rounding modes, sat, approx)
enum FO : u8 {
  FO_ADD,
  FO_SUB,
  FO_MUL,
  FO_FMA,
  FO_DIV,
  FO_RCP,
  FO_SQRT,
  FO_RSQRT,
  FO_MIN,
  FO_MAX,
  FO_ABS,
  FO_NEG,
  FO_EX2,
  FO_LG2,
  FO_SIN,
  FO_COS,
  FO_TANH,
  FO_CPS,
  FO_MIN3,
  FO_MAX3
};
template <class T>
T roundedOp(int op, T a, T b, T c, int rnd);
extern template float roundedOp(int, float, float, float, int);
extern template double roundedOp(int, double, double, double, int);
template <class T>
T floatOp(const Instr& in, T a, T b, T c) {
  switch (in.op) {
    case FO_RSQRT:
      return Rsq::f(a);
    case FO_MIN:
      if (in.nan && (a != a || b != b)) return (T)NAN;
      if (in.xs) {
        bool s = std::signbit(a) != std::signbit(b);
        T r = FMin::f((T)fabs(a), (T)fabs(b));
        return s ? -r : r;
      }
      return FMin::f(a, b);
    case FO_MAX:
      if (in.nan && (a != a || b != b)) return (T)NAN;
      if (in.xs) {
        bool s = std::signbit(a) != std::signbit(b);
        T r = FMax::f((T)fabs(a), (T)fabs(b));
        return s ? -r : r;
      }
      return FMax::f(a, b);
    case FO_MIN3:
      if (in.nan && (a != a || b != b || c != c)) return (T)NAN;
      return FMin::f(FMin::f(a, b), c);
    case FO_MAX3:
      if (in.nan && (a != a || b != b || c != c)) return (T)NAN;
      return FMax::f(FMax::f(a, b), c);
    case FO_ABS:
      return fabs(a);
    case FO_NEG:
      return -a;
    case FO_EX2:
      return (T)exp2((double)a);
    case FO_LG2:
      return (T)log2((double)a);
    case FO_SIN:
      return (T)sin((double)a);
    case FO_COS:
      return (T)cos((double)a);
    case FO_TANH:
      return (T)tanh((double)a);
    case FO_CPS:
      return copysign(b, a);
    default:
      return roundedOp<T>(in.op, a, b, c, in.rnd);
  }
}
template <class T>
void hFSlow(Warp& w, const Instr& in, u32 m) {
  T* d = w.P<T>(in.d);
  const T *a = w.P<T>(in.a), *b = in.b.k < 3 ? w.P<T>(in.b) : a, *c = in.c.k < 3 ? w.P<T>(in.c) : a;
  LOOP(m, {
    T x = a[i], y = b[i], z = c[i];
    if (in.ftz) {
      x = ftz(x);
      y = ftz(y);
      z = ftz(z);
    }
    T r = floatOp<T>(in, x, y, z);
    if (in.ftz) r = ftz(r);
    if (in.sat) r = r != r ? 0 : (r < 0 ? 0 : (r > 1 ? 1 : r));
    d[i] = r;
  });
}
enum IO : u8 {
  I_ADDC,
  I_SUBC,
  I_MADC,
  I_SAD,
  I_MUL24,
  I_MAD24,
  I_BFE,
  I_BFI,
  I_BFIND,
  I_LOP3,
  I_SHFL,
  I_SHFR,
  I_PRMT,
  I_DP4A,
  I_DP2A,
  I_POPC64,
  I_CLZ64,
  I_SLCT,
  I_FNS,
  I_BMSK,
  I_SZEXT,
  I_ADDSAT,
  I_MADSAT
};
template <class D, class S>
void hCvtI(Warp& w, const Instr& in, u32 m) {
  D* d = w.P<D>(in.d);
  const S* a = w.P<S>(in.a);
  LOOP(m, d[i] = (D)a[i]);
}
enum AO : u8 { A_ADD, A_MIN, A_MAX, A_AND, A_OR, A_XOR, A_EXCH, A_CAS, A_INC, A_DEC };
u64 atomicResult(const Instr& in, u64 old, u64 b, u64 c, Ty t);
}  // namespace ptxrun
