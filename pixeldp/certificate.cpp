#include "pixeldp/certificate.hpp"

#include <algorithm>
#include <functional>
#include <limits>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/cdf_certificate.hpp"
#include "pixeldp/top_k.hpp"
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
        case CertificateKind::cdf:
          break;
      }
      break;
    case Mechanism::laplace:
      switch (kind) {
        case CertificateKind::exact:
          return RadiusRule::laplace_exact;
        case CertificateKind::pixeldp:
        case CertificateKind::pixeldp_grid:  // the original's Laplace form has no grid
          return RadiusRule::laplace;
        case CertificateKind::cdf:
          break;
      }
      break;
  }
  fail("no radius follows from two bounds by the certificate {} and the mechanism {}", name(kind),
       name(mechanism));
}

void check_noise(const Calibration& calibration) {
  if (calibration.mechanism == Mechanism::none)
    fail("a model without noise has no certificate: train it with Gaussian or Laplace noise");
  calibration.check();
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
    case CertificateKind::cdf:
      return "cdf";
  }
  fail("not a certificate: {}", static_cast<int>(kind));
}

CertificateKind parse_certificate_kind(std::string_view text) {
  return value_named(text, "certificate", certificate_kinds, name);
}

std::optional<std::string> fault(const CertificateOptions& options, int classes) {
  const int top = options.top;
  const bool of_distribution =
      options.scores == ScoreType::softmax && options.bound == Bound::clopper_pearson;
  if (of_distribution && options.kind != CertificateKind::cdf)
    return fmt::format(
        "the bound {} is for votes: use argmax scores, or hoeffding, empirical-bernstein or "
        "betting for softmax scores, or the certificate cdf, which is of their distribution",
        name(options.bound));
  if (!of_distribution && options.kind == CertificateKind::cdf)
    return fmt::format(
        "the certificate cdf is of the distribution of softmax scores: it takes --scores softmax "
        "and the bound clopper-pearson, not {} bounds of {} scores",
        name(options.bound), name(options.scores));
  if (top < 1) return fmt::format("top {}: the K first labels are at least 1", top);
  if (top == 1) return std::nullopt;
  if (top >= classes)
    return fmt::format(
        "top {0} of {1} classes: each label is among the {0} first, K must be below the number of "
        "classes",
        top, classes);
  switch (options.kind) {
    case CertificateKind::exact:
    case CertificateKind::pixeldp:
      return std::nullopt;
    case CertificateKind::cdf:
      return fmt::format("top {}: there is no such certificate by the distribution of scores (cdf)",
                         top);
    case CertificateKind::pixeldp_grid:
      return fmt::format("top {}: the original program has no such certificate as {}", top,
                         name(options.kind));
  }
  fail("not a certificate: {}", static_cast<int>(options.kind));
}

double less_rounding(double size, const Calibration& calibration) {
  if (calibration.prefix_error == 0.0) return size;
  constexpr double ulps = 4 * std::numeric_limits<double>::epsilon();
  const double less = 2.0 * calibration.prefix_error / calibration.noise_scale * (1.0 + ulps);
  return kernels::less_denormal((size - less) * (1.0 - ulps));
}

double radius_of(double size, const Calibration& calibration) {
  return kernels::radius_of(size, scale_per_sensitivity(calibration));
}

double certified_radius(CertificateKind kind, const Calibration& calibration, double lower,
                        double upper) {
  check_noise(calibration);
  if (!(lower >= 0.0 && lower <= 1.0 && upper >= 0.0 && upper <= 1.0))
    fail("bounds of expected scores must lie in [0, 1], not {} and {}", lower, upper);
  const double size = attack_size_under(calibration.variation,
                                        radius_rule(kind, calibration.mechanism), lower, upper);
  return radius_of(less_rounding(size, calibration), calibration);
}

kernels::BoundsParams bounds_params(const Calibration& calibration,
                                    const CertificateOptions& options, std::int64_t images,
                                    std::int64_t classes) {
  if (options.top != 1)
    fail("devices certify the first label, not that one is among the {} first", options.top);
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
  if (const auto text = fault(options, statistics.classes())) fail_usage("{}", *text);
  if (options.kind == CertificateKind::cdf)
    return certify_by_distribution(statistics, calibration, options.alpha, selected);
  const ScoreBounds bounds = score_bounds(statistics, options.scores, options.bound, options.alpha,
                                          selection_of(selected.has_value()), options.top);
  const auto classes = static_cast<int>(bounds.lower.size());
  if (selected && (*selected < 0 || *selected >= classes))
    fail_usage("the selected label {} is not one of the {} classes", *selected, classes);

  Certificate certificate;
  certificate.prediction = selected ? *selected : statistics.top_label(options.scores);
  certificate.lower = bounds.lower[static_cast<std::size_t>(certificate.prediction)];
  const bool softmax = options.scores == ScoreType::softmax;
  std::vector<double> others = bounds.upper;
  others.erase(others.begin() + certificate.prediction);
  const auto last = others.begin() + (options.top - 1);
  std::partial_sort(others.begin(), last + 1, others.end(), std::greater<>());
  certificate.upper = kernels::upper_beside(certificate.lower, *last, classes, softmax);
  check_noise(calibration);
  const kernels::RadiusRule rule = radius_rule(options.kind, calibration.mechanism);
  const double size =
      options.top == 1
          ? attack_size_under(calibration.variation, rule, certificate.lower, certificate.upper)
          : top_k_attack_size(rule, certificate.lower, {others.begin(), last + 1}, classes, softmax,
                              calibration.variation);
  certificate.size = less_rounding(size, calibration);
  certificate.radius = radius_of(certificate.size, calibration);
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
      agreeing.histogram.assign(scores.size() * score_thresholds, 0);
      std::fill_n(agreeing.histogram.begin(), score_thresholds, draws);
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
