#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/cpu/plain.hpp"
#include "kernels/formulas/lattice.hpp"
#include "kernels/lattice_noise.hpp"

namespace pixeldp::reference {

/// What a row may be before the noise so that nothing is easy: the guess of each element lies from
/// 4 steps below the edge of a cell to 4 above it.
inline std::vector<std::int32_t> steps_at_edges(const kernels::NoiseParams& params,
                                                const kernels::NoiseRow& row,
                                                std::int64_t elements) {
  using V = kernels::cpu::Plain;
  std::vector<std::int32_t> steps;
  for (std::int64_t e = 0; e < elements; ++e) {
    const std::uint32_t word =
        Philox::at(params.seed, params.tag, row.image, row.draw,
                   static_cast<std::uint32_t>(e / 4))[static_cast<std::size_t>(e % 4)];
    const V::Words v = V::Words{} + (word & 0x7fffffffu);
    const float size = params.distribution == kernels::NoiseDistribution::gaussian
                           ? kernels::GaussianGuess::size<V>(v)[0]
                           : kernels::LaplaceGuess::size<V>(v)[0];
    const auto distance =
        static_cast<std::int32_t>(std::nearbyint(std::ldexp(size, kernels::lattice_bits)));
    const auto edge = static_cast<std::int32_t>((e * 37 % 2001 - 1000) << kernels::cell_bits);
    steps.push_back(edge - (word >> 31 != 0 ? -distance : distance) +
                    static_cast<std::int32_t>(e % 9) - 4);
  }
  return steps;
}

}  // namespace pixeldp::reference
