#pragma once

// Conversions of half, bfloat16 and fp8 with every rounding of PTX.
#include <cfenv>
#include <cmath>

#include <immintrin.h>

#include "program/types.hpp"

namespace ptxrun {
enum Rounding : u8 { RN, RZ, RM, RP, RNA };  // nearest even, zero, down, up, nearest away

inline float half_to_float(u16 h) { return _cvtsh_ss(h); }
inline float bf16_to_float(u16 h) { return bits<float>((u64)h << 16); }
u16 to_half(double x, Rounding r = RN);
u16 to_bf16(double x, Rounding r = RN);
u8 to_fp8(double x, bool e5m2);  // saturates to the largest finite value
double fp8_to_double(u8 v, bool e5m2);
inline u16 bf16_round_nearest(float f) {
  u32 u = (u32)raw(f);
  if ((u & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return (u16)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
inline double half_value(Type t, u16 v) {
  return t == F16 || t == F16X2 ? half_to_float(v) : bf16_to_float(v);
}
inline u16 half_result(Type t, double v) {
  return t == F16 || t == F16X2 ? to_half(v) : to_bf16(v);
}
// Puts together f(shift) of the one or two 16-bit values of a half type.
template <class F>
u64 each_half(Type t, F f) {
  u64 result = 0;
  for (int shift = 0; shift < 8 * type_size(t); shift += 16) result |= (u64)(u16)f(shift) << shift;
  return result;
}

// The processor rounds that way while this lives. What is computed then must be volatile.
class RoundingScope {
 public:
  explicit RoundingScope(u8 rounding) : changed_(rounding != RN && rounding != RNA) {
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    if (changed_) std::fesetround(modes[rounding]);
  }
  ~RoundingScope() {
    if (changed_) std::fesetround(FE_TONEAREST);
  }
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;

 private:
  bool changed_;
};

// Flush subnormals to zero, keeping the sign (no effect on double, as in PTX).
inline float ftz(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? copysignf(0.f, x) : x; }
inline double ftz(double x) { return x; }
}  // namespace ptxrun
