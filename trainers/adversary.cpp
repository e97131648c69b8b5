#include "trainers/adversary.hpp"

#include "engine/threads.hpp"

namespace pixeldp {

Adversary::Adversary(const Stream& stream, const AdversarialTraining& attack, std::uint64_t seed,
                     float pixel_shift, layers::Network& network, layers::TrainingPass& pass)
    : stream_(stream),
      attack_(attack),
      seed_(seed),
      pixels_{pixel_shift},
      network_(network),
      pass_(pass),
      loss_(stream.device(), 1) {}

void Adversary::perturb(const TrainingBatch& batch, float noise_factor, Tensor& images) {
  const std::int64_t rows = images.rows();
  const auto values = static_cast<std::size_t>(images.shape().row_size());
  const auto picture = [&](std::int64_t row) { return std::span(pictures_.row(row), values); };
  const auto image = [&](std::int64_t row) { return std::span(batch.images.row(row), values); };
  if (labels_.size() != rows) {
    labels_ = Buffer<std::int32_t>(stream_.device(), rows);
    rows_ = Buffer<kernels::NoiseRow>(stream_.device(), rows);
  }
  labels_.upload(stream_, batch.labels);
  pictures_.resize(images.shape());
  parallel_for(rows, [&](std::int64_t row) {
    const kernels::NoiseRow& address = batch.rows[static_cast<std::size_t>(row)];
    sample_ball(attack_.norm, image(row), attack_.size, pixels_, seed_, address.image, address.draw,
                picture(row));
  });
  for (std::int64_t step = 0; step < attack_.steps; ++step) {
    images.copy_from(stream_, pictures_);
    differentiate(batch, step, noise_factor, images);
    parallel_for(rows, [&](std::int64_t row) {
      step_against(attack_.norm, {gradients_.row(row), values}, -attack_.step, picture(row));
      project(attack_.norm, image(row), attack_.size, pixels_, picture(row));
    });
  }
  images.copy_from(stream_, pictures_);
}

void Adversary::differentiate(const TrainingBatch& batch, std::int64_t number, float noise_factor,
                              const Tensor& images) {
  std::vector<kernels::NoiseRow> addresses = batch.rows;
  for (kernels::NoiseRow& address : addresses)
    address.draw = static_cast<std::uint32_t>(address.draw * attack_.steps + number);
  rows_.upload(stream_, addresses);
  const Tensor& logits = pass_.forward(stream_, layers::Mode::inference, images,
                                       {.seed = seed_,
                                        .tag = StreamTag::attack,
                                        .factor = noise_factor,
                                        .rows = {rows_.data(), addresses.size()}});
  dlogits_.resize(logits.shape(), stream_.device());
  kernels::softmax_cross_entropy(stream_, images.rows(), network_.classes(), logits.data(),
                                 labels_.data(), dlogits_.data(), loss_.data());
  dimages_.resize(images.shape(), stream_.device());
  pass_.backward(stream_, images, dlogits_, &dimages_);
  gradients_.resize(images.shape());
  gradients_.copy_from(stream_, dimages_);
}

}  // namespace pixeldp
