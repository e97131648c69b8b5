#include "trainers/training_sets.hpp"

#include "engine/error.hpp"
#include "engine/notice.hpp"

namespace pixeldp {
namespace {

/// Throws an Error unless all labels of a regression lie in the range of its output.
void check_labels(const Dataset& data, const TrainingConfig& config) {
  if (!config.network.output) return;
  const auto& [kind, low, high] = *config.network.output;
  for (std::size_t image = 0; image < data.targets.size(); ++image) {
    const double label = data.targets[image];
    if (!(label >= low && label <= high))
      fail(
          "image {} of {} ({}) has the label {}, outside the range of the output from {} to {}: "
          "set network.output_low and network.output_high so that it holds all labels",
          image, data.name, data.split, label, low, high);
  }
}

}  // namespace

std::pair<Dataset, Dataset> load_training_sets(TrainingConfig& config, ConfigNode& configuration,
                                               int ranks) {
  const auto directory = find_dataset_directory(config.dataset, config.directory);
  const layers::NetworkSpec& spec = config.network;
  const ImageForm form{.height = spec.height,
                       .width = spec.width,
                       .channels = spec.channels,
                       .classes = static_cast<int>(spec.classes),
                       .short_side = config.short_side};
  Dataset train = load_dataset(config.dataset, "train", directory, form);
  Dataset test = load_dataset(config.dataset, "test", directory, form);
  if (train.size() == 0 || test.size() == 0)
    fail("data set {} in {} is empty", config.dataset, directory.string());
  for (const Dataset* data : {&train, &test}) {
    if (data->height != spec.height || data->width != spec.width ||
        data->channels != spec.channels || data->classes != spec.classes) {
      fail(
          "data set {} ({}) has images of {}x{}x{} in {} classes, but the network takes {}x{}x{} "
          "in {}",
          data->name, data->split, data->height, data->width, data->channels, data->classes,
          spec.height, spec.width, spec.channels, spec.classes);
    }
  }
  for (const Dataset* data : {&train, &test}) check_labels(*data, config);
  if (config.batch > train.size()) {
    warn("training.batch: {} is more than the {} training images: {} are taken at a time",
         config.batch, train.size(), train.size());
    config.batch = train.size();
    configuration.set(fmt::format("training.batch={}", config.batch));
  }
  if (config.batch % ranks != 0)
    fail_usage("training.batch: {} images cannot be divided equally among {} ranks", config.batch,
               ranks);
  return {std::move(train), std::move(test)};
}

}  // namespace pixeldp
