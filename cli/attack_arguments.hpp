#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "cli/certificate_arguments.hpp"
#include "cli/noise_arguments.hpp"
#include "pixeldp/attacks/attack.hpp"

namespace pixeldp::cli {

/// The options that choose an attack.
class AttackArguments {
 public:
  void add_to(CLI::App& command);
  /// What is not given is as usual for the attack (usual_attack), the norm that of the calibration;
  /// `once`: but for its restarts, which are 1.
  AttackOptions options(const Calibration& calibration, bool once = false) const;
  /// The same for a regression network (usual_output_attack). Throws a usage error where an option
  /// was given that it does not take.
  AttackOptions output_options(const Calibration& calibration) const;

 private:
  AttackNorm norm(const Calibration& calibration) const;
  /// Puts in what is the same for every kind of network.
  void give_to(AttackOptions& options) const;

  std::string attack_ = "pgd", norm_, against_ = "prediction", loss_;
  std::optional<double> size_, rate_;
  std::optional<std::int64_t> steps_, restarts_, searches_;
  std::optional<std::uint32_t> draws_, check_draws_, judge_draws_;
  bool targeted_ = false, warm_start_ = false;
  std::uint64_t seed_ = 1;
  CertificateArguments certificate_;
};

}  // namespace pixeldp::cli
