#pragma once

#include <utility>

#include "engine/config.hpp"
#include "engine/io/dataset.hpp"
#include "trainers/training_config.hpp"

namespace pixeldp {

/// The training and the test images of a configuration. A batch larger than the training set is cut
/// down to it, in the configuration too. Throws an Error for sets that are empty, that the network
/// does not take, or whose labels lie outside its output, and for a batch that so many ranks cannot
/// divide.
std::pair<Dataset, Dataset> load_training_sets(TrainingConfig& config, ConfigNode& configuration,
                                               int ranks);

}  // namespace pixeldp
