#include "program/numeric.hpp"

namespace ptxrun {
// round |x| to p significant bits with min exponent emin (subnormals below), in double
static double round_to(double x, int p, int emin, Rounding r) {
  if (x == 0 || !std::isfinite(x)) return x;
  int e;
  frexp(x, &e);
  e -= 1;
  if (e < emin) e = emin;
  double q = ldexp(1.0, e - p + 1), y = x / q, f = floor(y), d = y - f;
  switch (r) {
    case RN:
      y = nearbyint(y);
      break;
    case RZ:
      y = trunc(y);
      break;
    case RM:
      y = f;
      break;
    case RP:
      y = d > 0 ? f + 1 : f;
      break;
    case RNA:
      y = std::round(y);
      break;
  }
  y *= q;
  return y == 0 ? copysign(0.0, x) : y;
}
u16 to_half(double x, Rounding r) {
  if (std::isnan(x)) return 0x7fff;
  double y = round_to(x, 11, -14, r);
  if (fabs(y) > 65504.0) {
    if (std::isinf(x) || r == RN || (r == RP && x > 0) || (r == RM && x < 0))
      return (x < 0 ? 0xfc00 : 0x7c00);
    return x < 0 ? 0xfbff : 0x7bff;
  }
  return _cvtss_sh((float)y, 0);
}
u16 to_bf16(double x, Rounding r) {
  if (std::isnan(x)) return 0x7fff;
  double y = round_to(x, 8, -126, r);
  const double mx = 3.3895313892515355e38;
  if (fabs(y) > mx) {
    if (std::isinf(x) || r == RN || (r == RP && x > 0) || (r == RM && x < 0))
      return x < 0 ? 0xff80 : 0x7f80;
    return x < 0 ? 0xff7f : 0x7f7f;
  }
  return (u16)(raw((float)y) >> 16);
}

u8 to_fp8(double x, bool e5) {
  if (std::isnan(x)) return 0x7f;
  int p = e5 ? 3 : 4, emin = e5 ? -14 : -6;
  double y = round_to(x, p, emin, RN), mx = e5 ? 57344.0 : 448.0;
  bool n = std::signbit(x);
  double ay = fabs(y);
  if (ay > mx) ay = mx;  // satfinite
  int e;
  u8 o;
  if (ay == 0)
    o = 0;
  else {
    frexp(ay, &e);
    e -= 1;
    int mb = p - 1;
    if (e < emin) {
      o = (u8)(ay / ldexp(1.0, emin - mb));
    } else {
      int m = (int)(ay / ldexp(1.0, e - mb)) - (1 << mb);
      o = ((e - emin + 1) << mb) | m;
    }
  }
  return o | (n ? 0x80 : 0);
}
double fp8_to_double(u8 v, bool e5) {
  int mb = e5 ? 2 : 3, emin = e5 ? -14 : -6;
  int e = (v & 0x7f) >> mb, m = v & ((1 << mb) - 1);
  double s = v & 0x80 ? -1 : 1;
  if (e5 && e == 31) return m ? NAN : s * INFINITY;
  if (!e5 && (v & 0x7f) == 0x7f) return NAN;
  return e ? s * ldexp((double)(m + (1 << mb)), e - 1 + emin - mb)
           : s * ldexp((double)m, emin - mb);
}
}  // namespace ptxrun
