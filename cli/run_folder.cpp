#include "cli/run_folder.hpp"

#include <optional>

#include "engine/error.hpp"

namespace pixeldp::cli {

RunModel load_run(const std::string& folder, Scales scales) {
  if (!std::filesystem::is_directory(folder)) {
    fail("{}: no such folder; RUN is the folder that 'pixeldp train' wrote", folder);
  }
  const std::filesystem::path path = std::filesystem::path(folder) / "model.safetensors";
  return {.folder = folder, .sha256 = sha256_file(path), .model = load_model(path, scales)};
}

Dataset load_evaluation_set(const Model& model, const std::string& dataset,
                            const std::string& split, const std::string& directory) {
  const std::string name = dataset.empty() ? model.dataset : dataset;
  const auto given = directory.empty() ? std::optional<std::string>() : std::optional(directory);
  return load_dataset(name, split, find_dataset_directory(name, given));
}

}  // namespace pixeldp::cli
