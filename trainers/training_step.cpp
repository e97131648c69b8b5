#include "trainers/training_step.hpp"

#include <algorithm>
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

TrainingStep::Slot::Slot(Device device, const Shape& shape, std::size_t prefix)
    : images(device, shape.size()),
      rows(device, shape[0]),
      labels(device, shape[0]),
      changing(device, 1),
      result(device, 1),
      bad_loops(device, static_cast<std::int64_t>(prefix)) {}

TrainingStep::TrainingStep(const Stream& stream, const TrainingConfig& config,
                           layers::Network& network, Communicator& ranks, bool graphs)
    : stream_(stream),
      config_(config),
      network_(network),
      ranks_(ranks),
      graphs_(graphs),
      rows_of_rank_(config.batch / ranks.size()),
      pass_(network, config.synchronised_batch_norm && ranks.size() > 1 ? &ranks : nullptr),
      images_(network.input().with_rows(rows_of_rank_), stream.device()),
      rows_(stream.device(), rows_of_rank_),
      labels_(stream.device(), rows_of_rank_),
      changing_(stream.device(), 1),
      loss_(stream.device(), 1),
      bad_loops_(stream.device(), std::ssize(network.prefix())) {
  // A processor reads the batch where it lies.
  const Shape staged = network.input().with_rows(on_device() ? rows_of_rank_ : 0);
  for (std::size_t i = 0; i < most_unknown + 1; ++i)
    slots_.emplace_back(stream.device(), staged, network.prefix_size());
  if (config.adversarial) {
    adversary_.emplace(stream, *config.adversarial, config.seed,
                       static_cast<float>(config.pixel_shift), network, pass_);
    for (Slot& slot : slots_)
      slot.attack.emplace(stream.device(), images_.shape(), *config.adversarial);
  }
  if (config.dual) dual_.emplace(network);
  bad_loops_.upload(stream_, std::vector(network.prefix_size(), kernels::no_bad_loop));
  if (ranks.size() == 1) return;
  average_.emplace(
      stream, network, ranks, GradientAverage::usual_bucket,
      DeviceAverage{join_devices(stream.device(), ranks, config.nccl_order), config.nccl_order});
  pass_.on_gradients([this](std::size_t node) { average_->ready(node); });
}

