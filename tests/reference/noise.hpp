#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "engine/philox.hpp"
#include "kernels/noise.hpp"

/// The noise straight from its definition, in double precision.
namespace pixeldp::reference {

/// Standard Gaussian of element `element`. The uniform variable of the radius is rounded to single
/// precision, which is part of the definition; everything after it is not rounded.
inline double gaussian(std::uint64_t seed, StreamTag tag, std::uint32_t image, std::uint32_t draw,
                       std::int64_t element) {
  const auto words = Philox::at(seed, tag, image, draw, static_cast<std::uint32_t>(element / 4));
  const auto first = static_cast<std::size_t>(element % 4 / 2 * 2);
  const float u = std::fma(static_cast<float>(words[first]), 0x1p-32f, 0x1p-33f);
  const double radius = std::sqrt(-2.0 * std::log(static_cast<double>(u)));
  const std::uint32_t w = words[first + 1];
  const double angle = static_cast<std::int32_t>(w << 2) * 0x1p-31 * std::numbers::pi / 4.0;
  const double cosine = (w >> 31 ? -1.0 : 1.0) * std::cos(angle), sine = std::sin(angle);
  const bool exchanged = (w >> 30 & 1) != 0, second = element % 2 != 0;
  return radius * (exchanged == second ? cosine : sine);
}

/// Laplace of scale 1. The uniform variable is rounded to single precision, as above.
inline double laplace(std::uint64_t seed, StreamTag tag, std::uint32_t image, std::uint32_t draw,
                      std::int64_t element) {
  const auto words = Philox::at(seed, tag, image, draw, static_cast<std::uint32_t>(element / 4));
  const std::uint32_t w = words[static_cast<std::size_t>(element % 4)];
  const float u = std::fma(static_cast<float>(w & 0x7fffffffu), 0x1p-31f, 0x1p-32f);
  const double magnitude = -std::log(static_cast<double>(u));
  return w >> 31 ? -magnitude : magnitude;
}

inline double noise(kernels::NoiseDistribution distribution, std::uint64_t seed, StreamTag tag,
                    std::uint32_t image, std::uint32_t draw, std::int64_t element) {
  switch (distribution) {
    case kernels::NoiseDistribution::gaussian:
      return gaussian(seed, tag, image, draw, element);
    case kernels::NoiseDistribution::laplace:
      return laplace(seed, tag, image, draw, element);
    case kernels::NoiseDistribution::none:
      break;
  }
  return 0.0;
}

}  // namespace pixeldp::reference
