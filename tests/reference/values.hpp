#pragma once

#include <cstdint>
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

}  // namespace pixeldp::reference
