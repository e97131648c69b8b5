#include "trainers/train.hpp"

#include <algorithm>
#include <chrono>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/dataset.hpp"
#include "engine/progress.hpp"
#include "pixeldp/certificate.hpp"
#include "pixeldp/model.hpp"
#include "pixeldp/multi_draw.hpp"
#include "pixeldp/network_sensitivity.hpp"
#include "pixeldp/precision.hpp"
#include "trainers/batch_source.hpp"
#include "trainers/checkpoint.hpp"
#include "trainers/prefetcher.hpp"
#include "trainers/training_config.hpp"
#include "trainers/training_log.hpp"
#include "trainers/training_step.hpp"

namespace pixeldp {
namespace {

/// One training run: what it works on, and the few things it does over and over.
class Trainer {
 public:
  Trainer(const ConfigNode& configuration, const TrainOptions& options);
  TrainSummary run();

 private:
  void open_folder();
  void step(const TrainingBatch& batch);
  void log();
  void save();
  void evaluate();
  std::string evaluation_text() const;
  bool draws_can_certify(std::uint32_t draws) const;
  double sensitivity() const;
  std::filesystem::path file(const char* name) const { return options_.output / name; }
  bool due(std::int64_t interval) const {
    return state_.step % interval == 0 || state_.step == config_.steps;
  }

