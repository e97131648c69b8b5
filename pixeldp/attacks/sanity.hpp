#pragma once

#include <functional>
#include <vector>

#include "pixeldp/attacks/attacking.hpp"

namespace pixeldp {

/// Whether gradients are worth following, or masked: the three questions of appendix C (after
/// Athalye et al., "Obfuscated gradients give a false sense of security", 2018).
struct Sanity {
  struct Point {
    double size = 0.0;
    double accuracy = 0.0;  ///< under attack
  };

  double accuracy = 0.0;      ///< of the images as they are
  std::vector<Point> points;  ///< under pgd, for sizes that double
  /// The size at which pgd has taken half of the accuracy or more, and what other attacks leave
  /// there.
  double compared_at = 0.0;
  double pgd = 0.0, fgsm = 0.0, random = 0.0;

  /// No more than 1 % are left at the largest size.
  bool falls_to_zero() const;
  /// It takes at least twice the accuracy that random pictures take.
  bool beats_random() const;
  /// It leaves no more than one step does, and less unless that leaves nothing.
  bool beats_one_step() const;
  bool passed() const { return falls_to_zero() && beats_random() && beats_one_step(); }
};

/// Attacks by the options given but for size and kind: pgd at the size, twice the size and so on,
/// until nothing is left or pictures can be no farther apart; then the others. `attacked` makes the
/// records of all images for some options.
Sanity check_sanity(const AttackOptions& options, std::int64_t values, bool noisy,
                    const std::function<std::vector<AttackRecord>(const AttackOptions&)>& attacked);

}  // namespace pixeldp
