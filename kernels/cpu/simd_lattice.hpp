#pragma once

#include <cstdint>

#include "kernels/cpu/simd_noise.hpp"
#include "kernels/formulas/lattice.hpp"
#include "kernels/lattice_noise.hpp"

/// Noise on a lattice, made in registers like any other: a guess of the sum in steps gives the cell
/// unless it lies within lattice_guess of an edge, or far out. Those, one in some thousand, are
/// asked of the span, so that no result depends on a guess.
namespace pixeldp::kernels::cpu {

template <class V, class Guess, class Activate>
struct LatticeNoise {
  using Floats = typename V::Floats;
  using Words = typename V::Words;
  using Ints = typename V::Ints;

  LatticeNoise(const NoiseParams& p, const LatticeSpan& s)
      : params(p), span(s), activate(p.activation.slope) {}

  const NoiseParams& params;
  const LatticeSpan& span;
  Activate activate;

  [[gnu::always_inline]] void operator()(WordPairs<V> words, std::int64_t element,
                                         const std::int32_t* steps, float* y) const {
    Floats first, second;
    V::interleave(same_bits<Floats>(words.even), same_bits<Floats>(words.odd), first, second);
    add(same_bits<Words>(first), element, steps, y);
    add(same_bits<Words>(second), element + V::lanes, steps + V::lanes, y + V::lanes);
  }

  [[gnu::always_inline]] void add(Words w, std::int64_t element, const std::int32_t* steps,
                                  float* y) const {
    constexpr float one = 0x1p23f;  // from here on floats are whole numbers, in their lower bits
    constexpr auto cell_mask = (std::uint32_t{1} << cell_bits) - 1;
    Words n;
    __builtin_memcpy(&n, steps, sizeof n);
    const Floats guess = Guess::template size<V>(w & 0x7fffffffu);
    const Ints far = guess >= Guess::far;
    const Floats size = far ? Floats{} : guess;
    const Words distance =
        same_bits<Words>(V::fma(size, all<V>(float{1 << lattice_bits}), all<V>(one))) -
        same_bits<std::uint32_t>(one);
    const Words minus = Words{} - (w >> 31);
    const Words sum = n + ((distance ^ minus) - minus);
    const Ints near_edge =
        (Ints)((sum + std::uint32_t{lattice_guess}) & cell_mask) < 2 * lattice_guess;
    Ints cells = (Ints)sum >> cell_bits;
    const Floats sure = (far | near_edge) != 0 ? Floats{} : all<V>(1.0f);
    unsigned unsure = V::equal_mask(sure, Floats{});
    if (__builtin_expect(unsure != 0, 0)) {
      std::int32_t cell[V::lanes];
      std::uint32_t word[V::lanes];
      __builtin_memcpy(cell, &cells, sizeof cell);
      __builtin_memcpy(word, &w, sizeof word);
      for (; unsure != 0; unsure &= unsure - 1) {
        const int lane = __builtin_ctz(unsure);
        cell[lane] = span.cell(params, span, element + lane, steps[lane], word[lane]);
      }
      __builtin_memcpy(&cells, cell, sizeof cell);
    }
    store<V>(y, activate.template apply<V>(V::fma(V::from_ints((Words)cells),
                                                  all<V>(cell_width * params.scale),
                                                  all<V>(cell_width / 2 * params.scale))));
  }
};

template <class V, class Guess>
struct LatticeNoiseLoops {
  template <class Activate>
  using Loop = NoiseLoop<V, LatticeSpan, LatticeNoise<V, Guess, Activate>>;
};

template <class V>
void add_lattice_noise(const NoiseParams& params, const LatticeSpan& span) {
  switch (params.distribution) {
    case NoiseDistribution::none:  // which never comes here
    case NoiseDistribution::gaussian:
      return run_with_activation<LatticeNoiseLoops<V, GaussianGuess>::template Loop>(params, span);
    case NoiseDistribution::laplace:
      return run_with_activation<LatticeNoiseLoops<V, LaplaceGuess>::template Loop>(params, span);
  }
}

}  // namespace pixeldp::kernels::cpu