  TrainOptions options_;
  TrainingConfig config_;
  std::string resolved_;  // the configuration with all defaults, as YAML
  Dataset train_, test_;
  Model model_;
  Stream stream_;
  TrainingState state_;
  std::optional<TrainingLog> log_;
  std::optional<TrainingStep> step_;
  TrainSummary summary_;
};

Trainer::Trainer(const ConfigNode& configuration, const TrainOptions& options)
    : options_(options),
      config_(read_training_config(configuration)),
      resolved_(configuration.to_yaml()),
      stream_(options.device) {
  check_training_precision(options.device, config_.network.training_precision);
  const auto directory = find_dataset_directory(config_.dataset, config_.directory);
  train_ = load_dataset(config_.dataset, "train", directory);
  test_ = load_dataset(config_.dataset, "test", directory);
  if (train_.size() == 0 || test_.size() == 0)
    fail("data set {} in {} is empty", config_.dataset, directory.string());
  const layers::NetworkSpec& spec = config_.network;
  for (const Dataset* data : {&train_, &test_}) {
    if (data->height != spec.height || data->width != spec.width ||
        data->channels != spec.channels || data->classes != spec.classes) {
      fail(
          "data set {} ({}) has images of {}x{}x{} in {} classes, but the network takes {}x{}x{} "
          "in {}",
          data->name, data->split, data->height, data->width, data->channels, data->classes,
          spec.height, spec.width, spec.channels, spec.classes);
    }
  }
  model_ = Model{.name = config_.name,
                 .dataset = config_.dataset,
                 .pixel_shift = config_.pixel_shift,
                 .spec = spec,
                 .network = layers::make_network(spec, config_.seed),
                 .calibration = config_.calibration,
                 .form = config_.form};
  apply_calibration(config_.calibration, model_.network);
  open_folder();
  model_.network.move_to(stream_, stream_.device());
  for (Tensor& velocity : state_.velocity) velocity = velocity.to(stream_, stream_.device());
  step_.emplace(stream_, config_, model_.network);
}

void Trainer::open_folder() {
  const auto checkpoint = file("checkpoint.safetensors");
  std::error_code error;
  std::filesystem::create_directories(options_.output, error);
  if (error) fail("cannot create the folder {}: {}", options_.output.string(), error.message());
  const bool used = std::filesystem::exists(file("training.csv"));
  if (used && !options_.resume) {
    fail("{} already holds a training run: continue it with --resume, or choose another --output",
         options_.output.string());
  }
  if (options_.resume && std::filesystem::exists(checkpoint)) {
    state_ = load_checkpoint(checkpoint, model_.network, resolved_);
    log_.emplace(file("training.csv"), state_.step);
    return;
  }
  for (const layers::Parameter* parameter : model_.network.parameters()) {
    state_.velocity.emplace_back(parameter->value.shape());
  }
  write_file_atomically(file("config.yaml"), resolved_);
  log_.emplace(file("training.csv"), std::nullopt);
}

void Trainer::step(const TrainingBatch& batch) {
  const kernels::LossResult result = step_->run(state_.step, batch, state_.velocity);
  ++state_.step;
  state_.interval_loss += result.loss * static_cast<double>(config_.batch);
  state_.interval_correct += result.correct;
  state_.interval_images += config_.batch;
}

/// Accuracy and certified accuracy on the first test images, and the sensitivity they rest on.
void Trainer::evaluate() {
  const Calibration& c = config_.calibration;
  const bool noisy = c.mechanism != Mechanism::none;
  Calibration measured = c;
  if (noisy) measured.sensitivity = summary_.sensitivity = sensitivity();
  const std::int64_t images = std::min(config_.evaluation_images, test_.size());
  const auto draws = static_cast<std::uint32_t>(noisy ? config_.evaluation_draws : 1);
  const bool certifies = noisy && draws_can_certify(draws);
  const MultiDrawPredictor predictor(stream_, model_.network);
  std::int64_t correct = 0, certified = 0;
  predictor.run(
      images, {.seed = config_.seed, .tag = StreamTag::training, .first_draw = 0, .draws = draws},
      [&](std::int64_t image, float* pixels) {
        to_float(test_, image, image + 1, pixels, static_cast<float>(config_.pixel_shift));
        return test_.image_id(image);
      },
      [&](std::int64_t image, const ScoreStatistics& statistics) {
        const bool right = statistics.top_label(ScoreType::argmax) ==
                           test_.labels[static_cast<std::size_t>(image)];
        correct += right;
        if (right && certifies)
          certified += certify(statistics, measured, {}).radius >= c.construction_bound;
        return true;
      });
  const auto share = [&](std::int64_t count) {
    return static_cast<double>(count) / static_cast<double>(images);
  };
  summary_.test_accuracy = share(correct);
  if (certifies) summary_.certified_accuracy = share(certified);
}

std::string Trainer::evaluation_text() const {
  std::string text = fmt::format("test {:.1f} %", 100.0 * summary_.test_accuracy);
  if (summary_.certified_accuracy) {
    text += fmt::format(", {:.1f} % certified at {}", 100.0 * *summary_.certified_accuracy,
                        config_.calibration.construction_bound);
  }
  return text;
}

/// Whether so many draws, if all agreed, would certify the construction bound. Where they would
/// not, a certified accuracy of zero would say nothing about the network.
bool Trainer::draws_can_certify(std::uint32_t draws) const {
  return best_certificate(draws, model_.network.classes(), config_.calibration, {},
                          Selection::same_draws)
             .radius >= config_.calibration.construction_bound;
}

double Trainer::sensitivity() const {
  const Calibration& c = config_.calibration;
  const layers::ParametersOn on_host(stream_, model_.network, Device());
  return network_sensitivity(model_.network, c.attack_norm, c.mechanism, config_.form);
}

void Trainer::log() {
  TrainingRecord record{.step = state_.step,
                        .learning_rate = learning_rate_at(config_, state_.step - 1),
                        .noise_factor = noise_factor_at(config_, state_.step - 1),
                        .loss = state_.interval_loss / static_cast<double>(state_.interval_images),
                        .train_accuracy = static_cast<double>(state_.interval_correct) /
                                          static_cast<double>(state_.interval_images),
                        .test_accuracy = {},
                        .certified_accuracy = {},
                        .sensitivity = {},
                        .seconds = state_.seconds};
  if (due(config_.evaluate_every)) {
    evaluate();
    record.test_accuracy = summary_.test_accuracy;
    record.certified_accuracy = summary_.certified_accuracy;
    if (config_.calibration.mechanism != Mechanism::none) record.sensitivity = summary_.sensitivity;
  }
  summary_.loss = record.loss;
  log_->append(record);
  state_.interval_loss = 0.0;
  state_.interval_correct = state_.interval_images = 0;
}

void Trainer::save() {
  save_checkpoint(stream_, file("checkpoint.safetensors"), model_.network, state_, resolved_);
}

TrainSummary Trainer::run() {
  ProgressBar progress("train " + config_.name, config_.steps, "steps");
  BatchSource source(train_, {.batch = config_.batch,
                              .seed = config_.seed,
                              .pixel_shift = static_cast<float>(config_.pixel_shift),
                              .augmentation = config_.augmentation});
  Prefetcher batches(state_.step, config_.steps,
                     [&](std::int64_t step, TrainingBatch& batch) { source.prepare(step, batch); });
  // The last step is evaluated with its line in the log; a run that was done before is not.
  if (state_.step == config_.steps) evaluate();
  while (state_.step < config_.steps) {
    const auto start = std::chrono::steady_clock::now();
    step(batches.next());
    state_.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (due(config_.log_every) || due(config_.evaluate_every)) log();
    if (due(config_.evaluate_every)) progress.note(evaluation_text());
    if (due(config_.checkpoint_every)) save();
    progress.update(state_.step);
    if (interrupted() && state_.step < config_.steps) {
      save();
      progress.finish();
      fail("interrupted after {} of {} steps; everything is saved in {}, continue with --resume",
           state_.step, config_.steps, options_.output.string());
    }
  }
  progress.finish();
  step_->check_projection();
  if (config_.calibration.mechanism != Mechanism::none)
    model_.calibration.sensitivity = summary_.sensitivity;
  {
    const layers::ParametersOn on_host(stream_, model_.network, Device());
    save_model(file("model.safetensors"), model_);
  }
  summary_.steps = state_.step;
  summary_.standardised = config_.network.standardise;
  summary_.seconds = state_.seconds;
  return summary_;
}

}  // namespace

TrainSummary train(const ConfigNode& configuration, const TrainOptions& options) {
  return Trainer(configuration, options).run();
}

}  // namespace pixeldp
