#include "cli/certificate_arguments.hpp"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "engine/error.hpp"

namespace pixeldp::cli {

void CertificateArguments::add_to(CLI::App& command) {
  command.add_option("--alpha", alpha, "Failure probability per prediction")->capture_default_str();
  command
      .add_option("--bound", bound,
                  "Confidence bound of the expected scores (default: clopper-pearson for argmax, "
                  "empirical-bernstein for softmax)")
      ->check(CLI::IsMember({"hoeffding", "empirical-bernstein", "clopper-pearson"}));
  command.add_option("--certificate", certificate, "Condition that gives the radius")
      ->check(CLI::IsMember({"pixeldp", "pixeldp-grid", "exact"}))
      ->capture_default_str();
}

CertificateOptions CertificateArguments::options(ScoreType scores) const {
  if (!(alpha > 0.0 && alpha < 1.0)) fail_usage("--alpha {}: it must lie between 0 and 1", alpha);
  CertificateOptions options{
      .scores = scores,
      .bound = scores == ScoreType::argmax ? Bound::clopper_pearson : Bound::empirical_bernstein,
      .kind = parse_certificate_kind(certificate),
      .alpha = alpha};
  if (!bound.empty()) options.bound = parse_bound(bound);
  return options;
}

void add_scores_option(CLI::App& command, std::string& scores) {
  command.add_option("--scores", scores, "What a draw contributes: a vote, or its softmax outputs")
      ->check(CLI::IsMember({"argmax", "softmax"}))
      ->capture_default_str();
}

void add_seed_option(CLI::App& command, std::uint64_t& seed) {
  command.add_option("--seed", seed, "Seed of the noise")
      ->check([](const std::string& text) -> std::string {
        // Or -1 and 2^64 would be read as 2^64 - 1.
        std::uint64_t value = 0;
        const char* const end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value);
        if (error == std::errc() && stop == end) return "";
        return fmt::format("'{}' is not a whole number from 0 to 2^64 - 1", text);
      })
      ->capture_default_str();
}

std::string rounded(double value, bool down) {
  if (value == 0.0 || value == 1.0) return fmt::format("{}", value);
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 5.0);
  const double digits = value / unit;
  // The quotient may have been rounded across an integer, hence the slip.
  constexpr double slip = 1e-9;
  return fmt::format("{:.6g}",
                     (down ? std::floor(digits - slip) : std::ceil(digits + slip)) * unit);
}

}  // namespace pixeldp::cli
