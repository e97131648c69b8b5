#include "trainers/adversary.hpp"

#include "engine/threads.hpp"

namespace pixeldp {

Adversary::Start::Start(Device device, const Shape& images, const AdversarialTraining& attack)
    : pictures(device, images.size()), rows(device, attack.steps * images[0]) {}

Adversary::Adversary(const Stream& stream, const AdversarialTraining& attack, std::uint64_t seed,
                     float pixel_shift, layers::Network& network, layers::TrainingPass& pass)
    : stream_(stream),
      attack_(attack),
      seed_(seed),
      pixels_{pixel_shift},
      network_(network),
      pass_(pass),
      loss_(stream.device(), 1) {}

void Adversary::begin(const TrainingBatch& batch, Start& start, Tensor& images) {
  const std::int64_t rows = images.rows();
  const auto values = static_cast<std::size_t>(images.shape().row_size());
  const std::span<float> pictures = start.pictures.values();
  parallel_for(rows, [&](std::int64_t row) {
    const kernels::NoiseRow& address = batch.rows[static_cast<std::size_t>(row)];
    sample_ball(attack_.norm, {batch.images.row(row), values}, attack_.size, pixels_, seed_,
                address.image, address.draw,
                pictures.subspan(static_cast<std::size_t>(row) * values, values));
  });
  auto address = start.rows.values().begin();
  for (std::int64_t step = 0; step < attack_.steps; ++step)
    for (const kernels::NoiseRow& row : batch.rows)
      *address++ = {.source = row.source,
                    .image = row.image,
                    .draw = static_cast<std::uint32_t>(row.draw * attack_.steps + step)};
  if (rows_.size() != attack_.steps * rows)
    rows_ = Buffer<kernels::NoiseRow>(stream_.device(), attack_.steps * rows);
  centres_.resize(images.shape(), stream_.device());
  centres_.copy_from(stream_, images);
  upload_async(stream_, images.data(), start.pictures.data(), pictures.size_bytes());
  rows_.upload(stream_, start.rows);
}

void Adversary::climb(const std::int32_t* labels, const float* noise_factor, Tensor& images) {
  const std::int64_t rows = images.rows();
  for (std::int64_t step = 0; step < attack_.steps; ++step) {
    const Tensor& logits =
        pass_.forward(stream_, layers::Mode::inference, images,
                      {.seed = seed_,
                       .tag = StreamTag::attack,
                       .rows = {rows_.data() + step * rows, static_cast<std::size_t>(rows)},
                       .changing_factor = noise_factor});
    dlogits_.resize(logits.shape(), stream_.device());
    kernels::softmax_cross_entropy(stream_, rows, network_.classes(), logits.data(), labels,
                                   dlogits_.data(), loss_.data());
    dimages_.resize(images.shape(), stream_.device());
    pass_.backward(stream_, images, dlogits_, &dimages_);
    kernels::step_in_ball(stream_,
                          {.norm = ball_norm(attack_.norm),
                           .size = attack_.size,
                           .step = attack_.step,
                           .lowest = pixels_.lowest,
                           .highest = pixels_.highest(),
                           .rows = rows,
                           .values = images.shape().row_size()},
                          centres_.data(), dimages_.data(), images.data());
  }
}

}  // namespace pixeldp
