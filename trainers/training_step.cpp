#include "trainers/training_step.hpp"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "kernels/real_output.hpp"
#include "kernels/sgd.hpp"
#include "layers/conv2d.hpp"
#include "layers/networks/autoencoder.hpp"
#include "pixeldp/network_sensitivity.hpp"
#include "pixeldp/weight_norms.hpp"
#include "trainers/reconstruction.hpp"

namespace pixeldp {
namespace {

/// Of the batch, whose equal parts the ranks have: the mean loss, summed in the order of the ranks.
kernels::LossResult over_ranks(const kernels::LossResult& mine, Communicator& ranks) {
  std::vector<kernels::LossResult> all(static_cast<std::size_t>(ranks.size()));
  ranks.all_gather(&mine, sizeof mine, all.data());
  kernels::LossResult whole;
  for (const kernels::LossResult& part : all) {
    whole.loss += part.loss;
    whole.correct += part.correct;
  }
  whole.loss /= ranks.size();
  return whole;
}

}  // namespace

TrainingStep::TrainingStep(const Stream& stream, const TrainingConfig& config,
                           layers::Network& network, Communicator& ranks)
    : stream_(stream),
      config_(config),
      network_(network),
      ranks_(ranks),
      rows_of_rank_(config.batch / ranks.size()),
      pass_(network, config.synchronised_batch_norm && ranks.size() > 1 ? &ranks : nullptr),
      images_(network.input().with_rows(rows_of_rank_), stream.device()),
      rows_(stream.device(), rows_of_rank_),
      labels_(stream.device(), rows_of_rank_),
      loss_(stream.device(), 1),
      bad_loops_(stream.device(), std::ssize(network.prefix())) {
  if (config.adversarial)
    adversary_.emplace(stream, *config.adversarial, config.seed,
                       static_cast<float>(config.pixel_shift), network, pass_);
  if (config.dual) dual_.emplace(network);
  bad_loops_.upload(stream_, std::vector(network.prefix_size(), kernels::no_bad_loop));
  if (ranks.size() == 1) return;
  average_.emplace(
      stream, network, ranks, GradientAverage::usual_bucket,
      DeviceAverage{join_devices(stream.device(), ranks, config.nccl_order), config.nccl_order});
  pass_.on_gradients([this](std::size_t node) { average_->ready(node); });
}

/// What a step does not train, of an auto-encoder and its classifier.
void TrainingStep::freeze(std::int64_t step) {
  if (network_.reconstruction == 0) return;
  const auto trains = [&](const std::string& name) {
    const bool autoencoder = name.starts_with(layers::autoencoder_prefix);
    if (reconstructs(step)) return autoencoder;
    switch (config_.trained) {
      case TrainedPart::autoencoder:
        return autoencoder;
      case TrainedPart::classifier:
        return !autoencoder;
      case TrainedPart::both:
        return true;
    }
    fail("not a part that can be trained: {}", static_cast<int>(config_.trained));
  };
  for (layers::Parameter* parameter : network_.parameters())
    parameter->frozen = !trains(parameter->name);
  for (layers::LayerBuffer* buffer : network_.buffers()) buffer->frozen = !trains(buffer->name);
}

kernels::LossResult TrainingStep::forward(std::int64_t step, const TrainingBatch& batch) {
  freeze(step);
  images_.copy_from(stream_, batch.images);
  const auto noise_factor = static_cast<float>(noise_factor_at(config_, step));
  if (adversary_ && !reconstructs(step)) adversary_->perturb(batch, noise_factor, images_);
  rows_.upload(stream_, batch.rows);
  if (!config_.network.output) labels_.upload(stream_, batch.labels);
  const layers::NoiseDraws draws{.seed = config_.seed,
                                 .tag = StreamTag::training,
                                 .factor = noise_factor,
                                 .rows = {rows_.data(), batch.rows.size()}};
  kernels::LossResult result;
  if (dual_) {
    result = dual_loss(step, batch);
  } else if (reconstructs(step)) {
    const Tensor& image = pass_.forward_reconstruction(stream_, images_, draws);
    dlogits_.resize(image.shape());
    result.loss = reconstruction_loss(image.values(), std::as_const(images_).values(),
                                      static_cast<float>(config_.pixel_shift), dlogits_.values());
  } else {
    const Tensor& logits = pass_.forward(stream_, layers::Mode::training, images_, draws);
    dlogits_.resize(logits.shape(), stream_.device());
    if (config_.network.output) {
      result = kernels::squared_error(stream_, rows_of_rank_, *config_.network.output,
                                      logits.data(), batch.targets.data(), dlogits_.data());
    } else {
      kernels::softmax_cross_entropy(stream_, rows_of_rank_, network_.classes(), logits.data(),
                                     labels_.data(), dlogits_.data(), loss_.data());
      loss_.download(stream_, {&result, 1});
    }
  }
  if (ranks_.size() == 1) return result;
  average_->check();  // of the step before, for which this loss had to wait
  return over_ranks(result, ranks_);
}

/// The cross-entropy of the worst logits that the dual bound allows: no picture of the box has a
/// larger one (Wong and Kolter 2018, theorem 2). dlogits_ is then the gradient in the margins.
kernels::LossResult TrainingStep::dual_loss(std::int64_t step, const TrainingBatch& batch) {
  const Tensor& margins = dual_->margins(images_, batch.labels, config_.dual->size_at(step),
                                         {static_cast<float>(config_.pixel_shift)});
  dlogits_.resize(margins.shape());
  for (std::int64_t i = 0; i < margins.size(); ++i) dlogits_.data()[i] = -margins.data()[i];
  kernels::LossResult result;
  kernels::softmax_cross_entropy(stream_, rows_of_rank_, network_.classes(), dlogits_.data(),
                                 batch.labels.data(), dlogits_.data(), &result);
  for (float& gradient : dlogits_.values()) gradient = -gradient;
  return result;
}

kernels::LossResult TrainingStep::run(std::int64_t step, const TrainingBatch& batch,
                                      std::vector<Tensor>& velocity) {
  kernels::LossResult result = forward(step, batch);
  // Of the step before, which has had a forward pass to finish.
  if (!projection_fault().empty()) result.loss = std::numeric_limits<double>::quiet_NaN();
  if (!std::isfinite(result.loss)) return result;
  if (average_) average_->begin();
  if (dual_)
    dual_->backward(dlogits_);
  else if (reconstructs(step))
    pass_.backward_reconstruction(stream_, images_, dlogits_);
  else
    pass_.backward(stream_, images_, dlogits_);
  if (average_) average_->finish();
  optimise(step, velocity);
  control_sensitivity();
  return result;
}

double TrainingStep::loss(std::int64_t step, const TrainingBatch& batch) {
  std::vector<Tensor> before;
  for (const layers::LayerBuffer* buffer : network_.buffers())
    before.push_back(buffer->value.to(stream_, stream_.device()));
  const kernels::LossResult result = forward(step, batch);
  const auto buffers = network_.buffers();
  for (std::size_t i = 0; i < buffers.size(); ++i) buffers[i]->value.copy_from(stream_, before[i]);
  return result.loss;
}

void TrainingStep::optimise(std::int64_t step, std::vector<Tensor>& velocity) {
  const auto parameters = network_.parameters();
  std::vector<kernels::SgdStep> steps;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    layers::Parameter& p = *parameters[i];
    if (p.frozen) continue;
    steps.push_back(
        {.params = {.learning_rate = static_cast<float>(learning_rate_at(config_, step)),
                    .momentum = static_cast<float>(config_.momentum),
                    .weight_decay = p.decays ? static_cast<float>(config_.weight_decay) : 0.0f,
                    .gradient_scale = p.gradient_scale},
         .size = p.value.size(),
         .gradient = p.gradient.data(),
         .velocity = velocity[i].data(),
         .weight = p.value.data()});
  }
  kernels::sgd_steps(stream_, steps);
}

