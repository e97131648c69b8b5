#include "trainers/train.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <tuple>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/dataset.hpp"
#include "engine/notice.hpp"
#include "engine/progress.hpp"
#include "pixeldp/autoencoder.hpp"
#include "pixeldp/model.hpp"
#include "pixeldp/precision.hpp"
#include "trainers/batch_source.hpp"
#include "trainers/checkpoint.hpp"
#include "trainers/prefetcher.hpp"
#include "trainers/resume.hpp"
#include "trainers/training_config.hpp"
#include "trainers/training_log.hpp"
#include "trainers/training_sets.hpp"
#include "trainers/training_step.hpp"

namespace pixeldp {
namespace {

/// One training run: what it works on, and the few things it does over and over.
class Trainer {
 public:
  Trainer(const ConfigNode& configuration, const TrainOptions& options);
  TrainSummary run();

 private:
  void put_parts();
  void open_folder();
  BatchSource batch_source() const;
  void step(const TrainingBatch& batch);
  void collect(std::size_t left);
  bool healthy(std::int64_t step, const TrainingBatch& batch);
  void check_parameters();
  template <class Read>
  void saved_if_failing(const Read& read);
  [[noreturn]] void fail_diverged(std::int64_t step) const;
  void log();
  void save();
  void evaluate();
  std::string progress_text() const;
  bool model_is_there() const;
  void write_model();
  std::filesystem::path file(const char* name) const { return options_.output / name; }
  bool due(std::int64_t interval) const {
    return state_.step % interval == 0 || state_.step == config_.steps;
  }

