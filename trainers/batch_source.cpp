#include "trainers/batch_source.hpp"

#include "engine/threads.hpp"

namespace pixeldp {

BatchSource::BatchSource(const Dataset& dataset, const Options& options)
    : dataset_(dataset), options_(options), sampler_(dataset.size(), options.seed) {}

void BatchSource::prepare(std::int64_t step, TrainingBatch& batch) {
  const EpochSampler::Batch chosen = sampler_.batch(step, options_.batch);
  const std::int64_t rows = options_.batch / options_.parts;
  const auto first = static_cast<std::size_t>(options_.part * rows);
  batch.images.resize({rows, dataset_.height, dataset_.width, dataset_.channels});
  batch.rows.clear();
  batch.labels.clear();
  batch.targets.clear();
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::size_t i = first + static_cast<std::size_t>(row);
    batch.rows.push_back(
        {.source = row, .image = dataset_.image_id(chosen.images[i]), .draw = chosen.epochs[i]});
    const auto image = static_cast<std::size_t>(chosen.images[i]);
    if (dataset_.real_labels())
      batch.targets.push_back(dataset_.targets[image]);
    else
      batch.labels.push_back(dataset_.labels[image]);
  }
  const auto read = [&](std::int64_t row) {
    const auto i = static_cast<std::size_t>(row);
    const kernels::NoiseRow& address = batch.rows[i];
    to_float(dataset_, chosen.images[first + i],
             random_placement(options_.augmentation, options_.seed, address.image, address.draw),
             batch.images.row(row), options_.pixel_shift);
  };
  if (dataset_.images->decodes()) {
    parallel_for(rows, read);
  } else {
    for (std::int64_t row = 0; row < rows; ++row) read(row);
  }
}

}  // namespace pixeldp
