#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/certificate_arguments.hpp"
#include "pixeldp/regression/regression.hpp"

namespace pixeldp::cli {

// What commands do for regression networks.

/// Throws a usage error where an option was given that only classifiers take.
void refuse_of_classifiers(bool given, const char* option);

/// --move and --prediction, which only they take.
struct RegressionArguments {
  std::optional<double> move;
  std::string prediction = "mean";
  bool prediction_given = false;

  void add_to(CLI::App& command, bool from_log = false);
  OutputOptions options(const CertificateArguments& certificate) const;
  /// What is not given is that of others, such as a log's, whose bound a prediction keeps.
  OutputOptions options_over(OutputOptions others, const CertificateArguments& certificate) const;
  /// Throws a usage error where an option was given that a classifier does not take.
  void refuse_given() const;
};

struct RegressionRecertification {
  std::filesystem::path log, output;
  RegressionArguments regression;
  CertificateArguments certificate;
  std::optional<double> radius;
  bool json = false;
};

/// 'recertify' for the log of a regression network.
void recertify_regression(RegressionLog log, const RegressionRecertification& o);

/// Of a certification: error, and what is proved within some radii.
void print_regression(const RegressionLogHeader& header, std::span<const RegressionRecord> records);
nlohmann::ordered_json regression_json(const RegressionLogHeader& header,
                                       std::span<const RegressionRecord> records);

/// A number from either side of 0, rounded outwards or inwards to 5 digits: "-12.346".
std::string rounded_signed(double value, bool down);

}  // namespace pixeldp::cli