  TrainOptions options_;
  Communicator& ranks_;
  ConfigNode configuration_;
  TrainingConfig config_;
  std::string resolved_;  // the configuration with all defaults, as YAML
  Dataset train_, test_;
  Model model_;
  Stream stream_;
  TrainingState state_;
  std::optional<std::int64_t> started_at_, saved_at_;  // the steps of checkpoints
  std::optional<TrainingLog> log_;
  std::optional<TrainingStep> step_;
  TrainSummary summary_;
  bool evaluated_ = false;  // by this process
};

Trainer::Trainer(const ConfigNode& configuration, const TrainOptions& options)
    : options_(options),
      ranks_(*options.ranks),
      configuration_(configuration),
      config_(read_training_config(configuration)),
      stream_(options.device) {
  check_training_precision(options.device, config_.network.training_precision);
  if (config_.network.output && options.device.kind != DeviceKind::cpu)
    fail_usage("device {}: regression networks are for processors; use 'cpu'",
               options.device.name());
  if (config_.dual && options.device.kind != DeviceKind::cpu)
    fail_usage("device {}: training on the dual bound is for processors; use 'cpu'",
               options.device.name());
  if (config_.nccl_order && ranks_.size() > 1 && options.device.kind == DeviceKind::cpu)
    fail_usage(
        "training.gradients: nccl is for ranks on GPUs, and their device is {}; use 'ordered'",
        options.device.name());
  std::tie(train_, test_) = load_training_sets(config_, configuration_, ranks_.size());
  model_ = Model{.name = config_.name,
                 .dataset = config_.dataset,
                 .pixel_shift = config_.pixel_shift,
                 .short_side = config_.short_side,
                 .spec = config_.network,
                 .network = layers::make_network(config_.network, config_.seed),
                 .calibration = config_.calibration,
                 .form = config_.form};
  if (image_form(config_.dataset).of_any_size()) model_.class_names = train_.class_names;
  apply_calibration(config_.calibration, model_.network);
  put_parts();
  open_folder();
  model_.network.move_to(stream_, stream_.device());
  for (Tensor& velocity : state_.velocity) velocity = velocity.to(stream_, stream_.device());
  step_.emplace(stream_, config_, model_.network, ranks_);
}

/// What an auto-encoder and the classifier behind it start from.
void Trainer::put_parts() {
  if (config_.classifier.empty()) return;
  const ModelFile classifier = read_model_file(config_.classifier);
  put_classifier(classifier, model_.network);
  if (config_.trained == TrainedPart::autoencoder) model_.classifier_sha256 = classifier.sha256;
  if (config_.autoencoder) put_autoencoder(read_model_file(*config_.autoencoder), model_.network);
}

void Trainer::open_folder() {
  const auto checkpoint = file("checkpoint.safetensors");
  const std::string folder = options_.output.string();
  if (ranks_.first()) {
    std::error_code error;
    std::filesystem::create_directories(options_.output, error);
    if (error) fail("cannot create the folder {}: {}", folder, error.message());
    const bool used = std::filesystem::exists(file("training.csv"));
    if (used && !options_.resume) {
      fail("{} already holds a training run: continue it with --resume, or choose another --output",
           folder);
    }
  }
  ranks_.barrier();
  const bool resumes = options_.resume && std::filesystem::exists(checkpoint);
  if (resumes) {
    const Checkpoint last = read_checkpoint(checkpoint);
    const std::vector<std::string> changes = continue_from(last, configuration_, config_);
    check_same_images(last, train_, configuration_);
    if (ranks_.first())
      for (const std::string& change : changes)
        notice("from step {} on with {}", last.step(), change);
    state_ = last.restore(model_.network);
    if (!model_.classifier_sha256.empty() &&
        !put_classifier(read_model_file(config_.classifier), model_.network))
      fail("{}: the classifier has changed since this run began with it", config_.classifier);
    started_at_ = saved_at_ = state_.step;
    summary_.loss = state_.last_loss;
    if (state_.step == config_.steps && ranks_.first())
      notice("{} is finished: its {} steps are done already", folder, config_.steps);
  } else {
    if (options_.resume && ranks_.first())
      notice("{} has no checkpoint to resume: training starts anew", folder);
    for (const layers::Parameter* parameter : model_.network.parameters())
      state_.velocity.emplace_back(parameter->value.shape());
  }
  resolved_ = configuration_.to_yaml();
  const CpuFeatures& cpu = cpu_features();
  ranks_.check_same({{"configuration", resolved_},
                     {"training images", train_.identity()},
                     {"step", fmt::format("{}", state_.step)},
                     {"instruction sets (AVX2, AVX-512, BF16, VNNI)",
                      fmt::format("{}, {}, {}, {}", cpu.avx2, cpu.avx512, cpu.bf16, cpu.vnni)}});
  if (!ranks_.first()) return;
  write_file_atomically(file("config.yaml"), resolved_);
  log_.emplace(file("training.csv"), resumes ? std::optional(state_.step) : std::nullopt,
               config_.network.output.has_value());
}

BatchSource Trainer::batch_source() const {
  return {train_,
          {.batch = config_.batch,
           .seed = config_.seed,
           .pixel_shift = static_cast<float>(config_.pixel_shift),
           .augmentation = config_.augmentation,
           .part = ranks_.rank(),
           .parts = ranks_.size()}};
}

void Trainer::step(const TrainingBatch& batch) {
  step_->run(state_.step, batch, state_.velocity);
  ++state_.step;
  collect(TrainingStep::most_unknown);
}

/// Takes up what the steps came to, but for the last `left` ones, which a device may be at.
void Trainer::collect(std::size_t left) {
  step_->collect(left, [&](std::int64_t step, const kernels::LossResult& result) {
    if (!std::isfinite(result.loss)) fail_diverged(step);
    state_.interval_loss += result.loss * static_cast<double>(config_.batch);
    state_.interval_correct += result.correct;
    state_.interval_images += config_.batch;
  });
}

/// Whether the weights were projected and their loss on the batch of that step is finite.
bool Trainer::healthy(std::int64_t step, const TrainingBatch& batch) {
  return step_->projection_fault().empty() && std::isfinite(step_->loss(step, batch));
}

/// Does what reads pictures, in every rank. Where one is damaged, what was trained so far is saved
/// first.
template <class Read>
void Trainer::saved_if_failing(const Read& read) {
  std::optional<Error> damage;
  try {
    read();
  } catch (const Interruption&) {
    throw;
  } catch (const Error& error) {
    damage = error;
  }
  if (!ranks_.any(damage.has_value())) return;
  const bool saves = state_.step != saved_at_.value_or(0);
  collect(0);
  if (saves) {
    TrainingBatch batch;  // the next one is perhaps the damaged one
    batch_source().prepare(state_.step - 1, batch);
    if (!healthy(state_.step - 1, batch)) fail_diverged(state_.step);
    save();
    ranks_.barrier();
  }
  if (!damage) ranks_.barrier();  // never passed: the rank that failed ends all
  if (!saves) throw Error(*damage);
  fail("{}; {} of {} steps are done and saved in {}: mend that, then continue with --resume",
       damage->what(), state_.step, config_.steps, options_.output.string());
}

/// Throws an Error unless the next step's loss is finite.
void Trainer::check_parameters() {
  TrainingBatch batch;
  saved_if_failing([&] { batch_source().prepare(state_.step, batch); });
  if (!healthy(state_.step, batch)) fail_diverged(state_.step);
}

void Trainer::fail_diverged(std::int64_t step) const {
  const std::string fault = step_->projection_fault();
  const std::string what = fault.empty() ? "the loss is not finite" : fault;
  if (started_at_ == step) {
    fail(
        "{} at step {}, where {} begins: its training had diverged; remove the file and train anew "
        "at a lower rate",
        what, step, file("checkpoint.safetensors").string());
  }
  const double rate = learning_rate_at(config_, std::max<std::int64_t>(step - 1, 0));
  fail(
      "{} at step {}: training diverged at a learning rate of {}; lower training.learning_rate or "
      "training.learning_rate_changes and train again with --resume, which {}",
      what, step, rate,
      saved_at_ ? fmt::format("goes on from the checkpoint of step {}", *saved_at_)
                : "starts anew, for there is no checkpoint yet");
}

/// On rank 0.
void Trainer::evaluate() {
  if (!ranks_.first()) return;
  static_cast<Evaluation&>(summary_) = pixeldp::evaluate(config_, model_.network, test_, stream_);
  evaluated_ = true;
}

/// The mean loss since the last line of the log, and the last evaluation.
std::string Trainer::progress_text() const {
  const std::optional<double> loss =
      state_.interval_images > 0
          ? state_.interval_loss / static_cast<double>(state_.interval_images)
          : summary_.loss;
  std::string text = loss ? fmt::format("loss {:.4f}", *loss) : "";
  if (evaluated_)
    text += summary_.test_error ? fmt::format(", test error {:.3g}", *summary_.test_error)
                                : fmt::format(", test {:.1f} %", 100.0 * summary_.test_accuracy);
  if (summary_.certified_accuracy) {
    text += fmt::format(", {:.1f} % certified at {}", 100.0 * *summary_.certified_accuracy,
                        config_.calibration.construction.value().bound);
  }
  return text;
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
                        .seconds = state_.seconds,
                        .train_error = {},
                        .test_error = {}};
  if (config_.network.output)
    record.train_error = std::sqrt(record.loss) * config_.network.output->width();
  if (due(config_.evaluate_every)) {
    saved_if_failing([&] { evaluate(); });
    record.test_accuracy = summary_.test_accuracy;
    record.certified_accuracy = summary_.certified_accuracy;
    record.test_error = summary_.test_error;
    if (config_.noisy()) record.sensitivity = summary_.sensitivity;
  }
  summary_.loss = state_.last_loss = record.loss;
  if (log_) log_->append(record);
  state_.interval_loss = 0.0;
  state_.interval_correct = state_.interval_images = 0;
}

void Trainer::save() {
  saved_at_ = state_.step;
  step_->check_same_weights(state_.step);
  if (!ranks_.first()) return;
  save_checkpoint(stream_, file("checkpoint.safetensors"), model_.network, state_, resolved_,
                  train_.identity());
}

/// Whether the folder holds the model of these parameters, which are in host memory, already: with
/// scales for int8, perhaps, which would be lost by writing it again.
bool Trainer::model_is_there() const {
  try {
    const Model there = load_model(file("model.safetensors"), Scales::mend);
    const auto theirs = there.network.saved_tensors(), ours = model_.network.saved_tensors();
    return std::equal(theirs.begin(), theirs.end(), ours.begin(), ours.end(),
                      [](const layers::NamedTensor* a, const layers::NamedTensor* b) {
                        return a->name == b->name &&
                               std::ranges::equal(a->value.values(), b->value.values());
                      });
  } catch (const Error&) {
    return false;  // there is none, or a damaged one
  }
}

void Trainer::write_model() {
  if (config_.noisy()) {
    model_.calibration.sensitivity = summary_.sensitivity;
    compare_with_image(config_, model_.network, summary_.sensitivity, "the trained weights have");
  }
  model_.network.move_to(stream_, Device());
  if (!model_is_there()) save_model(file("model.safetensors"), model_);
}

TrainSummary Trainer::run() {
  std::optional<ProgressBar> progress;
  if (ranks_.first())
    progress.emplace("train " + config_.name, config_.steps, "steps", state_.step,
                     options_.off_terminal);
  BatchSource source = batch_source();
  Prefetcher batches(state_.step, config_.steps,
                     [&](std::int64_t step, TrainingBatch& batch) { source.prepare(step, batch); });
  if (config_.noisy() && state_.step < config_.steps && ranks_.first()) {
    const double assumed = config_.calibration.sensitivity,
                 measured = noise_sensitivity(config_, model_.network, stream_);
    if (measured > assumed)
      compare_with_image(config_, model_.network, measured,
                         "the weights that training starts from have");
    else
      compare_with_image(config_, model_.network, assumed, "the noise is made for");
  }
  // The last step is evaluated with its line in the log; a run that was done before is not.
  if (state_.step == config_.steps) evaluate();
  while (state_.step < config_.steps) {
    const auto start = std::chrono::steady_clock::now();
    const TrainingBatch* batch = nullptr;
    saved_if_failing([&] { batch = &batches.next(); });
    step(*batch);
    state_.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const int signal = interrupt_signal(ranks_);
    const bool stops = signal != 0 && state_.step < config_.steps;
    const bool logs = due(config_.log_every) || due(config_.evaluate_every),
               checks = due(config_.evaluate_every) || due(config_.checkpoint_every) || stops;
    if (logs || checks) collect(0);
    if (checks) check_parameters();
    if (logs) log();
    if (due(config_.checkpoint_every) || stops) save();
    if (progress) {
      progress->note(progress_text());
      progress->update(state_.step);
    }
    if (!stops) continue;
    if (progress) progress->finish();
    throw Interruption(
        fmt::format(
            "interrupted after {} of {} steps; everything is saved in {}, continue with --resume",
            state_.step, config_.steps, options_.output.string()),
        signal);
  }
  if (progress) progress->finish();
  if (ranks_.first()) write_model();
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
