// numeric.h - conversions of half, bfloat16 and fp8 with every PTX rounding mode.
#pragma once
#include <cmath>

#include <immintrin.h>

#include "types.h"

namespace ptxrun {
enum Rnd : u8 { RN, RZ, RM, RP, RNA };  // nearest even, zero, down, up, nearest away

inline float halfToFloat(u16 h) { return _cvtsh_ss(h); }
inline float bf16ToFloat(u16 h) { return bits<float>((u64)h << 16); }
u16 toHalf(double x, Rnd r = RN);
u16 toBf16(double x, Rnd r = RN);
u8 toFp8(double x, bool e5m2);  // saturates to the largest finite value
double fp8ToDouble(u8 v, bool e5m2);
inline u16 bf16RoundNearest(float f) {
  u32 u = (u32)raw(f);
  if ((u & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return (u16)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
// Flush subnormals to zero, keeping the sign (no effect on double, as in PTX).
inline float ftz(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? copysignf(0.f, x) : x; }
inline double ftz(double x) { return x; }
}  // namespace ptxrun
