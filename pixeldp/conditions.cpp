#include "pixeldp/conditions.hpp"

#include <limits>

#include <fmt/format.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

std::string until_text(const Stopping& stopping) {
  switch (stopping.rule) {
    case StoppingRule::fixed:
      return "";
    case StoppingRule::radius:
      return fmt::format(
          "a radius of {} is proved or out of reach (wrongly with probability {} at most)",
          stopping.target, stopping.futility);
    case StoppingRule::tolerance:
      return fmt::format(
          "the radius is known to {} of it (taken for too small with probability {} at most)",
          stopping.target, stopping.futility);
  }
  fail("not a stopping rule: {}", static_cast<int>(stopping.rule));
}

/// What keeps the alpha from being all that there is to say.
std::string looks_text(const CertificateLogHeader& header) {
  switch (header.standing()) {
    case Standing::reserved:
      return header.ledger.size() == 1 ? ""
                                       : fmt::format(" in one of {} looks", header.ledger.size());
    case Standing::exploration:
      return " (an exploration: chosen when the counts were known)";
    case Standing::unrecorded:
      return "";
  }
  fail("not a standing: {}", static_cast<int>(header.standing()));
}

}  // namespace

std::string conditions_text(const CertificateLogHeader& header) {
  if (header.calibration.mechanism == Mechanism::none)
    return fmt::format("no noise and nothing certified, {}", function_text(header.function));
  const CertificateOptions& options = header.options;
  return fmt::format(
      "{} certificate{}, {} bounds of {} scores, alpha {} per prediction{}, {}, {}{} after the "
      "noise",
      name(options.kind), top_text(options), name(options.bound), name(options.scores),
      options.alpha, looks_text(header), draws_text(header),
      header.calibration.lattice_step > 0.0 ? "sound noise on a lattice, " : "",
      function_text(header.function));
}

std::string top_text(const CertificateOptions& options) {
  return options.top == 1 ? "" : fmt::format(" of the {} first labels", options.top);
}

std::string draws_text(const CertificateLogHeader& header) {
  const bool fixed = header.stopping.rule == StoppingRule::fixed;
  return fmt::format("{}{} draws{}{}", fixed ? "" : "at most ", header.draws,
                     fixed ? "" : fmt::format(", until {},", until_text(header.stopping)),
                     header.selection_draws > 0
                         ? fmt::format(" and {} others for the label", header.selection_draws)
                         : "");
}

std::string too_few_draws(std::uint64_t draws, int classes, const Calibration& calibration,
                          const CertificateOptions& options, Selection selection) {
  const Certificate best = best_certificate(draws, classes, calibration, options, selection);
  if (best.radius > 0.0) return {};
  const auto least = least_draws(classes, calibration, options, selection);
  const Certificate real =
      best_certificate(draws, classes, uncharged(calibration), options, selection);
  if (real.radius > 0.0)
    return fmt::format(
        "{} draws can never certify here: of the radius {} that they prove for real numbers "
        "nothing is left after what is charged, {:.3g} of total variation and {:.3g} of rounding "
        "before the noise; {}",
        draws, rounded(real.radius, true), calibration.variation, calibration.prefix_error,
        least ? fmt::format("take at least {} draws", *least)
              : "no number of draws does: take more noise, or certify with --sound");
  return fmt::format(
      "{0} draws can never certify here: even {0} of {0} reach only a lower bound of {1} against "
      "an upper bound of {2} ({3}, alpha {4}, {5} classes, certificate {6}); {7}",
      draws, rounded(best.lower, true), rounded(best.upper, false), name(options.bound),
      options.alpha, classes, name(options.kind),
      least ? fmt::format("take at least {} draws", *least)
            : "no number of draws does: choose a larger alpha");
}

}  // namespace pixeldp
