#include "trainers/batch_source.hpp"

namespace pixeldp {

BatchSource::BatchSource(const Dataset& dataset, const Options& options)
    : dataset_(dataset), options_(options), sampler_(dataset.size(), options.seed) {}

void BatchSource::prepare(std::int64_t step, TrainingBatch& batch) {
  const EpochSampler::Batch chosen = sampler_.batch(step, options_.batch);
  batch.images.resize({options_.batch, dataset_.height, dataset_.width, dataset_.channels});
  batch.rows.clear();
  batch.labels.clear();
  for (std::size_t i = 0; i < chosen.images.size(); ++i) {
    const std::int64_t image = chosen.images[i], row = static_cast<std::int64_t>(i);
    const std::uint32_t id = dataset_.image_id(image), epoch = chosen.epochs[i];
    to_float(dataset_, image, random_placement(options_.augmentation, options_.seed, id, epoch),
             batch.images.row(row), options_.pixel_shift);
    batch.rows.push_back({.source = row, .image = id, .draw = epoch});
    batch.labels.push_back(dataset_.labels[static_cast<std::size_t>(image)]);
  }
}

}  // namespace pixeldp
