#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "pixeldp/input_noise.hpp"

namespace pixeldp::cli {

/// --noise and --sigma: noise in the image, for networks whose training this program knows nothing
/// of.
struct NoiseArguments {
  std::string mechanism;
  std::optional<double> sigma;

  /// `when` completes the help: whose noise it is.
  void add_to(CLI::App& command, const std::string& when);
  /// None where neither is given. Throws a usage error for one without the other.
  std::optional<InputNoise> noise() const;
  /// Gives it, if there is any, to a model without noise, for one certification in the precision
  /// asked for. The scales of int8 were measured without it, so that one is a usage error.
  void give_to(Model& model, std::optional<kernels::Precision> precision) const;
};

/// "gaussian, scale 0.12 in the image".
std::string noise_text(const Calibration& calibration);

}  // namespace pixeldp::cli
