#pragma once

#include <vector>

#include "pixeldp/attacks/attacking.hpp"

namespace pixeldp {

/// Whether a record shows that a certificate is wrong: the image itself, or a picture no farther
/// from it than the certified radius, has another label than the certified one by a sign test of
/// the judge's votes at 1e-6.
bool violates(const AttackRecord& record, const CertificateRecord& certificate);

/// Certificates from below, attacks from above: what the classifier withstands lies between.
struct Sandwich {
  struct Point {
    double size = 0.0;
    double certified_accuracy = 0.0, accuracy_under_attack = 0.0, accuracy = 0.0;
    bool ordered() const {
      return certified_accuracy <= accuracy_under_attack && accuracy_under_attack <= accuracy;
    }
  };

  std::uint64_t images = 0;              ///< that have both a certificate and an attack
  std::uint64_t tested = 0;              ///< of these, certified within some radius
  std::vector<std::int64_t> violations;  ///< images whose certificate is wrong
  /// The most violations that chance explains: certificates fail with probability alpha each, and
  /// more of them have a probability below 1 %.
  std::uint64_t explained = 0;
  std::vector<Point> points;  ///< at the sizes asked for

  bool holds() const { return violations.size() <= explained; }
};

/// Of the images that have both.
Sandwich sandwich(const CertificatesUnderAttack& certificates,
                  std::span<const AttackRecord> records, std::span<const double> sizes);

}  // namespace pixeldp
