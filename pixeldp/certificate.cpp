#include "pixeldp/certificate.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/variation.hpp"

namespace pixeldp {

namespace {

kernels::RadiusRule radius_rule(CertificateKind kind, Mechanism mechanism) {
  using kernels::RadiusRule;
  switch (mechanism) {
    case Mechanism::none:
      break;
    case Mechanism::gaussian:
      switch (kind) {
        case CertificateKind::exact:
          return RadiusRule::gaussian_exact;
        case CertificateKind::pixeldp:
          return RadiusRule::gaussian;
        case CertificateKind::pixeldp_grid:
          return RadiusRule::gaussian_grid;
      }
      break;
    case Mechanism::laplace:
      switch (kind) {
        case CertificateKind::exact:
          return RadiusRule::laplace_exact;
        case CertificateKind::pixeldp:
        case CertificateKind::pixeldp_grid:  // the original's Laplace form has no grid
          return RadiusRule::laplace;
      }
      break;
  }
  fail("no radius follows from the certificate {} and the mechanism {}", static_cast<int>(kind),
       static_cast<int>(mechanism));
}

/// Noise scale / sensitivity: a denormal quotient is rounded down.
double scale_per_sensitivity(const Calibration& calibration) {
  return kernels::less_denormal(calibration.noise_scale / calibration.sensitivity);
}

}  // namespace

std::string_view name(CertificateKind kind) {
  switch (kind) {
    case CertificateKind::pixeldp:
      return "pixeldp";
    case CertificateKind::pixeldp_grid:
      return "pixeldp-grid";
    case CertificateKind::exact:
      return "exact";
  }
  fail("not a certificate: {}", static_cast<int>(kind));
}

CertificateKind parse_certificate_kind(std::string_view text) {
  return value_named(text, "certificate", certificate_kinds, name);
}

double certified_radius(CertificateKind kind, const Calibration& calibration, double lower,
                        double upper) {
  if (calibration.mechanism == Mechanism::none)
    fail("a model without noise has no certificate: train it with Gaussian or Laplace noise");
  calibration.check();
  if (!(lower >= 0.0 && lower <= 1.0 && upper >= 0.0 && upper <= 1.0))
    fail("bounds of expected scores must lie in [0, 1], not {} and {}", lower, upper);
  const double size = attack_size_under(calibration.variation,
                                        radius_rule(kind, calibration.mechanism), lower, upper);
  return kernels::radius_of(size, scale_per_sensitivity(calibration));
}

kernels::BoundsParams bounds_params(const Calibration& calibration,
                                    const CertificateOptions& options, std::int64_t images,
                                    std::int64_t classes) {
  return {.images = images,
          .classes = classes,
          .softmax = options.scores == ScoreType::softmax,
          .bound = options.bound,
          .rule = radius_rule(options.kind, calibration.mechanism),
          .alpha = options.alpha,
          .scale_per_sensitivity = scale_per_sensitivity(calibration)};
}

Certificate certify(const ScoreStatistics& statistics, const Calibration& calibration,
                    const CertificateOptions& options, std::optional<int> selected) {
  const ScoreBounds bounds =
      score_bounds(statistics, options.scores, options.bound, options.alpha,
                   selected ? Selection::separate_draws : Selection::same_draws);
  const auto classes = static_cast<int>(bounds.lower.size());
  if (selected && (*selected < 0 || *selected >= classes))
    fail_usage("the selected label {} is not one of the {} classes", *selected, classes);

  Certificate certificate;
  certificate.prediction = selected ? *selected : statistics.top_label(options.scores);
  certificate.lower = bounds.lower[static_cast<std::size_t>(certificate.prediction)];
  certificate.upper = 0.0;
  for (int c = 0; c < classes; ++c)
    if (c != certificate.prediction)
      certificate.upper = std::max(certificate.upper, bounds.upper[static_cast<std::size_t>(c)]);
  certificate.upper = kernels::upper_beside(certificate.lower, certificate.upper, classes,
                                            options.scores == ScoreType::softmax);
  certificate.radius =
      certified_radius(options.kind, calibration, certificate.lower, certificate.upper);
  return certificate;
}

Certificate best_certificate(std::uint64_t draws, int classes, const Calibration& calibration,
                             const CertificateOptions& options, Selection selection) {
  if (classes < 2) fail_usage("certificates of {} classes: at least 2 needed", classes);
  ScoreStatistics agreeing{.draws = draws, .votes = {}, .sums = {}, .squares = {}};
  std::vector<std::uint64_t> scores(static_cast<std::size_t>(classes), 0);
  switch (options.scores) {
    case ScoreType::argmax:
      scores[0] = draws;
      agreeing.votes = scores;
      break;
    case ScoreType::softmax:
      scores[0] = draws << 32;
      agreeing.sums = agreeing.squares = scores;
      break;
  }
  return certify(agreeing, calibration, options,
                 selection == Selection::separate_draws ? std::optional(0) : std::nullopt);
}

std::optional<std::uint64_t> least_draws(int classes, const Calibration& calibration,
                                         const CertificateOptions& options, Selection selection) {
  const auto enough = [&](std::uint64_t draws) {
    return best_certificate(draws, classes, calibration, options, selection).radius > 0.0;
  };
  std::uint64_t none = 0, some = kernels::most_draws;
  if (!enough(some)) return std::nullopt;
  while (some - none > 1) {
    const std::uint64_t middle = none + (some - none) / 2;
    (enough(middle) ? some : none) = middle;
  }
  return some;
}

}  // namespace pixeldp
