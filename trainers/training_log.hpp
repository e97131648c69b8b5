#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace pixeldp {

/// One line of training.csv. What was not measured at this step is left empty.
struct TrainingRecord {
  std::int64_t step = 0;
  double learning_rate = 0.0, noise_factor = 1.0;
  double loss = 0.0, train_accuracy = 0.0;  ///< means since the line before
  std::optional<double> test_accuracy;      ///< of the votes over a few draws
  /// Of the same votes, at the construction bound; nothing where so few draws could never certify.
  std::optional<double> certified_accuracy;
  std::optional<double> sensitivity;
  double seconds = 0.0;
  /// Of a regression network, in the unit of the labels: roots of mean squared errors, since the
  /// line before and of the mean over a few draws. They take the places of the accuracies.
  double train_error = 0.0;
  std::optional<double> test_error;
};

/// training.csv, appended to line by line.
class TrainingLog {
 public:
  /// Starts a new file, or with `resume_at` keeps the lines up to and including that step.
  /// `regression`: which of a record's figures it has.
  TrainingLog(const std::filesystem::path& path, std::optional<std::int64_t> resume_at,
              bool regression = false);
  /// Throws an Error when the line could not be written.
  void append(const TrainingRecord& record);

 private:
  std::filesystem::path path_;
  bool regression_;
  std::ofstream file_;
};

}  // namespace pixeldp
