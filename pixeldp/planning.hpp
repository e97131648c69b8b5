#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pixeldp/certificate.hpp"
#include "pixeldp/network_sensitivity.hpp"

/// What can be said before any draw, or without another one.
namespace pixeldp {

/// How many draws, about, certify at least this radius if the votes come in these proportions, the
/// label to certify first, and the strongest rival has what is left of rounding. Nothing where no
/// number that an image can have does. For bounds of votes and others of argmax scores.
std::optional<std::uint64_t> draws_for(std::span<const std::uint64_t> proportions, double radius,
                                       const Calibration& calibration,
                                       const CertificateOptions& options, Selection selection);

/// One sentence: why these votes certify nothing, and what would. Empty where they do.
std::string why_not_certified(const ScoreStatistics& statistics, const Calibration& calibration,
                              const CertificateOptions& options, std::optional<int> selected);

/// Noise at one place of a network, for attacks in one norm.
struct NoisePlan {
  std::string place;  ///< "the image", or the name of the layer that comes before
  Mechanism mechanism = Mechanism::gaussian;
  AttackNorm attack_norm = AttackNorm::l2;
  double sensitivity = 0.0;  ///< infinity where none is known
  /// Scale of the noise with which an image is certified for a radius.
  double scale = 0.0;
  /// Standard deviation of that noise as it would have to be in the image to bury as much of it:
  /// divided by the root mean square of what the layers before make of a change of the image.
  double in_pixels = 0.0;
};

/// All places, mechanisms and norms, for an image of whose draws a share votes for the label and
/// the bounds of whose scores are these. The least noise in pixels of each norm is the one to take:
/// what it costs in accuracy depends on the network, which has to be trained to tell, but noise
/// that buries less of the image leaves it more.
std::vector<NoisePlan> plan_noise(std::span<const NoisePlace> places, double radius,
                                  CertificateKind kind, double lower, double upper);

/// The one with the least noise in pixels for a norm, null where no sensitivity is known.
const NoisePlan* least_noise(std::span<const NoisePlan> plans, AttackNorm norm);

}  // namespace pixeldp
