#pragma once

#include <doctest/doctest.h>

#include "tests/margins/exact.hpp"

namespace pixeldp::margins {

/// The unit of roundoff of doubles.
inline constexpr double unit = 0x1p-53;

/// `value` is a lower bound of the true value, by no less than `least` and no more than `most`.
inline void check_below(double value, const exact::Around& truth, double least, double most) {
  CAPTURE(value);
  CAPTURE(truth.below);
  CAPTURE(least);
  CAPTURE(most);
  CHECK(value <= truth.below);
  CHECK(truth.above - value >= least);
  CHECK(truth.below - value <= most);
}

inline void check_above(double value, const exact::Around& truth, double least, double most) {
  CAPTURE(value);
  CAPTURE(truth.above);
  CAPTURE(least);
  CAPTURE(most);
  CHECK(value >= truth.above);
  CHECK(value - truth.below >= least);
  CHECK(value - truth.above <= most);
}

}  // namespace pixeldp::margins
