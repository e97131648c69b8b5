#include "cli/certificate_arguments.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "engine/text.hpp"
#include "pixeldp/alpha_ledger.hpp"

namespace pixeldp::cli {

void CertificateArguments::add_to(CLI::App& command, bool from_log) {
  const CertificateOptions standard;
  const auto fallback = [&](std::string_view otherwise) {
    return fmt::format(" (default: {})", from_log ? "the log's" : otherwise);
  };
  command.add_option(
      "--alpha", alpha_,
      "Failure probability per prediction" + fallback(fmt::format("{}", standard.alpha)));
  command
      .add_option("--bound", bound_,
                  "Confidence bound of the expected scores" +
                      fallback("pairwise for argmax, clopper-pearson for cdf and --top, "
                               "empirical-bernstein for softmax"))
      ->check(CLI::IsMember(names_of(all_bounds, name)));
  command
      .add_option("--certificate", certificate_,
                  "Condition that gives the radius" + fallback(name(standard.kind)))
      ->check(CLI::IsMember(names_of(certificate_kinds, name)));
}

void CertificateArguments::add_top_to(CLI::App& command, bool from_log) {
  command
      .add_option("--top", top_,
                  fmt::format("Certify that the label stays among the K first (default: {})",
                              from_log ? "the log's" : "1"))
      ->type_name("K");
}

CertificateOptions CertificateArguments::options(ScoreType scores) const {
  CertificateOptions standard;
  standard.scores = scores;
  // A label that shares the first place does not pass the test of pairwise bounds.
  const bool several = top_.value_or(1) > 1 && scores == ScoreType::argmax;
  standard.bound = several ? Bound::clopper_pearson : usual_bound(scores);
  return options_over(standard);
}

CertificateOptions CertificateArguments::options_over(CertificateOptions options) const {
  if (alpha_) options.alpha = *alpha_;
  if (!(options.alpha > 0.0 && options.alpha < 1.0))
    fail_usage("--alpha {}: it must lie between 0 and 1", options.alpha);
  if (top_) options.top = *top_;
  const bool was_cdf = options.kind == CertificateKind::cdf;
  if (!certificate_.empty()) options.kind = parse_certificate_kind(certificate_);
  // The one certificate that has bounds of its own.
  if (options.kind == CertificateKind::cdf)
    options.bound = Bound::clopper_pearson;
  else if (was_cdf)
    options.bound = usual_bound(options.scores);
  if (!bound_.empty()) options.bound = parse_bound(bound_);
  return options;
}

void add_scores_option(CLI::App& command, std::string& scores) {
  command.add_option("--scores", scores, "What a draw contributes: a vote, or its softmax outputs")
      ->check(CLI::IsMember(names_of(score_types, name)))
      ->capture_default_str();
}

void add_seed_option(CLI::App& command, std::uint64_t& seed) {
  command.add_option("--seed", seed, "Seed of the noise")
      ->check([](const std::string& text) -> std::string {
        // Or -1 and 2^64 would be read as 2^64 - 1.
        if (parse_number<std::uint64_t>(text)) return "";
        return fmt::format("'{}' is not a whole number from 0 to 2^64 - 1", text);
      })
      ->capture_default_str();
}

std::vector<std::uint64_t> parse_counts(const std::string& text) {
  std::vector<std::uint64_t> counts;
  for (const std::string_view part : split(text, ',')) {
    const auto count = parse_number<std::uint32_t>(part);
    if (!count)
      fail_usage("--counts: '{}' (entry {}) is not a whole number from 0 to 4294967295", part,
                 counts.size());
    counts.push_back(*count);
  }
  return counts;
}

void check_positive(const char* option, double value) {
  if (!(std::isfinite(value) && value > 0.0))
    fail_usage("{} {}: it must be a finite number above 0", option, value);
}

}  // namespace pixeldp::cli
