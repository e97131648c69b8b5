#pragma once

#include "kernels/formulas/elementary.hpp"

/// From random words to noise, and what happens to the noisy value: the formulas of
/// kernels/noise.hpp, written once for the vectors of a processor and the threads of a GPU. V is as
/// in elementary.hpp.
namespace pixeldp::kernels {

/// Words 0 and 2 of each block (even), and words 1 and 3 (odd), side by side.
template <class V>
struct WordPairs {
  typename V::Words even, odd;
};

/// Box-Muller. Word 0 (2) of a block makes the radius sqrt(-2 ln u), u = (w + 1/2) 2^-32 rounded to
/// single precision; word 1 (3) the direction: its lower 30 bits are an angle in [-pi/4, pi/4), bit
/// 31 reflects the cosine, bit 30 exchanges cosine and sine. |z| <= sqrt(-2 ln 2^-33) = 6.7637.
struct GaussianTransform {
  template <class V>
  [[gnu::always_inline]] static constexpr void apply(WordPairs<V> w, typename V::Floats& z0,
                                                     typename V::Floats& z1) {
    using Floats = typename V::Floats;
    using Words = typename V::Words;
    const Floats r = V::sqrt(minus_log<V, 2, 32>(V::from_words(w.even) + 0.5f));
    Floats c, s;
    cos_sin<V>(V::from_ints(w.odd << 2) * 0x1p-31f, c, s);
    c = same_bits<Floats>(same_bits<Words>(c) ^ (w.odd & 0x80000000u));
    const auto exchange = (w.odd & 0x40000000u) != 0;
    z0 = r * (exchange ? s : c);
    z1 = r * (exchange ? c : s);
  }
};

/// Inversion. One word per element: bit 31 is the sign, the lower 31 bits make
/// u = (w + 1/2) 2^-31 rounded to single precision, and z = -ln u. |z| <= 32 ln 2 = 22.181.
struct LaplaceTransform {
  template <class V>
  [[gnu::always_inline]] static constexpr typename V::Floats signed_log(typename V::Words w) {
    using Floats = typename V::Floats;
    using Words = typename V::Words;
    const Floats v = V::from_ints(w & 0x7fffffffu) + 0.5f;
    return same_bits<Floats>(same_bits<Words>(minus_log<V, 1, 31>(v)) ^ (w & 0x80000000u));
  }
  template <class V>
  [[gnu::always_inline]] static constexpr void apply(WordPairs<V> w, typename V::Floats& z0,
                                                     typename V::Floats& z1) {
    z0 = signed_log<V>(w.even);
    z1 = signed_log<V>(w.odd);
  }
};

struct Identity {
  constexpr explicit Identity(float) {}
  template <class V>
  [[gnu::always_inline]] constexpr typename V::Floats apply(typename V::Floats y) const {
    return y;
  }
};

struct Relu {
  constexpr explicit Relu(float) {}
  template <class V>
  [[gnu::always_inline]] constexpr typename V::Floats apply(typename V::Floats y) const {
    return V::max(all<V>(0.0f), y);
  }
};

struct LeakyRelu {
  float slope;
  constexpr explicit LeakyRelu(float s) : slope(s) {}
  template <class V>
  [[gnu::always_inline]] constexpr typename V::Floats apply(typename V::Floats y) const {
    return y > 0.0f ? y : y * slope;
  }
};

/// Any of them, chosen at run time.
struct AnyActivation {
  float slope;

  template <class V>
  [[gnu::always_inline]] constexpr typename V::Floats apply(typename V::Floats y) const {
    return slope == 0.0f ? Relu(0.0f).apply<V>(y) : LeakyRelu(slope).apply<V>(y);
  }
};

}  // namespace pixeldp::kernels
