#pragma once

#include "kernels/formulas/elementary.hpp"

namespace pixeldp::kernels::cpu {

template <class V>
[[gnu::always_inline]] inline typename V::Floats load(const float* p) {
  typename V::Floats v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class V>
[[gnu::always_inline]] inline void store(float* p, typename V::Floats v) {
  __builtin_memcpy(p, &v, sizeof v);
}

}  // namespace pixeldp::kernels::cpu
