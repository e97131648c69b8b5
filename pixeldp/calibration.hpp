#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kernels/noise.hpp"

namespace pixeldp {

enum class Mechanism { none, gaussian, laplace };
enum class AttackNorm { l1, l2, linf };

// All of them, for what reads and offers them.
inline constexpr Mechanism mechanisms[] = {Mechanism::none, Mechanism::gaussian,
                                           Mechanism::laplace};
inline constexpr Mechanism noise_mechanisms[] = {Mechanism::gaussian, Mechanism::laplace};
inline constexpr AttackNorm attack_norms[] = {AttackNorm::l1, AttackNorm::l2, AttackNorm::linf};

/// "none", "gaussian", "laplace". Parsing anything else throws a usage error that lists the names.
std::string_view name(Mechanism mechanism);
Mechanism parse_mechanism(std::string_view text);

/// The noise that it adds.
kernels::NoiseDistribution distribution_of(Mechanism mechanism);

/// The norm of a change before the noise that its privacy depends on: 2 for Gaussian, 1 for
/// Laplace. Throws a usage error for none.
AttackNorm norm_of(Mechanism mechanism);

/// "1", "2", "inf".
std::string_view name(AttackNorm norm);
AttackNorm parse_attack_norm(std::string_view text);

/// What the scale of the noise was computed from (noise_scale_for).
struct Construction {
  double bound = 0.0;  ///< L, the attack size the noise was made for
  double epsilon = 1.0;
  double delta = 0.05;

  bool operator==(const Construction&) const = default;
};

/// How the noise of a model was calibrated: all that a certificate must know besides the
/// statistics. Lengths are in units where a pixel spans 1.
struct Calibration {
  Mechanism mechanism = Mechanism::none;
  AttackNorm attack_norm = AttackNorm::l2;
  /// None where the scale itself was chosen, as for networks trained elsewhere. No radius depends
  /// on it.
  std::optional<Construction> construction = {};
  double noise_scale = 0.0;  ///< sigma of the Gaussian, b of the Laplace distribution
  /// Upper bound of the change of the pre-noise part in the norm its mechanism needs (2 for
  /// Gaussian, 1 for Laplace) per unit of the attack norm; rounded up. 0: not known, and then
  /// nothing may be certified.
  double sensitivity = 0.0;
  /// Of noise on a lattice (kernels/lattice_noise.hpp): its step. 0: the noise is added in floats.
  double lattice_step = 0.0;
  /// Bounds the total variation, per draw, between the noise that is added and the theorem's, which
  /// radii are charged (variation.hpp).
  double variation = 0.0;
  /// Bounds what rounding does to the values before the noise, in the norm that the sensitivity is
  /// of; radii are charged twice that, once at the image and once at the attack
  /// (float_noise.hpp).
  double prefix_error = 0.0;

  /// Throws an Error unless the mechanism is none or every field is finite and in its range.
  void check() const;
};

/// The same without what radii are charged for the processor's own noise and rounding: about real
/// numbers.
Calibration uncharged(Calibration calibration);

/// Whether radii are charged for it: always on a lattice; in floats since logs say so.
inline bool is_charged(const Calibration& calibration) { return calibration.variation > 0.0; }

/// Whether two sensitivities of the same weights differ by no more than two processors round: both
/// are upper bounds then, and the larger one holds for both.
bool same_but_for_rounding(double sensitivity, double other);

/// sqrt(2 ln(1.25/delta)) * sensitivity * L / epsilon for Gaussian, sensitivity * L / epsilon for
/// Laplace (Lecuyer et al. 2019, section III): the noise that makes the pre-noise part (epsilon,
/// delta)-DP for attacks up to L. Rounded up to a float, the type in which the noise kernel takes
/// its scale. Throws a usage error when a value is out of range; Gaussian needs epsilon <= 1.
double noise_scale_for(Mechanism mechanism, double construction_bound, double epsilon, double delta,
                       double sensitivity);

}  // namespace pixeldp
