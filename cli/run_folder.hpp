#pragma once

#include <filesystem>
#include <string>

#include "engine/io/dataset.hpp"
#include "pixeldp/certificate.hpp"
#include "pixeldp/model.hpp"

namespace pixeldp::cli {

/// A model as a run's folder holds it.
struct RunModel {
  std::filesystem::path folder;
  std::string sha256;  ///< of model.safetensors
  Model model;
};

RunModel load_run(const std::string& folder, Scales scales = Scales::read);

/// The data set a model is evaluated on: the one it was trained on, unless `dataset` names another.
Dataset load_evaluation_set(const Model& model, const std::string& dataset,
                            const std::string& split, const std::string& directory);

/// Says on standard error, before any draw is made, where no outcome of the draws could certify
/// anything, after all that the calibration charges.
void warn_of_too_few_draws(std::uint64_t draws, const Model& model, const Calibration& calibration,
                           const CertificateOptions& options, Selection selection);

/// By what the radii are to be multiplied for attacks in the other norms, rounded down: "1: 0.934,
/// inf: 0.0412". All hold together. Norms of which no sensitivity is known are left out.
std::string other_norms(const Model& model, const Calibration& calibration);

}  // namespace pixeldp::cli
