#pragma once

#include "kernels/formulas/elementary.hpp"

/// The guesses of kernels/lattice_noise.hpp: the size t of the noise whose upper 31 bits of m are
/// v, P(|z| > t) = u = (v + 1/2) 2^-31, in single precision. V is as in elementary.hpp. Up to `far`
/// they are off by less than lattice_guess steps for whatever lower bits m has (all 2^31 words were
/// compared; tests/kernels/lattice_noise_test.cpp compares some). Beyond it nothing is promised,
/// but that they are not below `far`.
namespace pixeldp::kernels {

struct GaussianGuess {
  static constexpr float far = 3.7f;

  /// sqrt(2) erfinv(1 - u) is 1 - u times a smooth function of -ln(1 - (1 - u)^2), as in Giles,
  /// "Approximating the erfinv function" (GPU Computing Gems 2, 2010).
  template <class V>
  [[gnu::always_inline]] static constexpr typename V::Floats size(typename V::Words v) {
    constexpr float ratio[] = {2.588183884f,      0.3254799649f,    -0.01008776977f,
                               -0.0003753008208f, 0.0001819920951f, -2.263058079e-5f,
                               4.426173634e-7f,   3.419671845e-7f,  -4.951633649e-8f,
                               -1.266782705e-9f,  5.919113145e-10f};
    const typename V::Floats u = (V::from_ints(v) + 0.5f) * 0x1p-31f;
    const typename V::Floats rest = (V::from_ints(0x7fffffffu - v) + 0.5f) * 0x1p-31f;
    return rest * polynomial<V>(ratio, minus_log<V, 1, 0>(u * (2.0f - u)) - 3.875f);
  }
};

struct LaplaceGuess {
  static constexpr float far = 7.0f;

  template <class V>
  [[gnu::always_inline]] static constexpr typename V::Floats size(typename V::Words v) {
    return minus_log<V, 1, 31>(V::from_ints(v) + 0.5f);
  }
};

}  // namespace pixeldp::kernels
