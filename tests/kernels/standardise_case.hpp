#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/standardise.hpp"
#include "tests/reference/values.hpp"

namespace pixeldp::kernels {

/// The operations of kernels/standardise.hpp with all arrays in host memory, for whoever runs them.
struct StandardiseCase {
  std::int64_t images = 0, values = 0;
  std::vector<float> x, dy, y, dx;

  /// Reals, but for the first image, which has one value throughout.
  static StandardiseCase reals(std::int64_t images, std::int64_t values) {
    StandardiseCase c{
        images, values, reference::reals(images * values, 5), reference::reals(images * values, 6),
        {},     {}};
    std::fill_n(c.x.begin(), std::min(images, std::int64_t{1}) * values, 0.75f);
    return c;
  }
};

inline void run_on_processor(StandardiseCase& c) {
  c.y.assign(c.x.size(), -77.0f), c.dx.assign(c.x.size(), -77.0f);
  standardise(Stream(), c.images, c.values, c.x.data(), c.y.data());
  standardise_backward(Stream(), c.images, c.values, c.x.data(), c.dy.data(), c.dx.data());
}

inline constexpr std::int64_t standardise_shapes[][2] = {{0, 9},  {1, 1},   {1, 31},
                                                         {4, 33}, {5, 200}, {2, 784}};

}  // namespace pixeldp::kernels
