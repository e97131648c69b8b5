#pragma once

#include <filesystem>
#include <vector>

#include "pixeldp/certification.hpp"
#include "pixeldp/regression/regression_log.hpp"
#include "pixeldp/verification.hpp"

namespace pixeldp {

/// How a regression network is certified; what is not said here is as in CertificationOptions.
struct RegressionTask {
  Device device{};
  OutputOptions options = {};
  std::optional<kernels::Precision> precision = {};
  std::optional<kernels::Algorithm> algorithm = {};
  std::uint32_t draws = 300;
  std::uint64_t seed = 1;
  std::int64_t micro_batch = 0;
  ImageRange images = {};
  std::optional<double> radius = {}, move = {};  ///< RegressionLogHeader's
  bool charged = true;                           ///< as CertificationOptions'
  bool resume = false;
  Communicator* ranks = &Communicator::alone();
};

struct RegressionSummary {
  RegressionLogHeader header = {};
  /// Of the images asked for, in their order; at rank 0.
  std::vector<RegressionRecord> records = {};
  std::uint64_t new_draws = 0;
  double seconds = 0.0;
};

/// The header of the log that certify_outputs writes. Throws an Error when the model cannot be
/// certified (check_certifiable, check_output_options), the images do not fit it, or the radius or
/// the move is out of range.
RegressionLogHeader regression_header(const Model& model, const std::string& model_sha256,
                                      const Dataset& dataset, const RegressionTask& task);

/// certify_dataset for a regression network: draws and certifies images, each into the log at
/// `path` as soon as it is known, shared out among ranks.
RegressionSummary certify_outputs(const Model& model, const std::string& model_sha256,
                                  const Dataset& dataset, const RegressionTask& task,
                                  const std::filesystem::path& path);

/// verify() for the log of a regression network.
Verification verify_outputs(const RegressionLog& log, const Model& model,
                            const std::string& model_sha256, const Dataset& dataset,
                            const VerificationOptions& options);

/// What has to be said with every figure about such a log.
std::string conditions_text(const RegressionLogHeader& header);

/// What the lines of a log say together, in the unit of the labels.
struct RegressionMetrics {
  double root_mean_square = 0.0;  ///< of prediction - label
  double mean_error = 0.0;        ///< mean |prediction - label|
};
RegressionMetrics regression_metrics(std::span<const RegressionRecord> records);

/// What is proved within a radius, in the mean over images, by one certificate of their draws.
struct ReachSummary {
  double mean_width = 0.0;    ///< of the intervals
  double mean_error = 0.0;    ///< of the largest error that an interval leaves possible
  double mean_move = 0.0;     ///< of the bounds of how far predictions move
  double within_label = 0.0;  ///< share of the intervals that hold the label
};
ReachSummary reach_summary(const RegressionLogHeader& header,
                           std::span<const RegressionRecord> records, double radius);

}  // namespace pixeldp
