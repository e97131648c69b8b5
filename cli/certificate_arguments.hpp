#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "pixeldp/certificate.hpp"

namespace pixeldp::cli {

/// The options that choose a certificate, the same on every command that makes one.
struct CertificateArguments {
  double alpha = 0.05;
  std::string bound, certificate = "pixeldp";

  void add_to(CLI::App& command);
  /// Without --bound: clopper-pearson for votes, which have an exact bound, and empirical-bernstein
  /// for means of softmax scores, which have not.
  CertificateOptions options(ScoreType scores) const;
};

/// --scores, for commands that evaluate draws.
void add_scores_option(CLI::App& command, std::string& scores);

/// --seed, likewise.
void add_seed_option(CLI::App& command, std::uint64_t& seed);

/// At most six significant digits, towards zero (down) or away from it: what is printed never
/// claims more than the value does.
std::string rounded(double value, bool down);

}  // namespace pixeldp::cli
