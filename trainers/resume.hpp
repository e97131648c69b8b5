#pragma once

#include <string>
#include <vector>

#include "engine/config.hpp"
#include "engine/io/dataset.hpp"
#include "trainers/checkpoint.hpp"
#include "trainers/training_config.hpp"

namespace pixeldp {

/// Makes a configuration one that goes on from a checkpoint: settings that are changeable
/// (training_settings.cpp) may differ from the checkpoint's, and are returned in words; throws an
/// Error that names any other that does. The learning rates of the steps that are done become the
/// checkpoint's, in `root` and in `config`, so that training anew by them gives the same model.
std::vector<std::string> continue_from(const Checkpoint& checkpoint, ConfigNode& root,
                                       TrainingConfig& config);

/// Throws an Error where the checkpoint belongs to other images than these, which `root` names.
void check_same_images(const Checkpoint& checkpoint, const Dataset& images, const ConfigNode& root);

}  // namespace pixeldp
