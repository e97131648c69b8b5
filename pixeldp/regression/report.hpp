#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pixeldp/regression/regression.hpp"

namespace pixeldp::report {

/// A certificate of the same draws, and what it proves at each of some radii.
struct OutputForm {
  OutputOptions options = {};
  std::vector<ReachSummary> reaches = {};
  /// The share of the images whose interval is narrower than that of the paper's lemma by betting
  /// bounds, at each radius; empty where the network has no such certificate.
  std::vector<double> narrower = {};
};

/// What the folder of a run of a regression network holds.
struct RegressionRun {
  std::string name;
  RegressionLog log;
  std::shared_ptr<const Dataset> images = {};  ///< the split that was certified, where it was found
  std::vector<double> radii = {};              ///< from 0 to several times what the noise is for
  std::vector<OutputForm> forms = {};          ///< every form that there is for the network
};

/// Reads RUN/certificates.jsonl, finds the images as find_images does, and certifies the first
/// images of the log by every form. Throws an Error for a log that is damaged or holds no image.
RegressionRun load_regression_run(const std::filesystem::path& folder,
                                  const std::optional<std::string>& directory);

/// One HTML page that needs no other file: error and certified interval against the radius, the
/// forms beside each other, predictions against labels, and examples with their pictures.
std::string regression_page(const std::vector<RegressionRun>& runs);

/// The curves as CSV with a first line of names.
std::string regression_csv(const std::vector<RegressionRun>& runs);

}  // namespace pixeldp::report
