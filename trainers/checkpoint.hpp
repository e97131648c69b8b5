#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/safetensors.hpp"
#include "layers/network.hpp"

namespace pixeldp {

/// All that an interrupted training needs to go on as if nothing had happened.
struct TrainingState {
  std::int64_t step = 0;       ///< steps done
  double seconds = 0.0;        ///< time spent on them
  double interval_loss = 0.0;  ///< sums since the last line of the log
  std::int64_t interval_correct = 0, interval_images = 0;
  std::optional<double> last_loss;  ///< of the last line of the log, if there was one
  std::vector<Tensor> velocity;     ///< the optimiser's momentum, one entry per parameter
};

/// Writes parameters, buffers and state atomically, from the memory of the stream's device.
/// `config` is the resolved configuration that the run belongs to, `images` the identity of the
/// images that it is trained on.
void save_checkpoint(const Stream& stream, const std::filesystem::path& path,
                     const layers::Network& network, const TrainingState& state,
                     const std::string& config, const std::string& images);

/// A checkpoint as it was read.
struct Checkpoint {
  std::filesystem::path path;
  SafetensorsFile file;

  std::int64_t step() const;
  /// The resolved configuration of the run, as YAML.
  const std::string& config() const { return file.metadata.at("config"); }
  /// The identity of the images of the run; nothing where the checkpoint does not say.
  std::optional<std::string> images() const;
  /// Puts parameters and buffers into the network and returns the rest, in host memory. Throws an
  /// Error when something is missing or belongs to another network.
  TrainingState restore(layers::Network& network) const;
};

/// Throws an Error when the file is damaged or no checkpoint.
Checkpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace pixeldp
