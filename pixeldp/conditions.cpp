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
    return fmt::format("no noise and nothing certified, {} precision",
                       function_text(header.function));
  const CertificateOptions& options = header.options;
  return fmt::format(
      "{} certificate, {} bounds of {} scores, alpha {} per prediction{}, {}, {} after the noise",
      name(options.kind), name(options.bound), name(options.scores), options.alpha,
      looks_text(header), draws_text(header), function_text(header.function));
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
  return fmt::format(
      "{0} draws can never certify here: even {0} of {0} reach only a lower bound of {1} against "
      "an upper bound of {2} ({3}, alpha {4}, {5} classes, certificate {6}); {7}",
      draws, rounded(best.lower, true), rounded(best.upper, false), name(options.bound),
      options.alpha, classes, name(options.kind),
      least ? fmt::format("take at least {} draws", *least)
            : "no number of draws does: choose a larger alpha");
}

std::string rounded(double value, bool down, int digits) {
  if (value == 0.0 || value == 1.0) return fmt::format("{}", value);
  constexpr double smallest = std::numeric_limits<double>::min();
  if (value < smallest) return down ? "0" : rounded(smallest, false, digits);
  // All digits of the double: 767 are the most that one has.
  const std::string exact = fmt::format("{:.767e}", value);
  const std::size_t e = exact.find('e'), kept = static_cast<std::size_t>(digits) + 1;
  long number = std::stol(exact.substr(0, 1) + exact.substr(2, kept - 2));
  const bool cut = exact.find_first_not_of('0', kept) < e;
  if (cut && !down) ++number;
  // So few digits name a double that prints as these again.
  const long exponent = std::stol(exact.substr(e + 1)) - digits + 1;
  return fmt::format("{:.{}g}", std::stod(fmt::format("{}e{}", number, exponent)), digits);
}

}  // namespace pixeldp
