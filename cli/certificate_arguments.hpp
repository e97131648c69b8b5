#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "pixeldp/certificate.hpp"
#include "pixeldp/conditions.hpp"

namespace pixeldp::cli {

/// The options that choose a certificate, the same on every command that makes one.
class CertificateArguments {
 public:
  /// `from_log`: what is not given is taken from a certificate log, and the help says so.
  void add_to(CLI::App& command, bool from_log = false);
  /// --top, for commands whose certificates can be of the K first labels.
  void add_top_to(CLI::App& command, bool from_log = false);
  /// Without --bound: usual_bound.
  CertificateOptions options(ScoreType scores) const;
  /// What is not given is that of others, such as a log's.
  CertificateOptions options_over(CertificateOptions others) const;
  bool alpha_given() const { return alpha_.has_value(); }
  bool any_given() const { return alpha_ || top_ || !bound_.empty() || !certificate_.empty(); }

 private:
  std::optional<double> alpha_;
  std::optional<int> top_;
  std::string bound_, certificate_;
};

/// --scores, for commands that evaluate draws.
void add_scores_option(CLI::App& command, std::string& scores);

/// --seed, likewise.
void add_seed_option(CLI::App& command, std::uint64_t& seed);

/// The votes of --counts, "280,15,5". Throws a usage error for anything else.
std::vector<std::uint64_t> parse_counts(const std::string& text);

/// Throws a usage error unless the value of an option is finite and above 0.
void check_positive(const char* option, double value);

}  // namespace pixeldp::cli
