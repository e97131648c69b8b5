#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pixeldp/bounds.hpp"
#include "pixeldp/calibration.hpp"
#include "pixeldp/score_statistics.hpp"

namespace pixeldp {

enum class CertificateKind { exact, pixeldp, pixeldp_grid, cdf };
inline constexpr CertificateKind certificate_kinds[] = {
    CertificateKind::exact, CertificateKind::pixeldp, CertificateKind::pixeldp_grid,
    CertificateKind::cdf};

/// "exact", "pixeldp", "pixeldp-grid", "cdf".
std::string_view name(CertificateKind kind);
CertificateKind parse_certificate_kind(std::string_view text);

/// The largest attack size within which a label whose expected score is at least `lower` stays
/// above every label whose expected score is at most `upper`; rounded down, 0 when there is none.
///   pixeldp       lower > e^(2 eps) upper + (1 + e^eps) delta (Lecuyer et al. 2019, Prop. 2),
///                 maximised over epsilon for Gaussian noise, in closed form for Laplace noise
///   pixeldp-grid  the same over the original program's grid of deltas, for comparison only
///   exact         sigma / (2 Delta) (Phi^-1(lower) - Phi^-1(upper)) for Gaussian noise (Cohen et
///                 al. 2019); for Laplace b / (2 Delta) times ln(lower / upper) if lower < 1/2,
///                 ln(1 / (4 upper (1 - lower))) if upper <= 1/2 <= lower, and
///                 ln((1 - upper) / (1 - lower)) if upper > 1/2
/// less what the calibration's variation (variation.hpp) and prefix_error (less_rounding) cost.
/// Throws an Error when the calibration lacks what a certificate needs, and for cdf, which follows
/// from more than two bounds (cdf_certificate.hpp). For a label that is to stay
/// among the K first, top_k.hpp has the forms of pixeldp and exact.
double certified_radius(CertificateKind kind, const Calibration& calibration, double lower,
                        double upper);

struct CertificateOptions {
  ScoreType scores = ScoreType::argmax;
  Bound bound = Bound::clopper_pearson;
  CertificateKind kind = CertificateKind::exact;
  double alpha = 0.05;  ///< failure probability per prediction
  int top = 1;          ///< the label stays among so many first
};

/// Why no label of so many classes has such certificates, or nothing.
std::optional<std::string> fault(const CertificateOptions& options, int classes);

struct Certificate {
  int prediction = -1;
  double lower = 0.0;   ///< lower bound of the prediction's expected score
  double upper = 1.0;   ///< upper bound of all others' expected scores but the top - 1 largest
  double size = 0.0;    ///< certified attack size in units of noise scale / sensitivity
  double radius = 0.0;  ///< certified radius, rounded down; 0: not certified
};

/// What is left of an attack size when each image may be off by the calibration's prefix_error, E,
/// before the noise: of two images at a distance of r these are sensitivity * r + 2 E apart, so
/// that 2 E / noise scale is taken off. Rounded down, not below 0.
double less_rounding(double size, const Calibration& calibration);

/// The radius of an attack size in units of noise scale / sensitivity, rounded down.
double radius_of(double size, const Calibration& calibration);

/// What a device's kernel needs to know to make the certificates of certify (below) of the first
/// label, uncharged: for real numbers and ideal noise.
kernels::BoundsParams bounds_params(const Calibration& calibration,
                                    const CertificateOptions& options, std::int64_t images,
                                    std::int64_t classes);

/// A pure function of what was counted: no model, no draws. `selected` is the label chosen on
/// separate draws; without it the top label of `statistics` is taken and the bounds pay for that
/// choice. `upper` is the maximum over all other labels, and at most 1 - lower since the scores of
/// a draw sum to 1 (softmax scores in floats only nearly, which is allowed for). Throws a usage
/// error for what is at fault.
Certificate certify(const ScoreStatistics& statistics, const Calibration& calibration,
                    const CertificateOptions& options, std::optional<int> selected = std::nullopt);

/// The certificate of an image on whose label 0 all draws agree: no outcome of so many draws has a
/// larger radius.
Certificate best_certificate(std::uint64_t draws, int classes, const Calibration& calibration,
                             const CertificateOptions& options, Selection selection);

/// The least number of draws of which some outcome certifies a radius; nothing when even as many as
/// one image can have do not.
std::optional<std::uint64_t> least_draws(int classes, const Calibration& calibration,
                                         const CertificateOptions& options, Selection selection);

}  // namespace pixeldp
