#pragma once

// Floating-point functions that have a form of their own in several instructions.
#include <cmath>

namespace ptxrun {
// Of numbers and NaN the number; -0 is less than +0.
struct FloatMinimum {
  template <class T>
  static T f(T a, T b) {
    if (a != a) return b == b ? b : (T)NAN;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? a : b;
    return a < b ? a : b;
  }
};
struct FloatMaximum {
  template <class T>
  static T f(T a, T b) {
    if (a != a) return b == b ? b : (T)NAN;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? b : a;
    return a > b ? a : b;
  }
};
template <class T>
T saturated_to_one(T v) {
  return v != v ? 0 : v < 0 ? 0 : v > 1 ? 1 : v;
}
}  // namespace ptxrun
