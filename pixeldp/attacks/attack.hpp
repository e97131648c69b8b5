#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pixeldp/certificate.hpp"
#include "pixeldp/draws_loss.hpp"

namespace pixeldp {

enum class AttackKind {
  cw,     ///< Carlini and Wagner: the nearest picture that succeeds (2-norm)
  pgd,    ///< projected gradient descent: many steps within a ball, from several places
  fgsm,   ///< fast gradient (sign) method: one step to the border of the ball
  random  ///< pictures drawn uniformly from the ball
};
inline constexpr AttackKind attack_kinds[] = {AttackKind::cw, AttackKind::pgd, AttackKind::fgsm,
                                              AttackKind::random};

/// "cw", "pgd", "fgsm", "random".
std::string_view name(AttackKind kind);
AttackKind parse_attack_kind(std::string_view text);

/// All that the result of an attack on an image depends on, besides the model and the image.
struct AttackOptions {
  AttackKind kind = AttackKind::pgd;
  AttackNorm norm = AttackNorm::l2;
  /// How far from the image a picture may be, where a pixel spans 1; none: as far as it takes (cw),
  /// or the image's certified radius (others).
  std::optional<double> size = {};
  std::int64_t steps = 100;
  double step = 0.0;          ///< of pgd, in the norm; 0: 2.5 sizes divided by the steps
  std::int64_t restarts = 1;  ///< places that an attack starts from; of random, pictures drawn
  std::int64_t searches = 9;  ///< constants c that cw tries
  double rate = 0.01;         ///< of Adam, by which cw steps
  bool warm_start = false;    ///< cw goes on from the nearest success, not from the image
  std::uint32_t draws = 10;   ///< of a gradient
  DrawsLoss loss = DrawsLoss::cross_entropy;
  bool targeted = false;  ///< towards one label of each image, drawn at random
  /// A success is a prediction certified at this radius by `certificate`; none: any prediction.
  std::optional<double> certified = {};
  CertificateOptions certificate = {};
  std::uint32_t check_draws = 200;  ///< by which an attack tells its own successes
  std::uint32_t judge_draws = 500;  ///< by which it is judged
  std::uint64_t seed = 1;
};

/// Those of the paper (Lecuyer et al. 2019, appendix C) and its program:
///   cw      9 searches of 100 steps of 0.01, 20 draws, hinge (margin against certified ones)
///   pgd     15 starts, 10 draws, cross-entropy; 100 steps of 2.5 size / 100 (1- and 2-norm), or
///           max(255 size + 8, 1.5 * 255 size) of 0.003 (infinity-norm)
///   fgsm    10 draws, cross-entropy
///   random  100 pictures
/// A network without noise has one draw of everything.
AttackOptions usual_attack(AttackKind kind, AttackNorm norm, std::optional<double> size,
                           std::optional<double> certified, bool noisy);

/// "pgd in the norm 2, size 0.1, 100 steps, ...", all that tells one attack from another.
std::string attack_text(const AttackOptions& options);

/// Where the draws of checks begin, which no gradient reaches (check_attack).
inline constexpr std::uint32_t first_check_draw = std::uint32_t{1} << 31;

/// Throws a usage error for what makes no sense, on images of so many values and a model that is
/// calibrated like this. `radii`: each image has a certified radius that stands in for a size.
void check_attack(const AttackOptions& options, std::int64_t values, int classes,
                  const Calibration& calibration, bool radii);

}  // namespace pixeldp