void TrainingStep::check_same_weights(std::int64_t steps) {
  if (ranks_.size() == 1) return;
  Sha256 digest;
  for (const layers::Parameter* p : network_.parameters()) {
    const Tensor weights = p->value.to(stream_, Device());
    digest.update(as_bytes({reinterpret_cast<const char*>(weights.data()),
                            static_cast<std::size_t>(weights.size()) * sizeof(float)}));
  }
  ranks_.check_same({{fmt::format("weights after {} steps", steps), digest.hex()}});
}

std::string TrainingStep::projection_fault() const {
  if (config_.control != SensitivityControl::parseval) return {};
  std::vector<std::uint64_t> bad_loops(network_.prefix_size());
  bad_loops_.download(stream_, bad_loops);
  for (std::size_t i = 0; i < bad_loops.size(); ++i) {
    const auto* conv = dynamic_cast<const layers::Conv2d*>(network_.prefix()[i].layer.get());
    if (!conv || bad_loops[i] == kernels::no_bad_loop) continue;
    return kernels::divergence_text(
        bad_loops[i], {.step = config_.parseval_step, .loops = config_.parseval_loops},
        conv->weight().name);
  }
  return {};
}

void TrainingStep::control_sensitivity() {
  if (config_.control == SensitivityControl::none) return;
  const auto prefix = network_.prefix();
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    auto* const conv = dynamic_cast<layers::Conv2d*>(&network_.graph.layer(i));
    if (!conv || conv->weight().frozen) continue;  // what is done to the images has no weights
    Tensor& weight = conv->weight().value;
    const ConvGeometry geometry = conv_geometry(*conv, network_.graph.shape(prefix[i].inputs[0]));
    if (config_.control == SensitivityControl::parseval) {
      kernels::parseval_project(stream_, parseval_params(geometry), weight.data(),
                                bad_loops_.data() + i);
    } else {
      Tensor on_host = weight.to(stream_, Device());
      // Between two layers before the noise it is the 1-norm that composes for 1-norm attacks.
      const bool last = i + 1 == prefix.size();
      if (config_.control == SensitivityControl::normalise_columns)
        normalise_columns(on_host.values(), geometry,
                          last ? config_.calibration.mechanism : Mechanism::laplace);
      else
        normalise_rows(on_host.values(), geometry);
      weight.copy_from(stream_, on_host);
    }
  }
}

kernels::ParsevalParams TrainingStep::parseval_params(const ConvGeometry& geometry) const {
  return {.rows = geometry.out_c,
          .cols = geometry.weight_size() / geometry.out_c,
          .scale = geometry.patch_norm(),
          .step = config_.parseval_step,
          .loops = config_.parseval_loops};
}

}  // namespace pixeldp
