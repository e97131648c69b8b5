#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "engine/philox.hpp"

namespace pixeldp::reference {

/// Random integers in [-most, most] as floats: sums of their products are exact while they stay
/// below 2^24, so that results can be compared for equality.
inline std::vector<float> integers(std::int64_t count, int most, std::uint64_t seed) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto words = Philox::generate({static_cast<std::uint32_t>(i), 0, 0, 0}, seed);
    values.push_back(static_cast<float>(
        static_cast<int>(words[0] % static_cast<unsigned>(2 * most + 1)) - most));
  }
  return values;
}

/// Random reals, uniform in (-1, 1).
inline std::vector<float> reals(std::int64_t count, std::uint64_t seed) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto words = Philox::generate({static_cast<std::uint32_t>(i), 1, 0, 0}, seed);
    values.push_back(static_cast<float>((words[0] + 0.5) * 0x1p-31 - 1.0));
  }
  return values;
}

/// Normally distributed values, every eighth or so of them infinite, not a number, or next to one
/// of the ends of what a float can be.
inline std::vector<float> awkward_values(std::size_t count) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {std::numeric_limits<float>::quiet_NaN(),
                           infinity,
                           -infinity,
                           0.0f,
                           -0.0f,
                           1e-40f,
                           -1e-40f,
                           3e38f};
  std::vector<float> values(count);
  for (float& value : values) value = random() % 8 ? normal(random) : special[random() % 8];
  return values;
}

/// A number rounded to bf16 (to nearest, ties to even), as its bits.
inline std::uint16_t to_bf16(float number) {
  const auto bits = std::bit_cast<std::uint32_t>(number);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Bits, with everything that is not a number made the one that GPUs make.
inline std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float value : values)
    result.push_back(std::isnan(value) ? 0x7fffffffu : std::bit_cast<std::uint32_t>(value));
  return result;
}

}  // namespace pixeldp::reference