/// Whether all of a step between batch and weights is work of the device, the same in every step.
bool TrainingStep::recordable() const {
  const bool over_ranks = config_.synchronised_batch_norm && ranks_.size() > 1;
  return graphs_ && on_device() && !over_ranks && network_.reconstruction == 0;
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

TrainingStep::Changing TrainingStep::changing_at(std::int64_t step) const {
  return {.learning_rate = static_cast<float>(learning_rate_at(config_, step)),
          .noise_factor = static_cast<float>(noise_factor_at(config_, step))};
}

void TrainingStep::upload(std::int64_t step, const TrainingBatch& batch) {
  images_.copy_from(stream_, batch.images);
  rows_.upload(stream_, batch.rows);
  if (!config_.network.output) labels_.upload(stream_, batch.labels);
  const Changing changing = changing_at(step);
  changing_.upload(stream_, {&changing, 1});
}

/// The same without waiting.
void TrainingStep::upload(std::int64_t step, const TrainingBatch& batch, Slot& slot) {
  if (batch.images.size() != images_.size() || std::ssize(batch.rows) != rows_of_rank_ ||
      std::ssize(batch.labels) != rows_of_rank_)
    fail("a batch of {} images for a training step of {}", batch.images.rows(), rows_of_rank_);
  std::ranges::copy(batch.images.values(), slot.images.data());
  std::ranges::copy(batch.rows, slot.rows.data());
  std::ranges::copy(batch.labels, slot.labels.data());
  *slot.changing.data() = changing_at(step);
  upload_async(stream_, images_.data(), slot.images.data(), slot.images.values().size_bytes());
  rows_.upload(stream_, slot.rows);
  labels_.upload(stream_, slot.labels);
  changing_.upload(stream_, slot.changing);
}

/// From the batch, in the memory of the device, and where attacks begin, to loss_ and dlogits_.
void TrainingStep::forward(std::int64_t step, const TrainingBatch& batch) {
  if (attacks(step)) adversary_->climb(labels_.data(), &changing_.data()->noise_factor, images_);
  const layers::NoiseDraws draws{.seed = config_.seed,
                                 .tag = StreamTag::training,
                                 .rows = {rows_.data(), static_cast<std::size_t>(rows_.size())},
                                 .changing_factor = &changing_.data()->noise_factor};
  if (dual_) {
    dual_loss(step, batch);
  } else if (reconstructs(step)) {
    const Tensor& image = pass_.forward_reconstruction(stream_, images_, draws);
    dlogits_.resize(image.shape());
    *loss_.data() = {.loss = reconstruction_loss(image.values(), std::as_const(images_).values(),
                                                 static_cast<float>(config_.pixel_shift),
                                                 dlogits_.values())};
  } else {
    const Tensor& logits = pass_.forward(stream_, layers::Mode::training, images_, draws);
    dlogits_.resize(logits.shape(), stream_.device());
    if (config_.network.output)
      *loss_.data() = kernels::squared_error(stream_, rows_of_rank_, *config_.network.output,
                                             logits.data(), batch.targets.data(), dlogits_.data());
    else
      kernels::softmax_cross_entropy(stream_, rows_of_rank_, network_.classes(), logits.data(),
                                     labels_.data(), dlogits_.data(), loss_.data());
  }
}

/// The cross-entropy of the worst logits that the dual bound allows: no picture of the box has a
/// larger one (Wong and Kolter 2018, theorem 2). dlogits_ is then the gradient in the margins.
void TrainingStep::dual_loss(std::int64_t step, const TrainingBatch& batch) {
  const Tensor& margins = dual_->margins(images_, batch.labels, config_.dual->size_at(step),
                                         {static_cast<float>(config_.pixel_shift)});
  dlogits_.resize(margins.shape());
  for (std::int64_t i = 0; i < margins.size(); ++i) dlogits_.data()[i] = -margins.data()[i];
  kernels::softmax_cross_entropy(stream_, rows_of_rank_, network_.classes(), dlogits_.data(),
                                 batch.labels.data(), dlogits_.data(), loss_.data());
  for (float& gradient : dlogits_.values()) gradient = -gradient;
}

/// From dlogits_ to the gradients, of this rank's part of the batch.
void TrainingStep::differentiate(std::int64_t step) {
  if (dual_)
    dual_->backward(dlogits_);
  else if (reconstructs(step))
    pass_.backward_reconstruction(stream_, images_, dlogits_);
  else
    pass_.backward(stream_, images_, dlogits_);
  if (average_) average_->ready(0);
}

/// From the gradients to the next weights.
void TrainingStep::apply(std::vector<Tensor>& velocity) {
  optimise(velocity);
  control_sensitivity();
}

/// The loss of the batch; NaN where the projection of the step before has diverged.
kernels::LossResult TrainingStep::judged(const kernels::LossResult& mine, bool faulty) {
  kernels::LossResult result = mine;
  if (ranks_.size() > 1) {
    average_->check();  // of the step before, for which this loss had to wait
    result = over_ranks(mine, ranks_);
  }
  if (faulty) result.loss = std::numeric_limits<double>::quiet_NaN();
  return result;
}

void TrainingStep::run(std::int64_t step, const TrainingBatch& batch,
                       std::vector<Tensor>& velocity) {
  if (run_ - known_ > most_unknown)
    fail("step {} of a training follows {} whose losses were not asked for", step, run_ - known_);
  Slot& slot = slots_[run_++ % slots_.size()];
  slot.step = step;
  freeze(step);
  pass_.weights_changed();
  if (on_device()) return run_on_device(step, batch, velocity, slot);
  upload(step, batch);
  if (attacks(step)) adversary_->begin(batch, *slot.attack, images_);
  forward(step, batch);
  const kernels::LossResult result = judged(*loss_.data(), !projection_fault().empty());
  *slot.result.data() = result;
  if (!std::isfinite(result.loss)) return;
  if (average_) average_->begin();
  differentiate(step);
  if (average_) average_->finish();
  apply(velocity);
}

/// Gives the stream what is always the same: from a graph, but in the first step, which allocates
/// what a recording could not.
void TrainingStep::record(CapturedGraph& graph, const std::function<void()>& work) {
  if (run_ == 1 || !recordable()) return work();
  if (!graph) graph = CapturedGraph(stream_, work);
  graph.launch();
}

void TrainingStep::run_on_device(std::int64_t step, const TrainingBatch& batch,
                                 std::vector<Tensor>& velocity, Slot& slot) {
  upload(step, batch, slot);
  if (attacks(step)) adversary_->begin(batch, *slot.attack, images_);
  const auto to_gradients = [&] {
    forward(step, batch);
    differentiate(step);
  };
  if (average_) {
    average_->begin();
    record(first_graph_, to_gradients);
    average_->finish();
    record(second_graph_, [&] { apply(velocity); });
  } else {
    record(first_graph_, [&] {
      to_gradients();
      apply(velocity);
    });
  }
  loss_.download(stream_, slot.result);
  bad_loops_.download(stream_, slot.bad_loops);
  slot.done.emplace(stream_);
}

void TrainingStep::collect(std::size_t left, const Take& take) {
  if (!on_device()) left = 0;
  while (run_ - known_ > left) {
    const Slot& slot = slots_[known_++ % slots_.size()];
    if (!on_device()) {
      take(slot.step, *slot.result.data());
      continue;
    }
    slot.done->wait();
    const kernels::LossResult result = judged(*slot.result.data(), faulty_);
    faulty_ = std::ranges::any_of(slot.bad_loops.values(),
                                  [](std::uint64_t loop) { return loop != kernels::no_bad_loop; });
    take(slot.step, result);
  }
}

double TrainingStep::loss(std::int64_t step, const TrainingBatch& batch) {
  freeze(step);
  pass_.weights_changed();
  upload(step, batch);
  std::optional<Adversary::Start> attack;
  if (attacks(step))
    adversary_->begin(
        batch, attack.emplace(stream_.device(), images_.shape(), *config_.adversarial), images_);
  std::vector<Tensor> before;
  for (const layers::LayerBuffer* buffer : network_.buffers())
    before.push_back(buffer->value.to(stream_, stream_.device()));
  forward(step, batch);
  kernels::LossResult mine;
  loss_.download(stream_, {&mine, 1});
  const auto buffers = network_.buffers();
  for (std::size_t i = 0; i < buffers.size(); ++i) buffers[i]->value.copy_from(stream_, before[i]);
  return judged(mine, false).loss;
}

void TrainingStep::optimise(std::vector<Tensor>& velocity) {
  const auto parameters = network_.parameters();
  std::vector<kernels::SgdStep> steps;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    layers::Parameter& p = *parameters[i];
    if (p.frozen) continue;
    steps.push_back(
        {.params = {.momentum = static_cast<float>(config_.momentum),
                    .weight_decay = p.decays ? static_cast<float>(config_.weight_decay) : 0.0f,
                    .gradient_scale = p.gradient_scale,
                    .rate = &changing_.data()->learning_rate},
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
  const auto prefix = network_.prefix();
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    auto* const conv = dynamic_cast<layers::Conv2d*>(&network_.graph.layer(i));
    if (!conv || conv->weight().frozen) continue;  // what is done to the images has no weights
    Tensor& value = conv->weight().value;
    const std::span<float> weight(value.data(), static_cast<std::size_t>(value.size()));
    const ConvGeometry geometry = conv_geometry(*conv, network_.graph.shape(prefix[i].inputs[0]));
    switch (config_.control) {
      case SensitivityControl::none:
        break;
      case SensitivityControl::parseval:
        kernels::parseval_project(stream_, parseval_params(geometry), weight.data(),
                                  bad_loops_.data() + i);
        break;
      case SensitivityControl::normalise_columns: {
        // Between two layers before the noise it is the 1-norm that composes for 1-norm attacks.
        const bool last = i + 1 == prefix.size();
        normalise_columns(stream_, weight, geometry,
                          last ? config_.calibration.mechanism : Mechanism::laplace);
        break;
      }
      case SensitivityControl::normalise_rows:
        normalise_rows(stream_, weight, geometry);
        break;
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
