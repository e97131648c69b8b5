#include "cli/run_folder.hpp"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cli/certificate_arguments.hpp"
#include "engine/error.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/network_sensitivity.hpp"

namespace pixeldp::cli {

RunModel load_run(const std::string& folder, Scales scales) {
  if (!std::filesystem::is_directory(folder)) {
    fail("{}: no such folder; RUN is the folder that 'pixeldp train' wrote", folder);
  }
  const std::filesystem::path path = std::filesystem::path(folder) / "model.safetensors";
  Model model = load_model(path, scales);  // which says best what is missing
  return {.folder = folder, .sha256 = sha256_file(path), .model = std::move(model)};
}

Dataset load_evaluation_set(const Model& model, const std::string& dataset,
                            const std::string& split, const std::string& directory) {
  const std::string name = dataset.empty() ? model.dataset : dataset;
  const auto given = directory.empty() ? std::optional<std::string>() : std::optional(directory);
  return load_dataset(name, split, find_dataset_directory(name, given), image_form(model));
}

void warn_of_too_few_draws(std::uint64_t draws, const Model& model, const Calibration& calibration,
                           const CertificateOptions& options, Selection selection) {
  if (draws == 0) return;  // refused elsewhere, in other words
  const std::string text =
      too_few_draws(draws, model.network.classes(), calibration, options, selection);
  if (!text.empty()) fmt::print(stderr, "pixeldp: {}\n", text);
}

std::string other_norms(const Model& model, const Calibration& calibration) {
  std::string text;
  const NormTable norms = calibration.lattice_step > 0.0 ? on_lattice(model).norms
                                                         : network_norms(model.network, model.form);
  for (const Calibration& c : in_all_norms(calibration, norms)) {
    if (c.attack_norm == calibration.attack_norm) continue;
    // The quotient is rounded to either side by less than the factor takes away.
    const double factor = calibration.sensitivity / c.sensitivity * (1.0 - 1e-12);
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", name(c.attack_norm),
                        rounded(factor, true));
  }
  return text;
}

}  // namespace pixeldp::cli
