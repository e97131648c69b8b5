#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "layers/network.hpp"

namespace pixeldp {

/// All that an interrupted training needs to go on as if nothing had happened.
struct TrainingState {
  std::int64_t step = 0;       ///< steps done
  double seconds = 0.0;        ///< time spent on them
  double interval_loss = 0.0;  ///< sums since the last line of the log
  std::int64_t interval_correct = 0, interval_images = 0;
  std::vector<Tensor> velocity;  ///< the optimiser's momentum, one entry per parameter
};

/// Writes parameters, buffers and state atomically, from the memory of the stream's device.
/// `config` is the resolved configuration that the run belongs to.
void save_checkpoint(const Stream& stream, const std::filesystem::path& path,
                     const layers::Network& network, const TrainingState& state,
                     const std::string& config);

/// Restores them, in host memory. Throws an Error when the checkpoint is damaged or belongs to
/// another configuration.
TrainingState load_checkpoint(const std::filesystem::path& path, layers::Network& network,
                              const std::string& config);

}  // namespace pixeldp
