#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/dataset.hpp"
#include "pixeldp/certificate_log.hpp"

namespace pixeldp::report {

/// The columns of training.csv, NaN where a cell is empty or a column is missing. Without a column
/// of steps the rows are counted.
struct Training {
  std::vector<double> step;
  std::vector<double> loss;
  std::vector<double> train_accuracy;
  std::vector<double> test_accuracy;
};

/// Reads the columns by the names in the first line; others are ignored, and so is a last line that
/// was cut short by a kill. Throws an Error naming file and line for a cell that is no number.
Training parse_training(std::string_view text, std::string_view source);

/// What a run's folder holds.
struct Run {
  std::string name;
  CertificateLog log;  ///< certificates.jsonl with at least one record (records_of_labels)
  std::optional<Training> training;   ///< training.csv
  std::optional<std::string> config;  ///< config.yaml, word for word
  /// Of the folder's model.safetensors, where there is one: the log may be of an earlier one.
  std::string model_sha256 = {};
  /// The same counts under those of the certificates `exact`, `pixeldp` and, where it can be made,
  /// `cdf` that are not the log's own; none without noise.
  std::vector<CertificateLog> others = {};
  std::shared_ptr<const Dataset> images = {};  ///< the split that was certified, where it was found
};

/// Run::others of a log.
std::vector<CertificateLog> other_certificates(const CertificateLog& log);

/// A run's own log and the others, `exact` first: what its curves are drawn from.
std::vector<const CertificateLog*> all_certificates(const Run& run);

/// Reads a run's folder. Throws an Error when the folder or the certificates are missing or
/// damaged, and when its files contradict each other (check_agreement).
Run load_run(const std::filesystem::path& folder);

/// The runs of several folders, named after their folders, or by the paths as given where two
/// folders have the same name. Throws a usage error for the same folder twice.
std::vector<Run> load_runs(const std::vector<std::filesystem::path>& folders);

/// Finds the images that the runs were certified on, for pictures of them: in `directory` if given,
/// else where find_dataset_directory looks. A run whose images are not there, or are not those of
/// its log, goes without; so does one on an image folder, whose form the log does not say.
void find_images(std::vector<Run>& runs, const std::optional<std::string>& directory);

/// Whether the model adds noise; without it nothing is certified, and the run is a baseline.
bool has_noise(const Run& run);

/// The attack size that a run with noise is summed up at: the one that the noise was made for, or,
/// where it was made for none, half of its scale per sensitivity.
double typical_attack(const Run& run);

}  // namespace pixeldp::report
