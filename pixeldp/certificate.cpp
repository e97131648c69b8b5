#include "pixeldp/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "pixeldp/special_functions.hpp"

namespace pixeldp {

namespace {

// Each formula below is a handful of operations of at most a few units of roundoff each. 2^-46 of
// the result, and where differences are formed 2^-46 of the terms, is 64 such units.
constexpr double margin = 0x1p-46;

double rounded_down(double radius) { return std::max(0.0, radius * (1.0 - margin)); }

// ln(a / b) / 2 rounded down, for a and b in (0, 1].
double half_log_ratio(double a, double b) {
  const double value = 0.5 * std::log(a / b);
  return value - margin * (1.0 + std::abs(value));
}

// The largest delta with lower > e^(2 eps) upper + (1 + e^eps) delta, rounded down below equality
// so that the inequality is strict; not positive when there is none.
double largest_delta(double epsilon, double lower, double upper) {
  const double e = std::exp(epsilon);
  return (lower - e * e * upper) / (1.0 + e) - margin;
}

// Attack size in units of sigma / Delta at which classical Gaussian noise is (epsilon, delta)-DP.
double gaussian_size(double epsilon, double delta) {
  return delta > 0.0 ? epsilon / std::sqrt(2.0 * std::log(1.25 / delta)) : 0.0;
}

// Maximum over epsilon of gaussian_size at the largest delta. Every epsilon gives a sound value, so
// the search may be as plain as 32 points, one per lane of a warp, that close in on the best.
double largest_gaussian_size(double lower, double upper) {
  constexpr int points = 32, rounds = 8;
  double low = 0.0;
  double high = std::min(1.0, half_log_ratio(lower, upper));
  double best = 0.0;
  for (int round = 0; round < rounds && low < high; ++round) {
    const double step = (high - low) / points;
    double best_here = -1.0, best_epsilon = low;
    for (int i = 1; i <= points; ++i) {
      const double epsilon = i < points ? low + i * step : high;
      const double size = gaussian_size(epsilon, largest_delta(epsilon, lower, upper));
      if (size > best_here) {
        best_here = size;
        best_epsilon = epsilon;
      }
    }
    best = std::max(best, best_here);
    low = std::max(low, best_epsilon - step);
    high = std::min(high, best_epsilon + step);
  }
  return best;
}

// The grid of the original program: delta in steps of 0.001, and for each the epsilon below 1 that
// ten halvings of [0, 1] leave as the last one to pass.
double grid_gaussian_size(double lower, double upper) {
  double best = 0.0;
  for (int i = 1; i < 300; ++i) {
    const double delta = i * 0.001;
    double low = 0.0, high = 1.0;
    while (high - low >= 0.001) {
      const double epsilon = 0.5 * (low + high);
      (largest_delta(epsilon, lower, upper) >= delta ? low : high) = epsilon;
    }
    best = std::max(best, gaussian_size(low, delta));
  }
  return best;
}

// Attack size s in units of b / Delta up to which the Laplace distribution keeps a label of
// expected score `lower` above one of `upper`. Laplace noise is log-concave, so the worst shift
// within the 1-norm ball lies along one axis. There, by Neyman and Pearson, a probability p falls
// to no less than e^-s p if p <= 1/2, and else to 1 - e^s (1-p) while that is above 1/2 and to e^-s
// / (4 (1-p)) from there on; it rises to the mirror image. The sizes are where the two meet.
double exact_laplace_size(double lower, double upper) {
  if (lower < 0.5) return half_log_ratio(lower, upper);
  if (upper > 0.5) return half_log_ratio(1.0 - upper, 1.0 - lower);
  return half_log_ratio(0.25 / (1.0 - lower), upper);
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
  for (const CertificateKind kind :
       {CertificateKind::pixeldp, CertificateKind::pixeldp_grid, CertificateKind::exact})
    if (text == name(kind)) return kind;
  fail_usage("unknown certificate '{}': use pixeldp, pixeldp-grid or exact", text);
}

double certified_radius(CertificateKind kind, const Calibration& calibration, double lower,
                        double upper) {
  if (calibration.mechanism == Mechanism::none)
    fail("a model without noise has no certificate: train it with Gaussian or Laplace noise");
  calibration.check();
  if (!(lower >= 0.0 && lower <= 1.0 && upper >= 0.0 && upper <= 1.0))
    fail("bounds of expected scores must lie in [0, 1], not {} and {}", lower, upper);
  if (lower <= upper) return 0.0;
  // Keeps every formula finite; no bound from a finite number of draws comes that close.
  lower = std::min(lower, 1.0 - 0x1p-53);
  upper = std::max(upper, 1e-290);

  double size = 0.0;
  if (calibration.mechanism == Mechanism::laplace) {
    size = kind == CertificateKind::exact ? exact_laplace_size(lower, upper)
                                          : half_log_ratio(lower, upper);
  } else {
    switch (kind) {
      case CertificateKind::pixeldp:
        size = largest_gaussian_size(lower, upper);
        break;
      case CertificateKind::pixeldp_grid:
        size = grid_gaussian_size(lower, upper);
        break;
      case CertificateKind::exact:
        size = 0.5 * (normal_quantile_lower(lower) - normal_quantile_upper(upper));
        break;
    }
  }
  return rounded_down(size * (calibration.noise_scale / calibration.sensitivity));
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
  // Votes of a draw add up to exactly 1; softmax outputs in floats to within a unit of the last
  // place per class and a few for the exponentials.
  const double excess = options.scores == ScoreType::argmax ? 0.0 : (classes + 8) * 0x1p-23;
  certificate.upper = std::min(certificate.upper, 1.0 - certificate.lower + excess + 0x1p-53);
  certificate.radius =
      certified_radius(options.kind, calibration, certificate.lower, certificate.upper);
  return certificate;
}

}  // namespace pixeldp
