#pragma once

#include <cstdint>

/// This program has log, log1p, exp, expm1 and erfc of its own in place of those of the C library.
/// They are the library's until a Perturbed lives; then they err as far as a GPU's may.

namespace pixeldp::margins {

/// Where a function lies within its range of error.
enum class Side { below, above, either };  ///< either: anew for each call, by chance

/// As long as it lives, in all threads, functions err by as much as the CUDA C++ Programming Guide
/// documents for double precision at most: 1 unit in the last place for log, log1p (to the same
/// side), exp and expm1, 5 for erfc. (Its other operations in double precision are those of IEEE
/// 754.) One lives at a time.
class Perturbed {
 public:
  Perturbed(Side log, Side exp, Side expm1, Side erfc);
  /// The `index`-th of `count` ways: all 16 of fixed sides, and some of chance.
  explicit Perturbed(int index);
  static constexpr int count = 20;
  ~Perturbed();
  Perturbed(const Perturbed&) = delete;
  Perturbed& operator=(const Perturbed&) = delete;
};

}  // namespace pixeldp::margins
