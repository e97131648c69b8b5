#include "trainers/training_config.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "engine/io/dataset.hpp"
#include "layers/networks/autoencoder.hpp"
#include "pixeldp/autoencoder.hpp"
#include "trainers/training_settings.hpp"

namespace pixeldp {
namespace {

void read_data(const Settings& settings, TrainingConfig& config) {
  config.dataset = settings.choice("data.set");
  ImageForm form = image_form(config.dataset);
  if (form.of_any_size()) {
    form = {.height = settings.integer("data.height"),
            .width = settings.integer("data.width"),
            .channels = settings.choice("data.channels") == "3" ? 3 : 1,
            .classes = static_cast<int>(settings.integer("data.classes"))};
    const std::int64_t least = form.resized_side();
    config.short_side = settings.integer("data.short_side", least);
    if (config.short_side < least)
      settings.fail_at("data.short_side",
                       fmt::format("pictures whose shorter side has {} pixels do not cover {}x{}",
                                   config.short_side, form.width, form.height));
  }
  config.network.height = form.height;
  config.network.width = form.width;
  config.network.channels = form.channels;
  config.network.classes = form.classes;
  if (settings.given("data.directory")) config.directory = settings.text("data.directory");
  config.pixel_shift = settings.number("data.pixel_shift");
}

/// The sensitivity that the noise assumes where the configuration does not say: the value at which
/// the chosen control holds the layers (Lecuyer et al. 2019, section III.B); plain norm conversions
/// where it holds another norm.
double assumed_sensitivity(const TrainingConfig& config) {
  const Calibration& c = config.calibration;
  const layers::NetworkSpec& spec = config.network;
  const std::int64_t inputs = spec.height * spec.width * spec.channels;
  if (spec.noise_after_layers == 0) return identity_sensitivity(inputs, c.attack_norm, c.mechanism);
  const layers::Network network = layers::make_network(spec, 0);
  const double root_outputs = std::sqrt(static_cast<double>(network.noise_shape(1).row_size()));
  const auto to_mechanism_norm = [&] {
    switch (norm_of(c.mechanism)) {
      case AttackNorm::l1:
        return root_outputs;
      case AttackNorm::l2:
        return 1.0;
      case AttackNorm::linf:
        break;
    }
    fail("no sensitivity is assumed in the largest change");
  };
  switch (c.attack_norm) {
    case AttackNorm::l1:
      return 1.0;
    case AttackNorm::l2:
      return to_mechanism_norm();
    case AttackNorm::linf:
      return (config.control == SensitivityControl::normalise_rows
                  ? root_outputs
                  : std::sqrt(static_cast<double>(inputs))) *
             to_mechanism_norm();
  }
  fail("not an attack norm: {}", static_cast<int>(c.attack_norm));
}

TrainedPart read_trained_part(const Settings& settings) {
  const std::string part = settings.choice("network.trained");
  if (part == "autoencoder") return TrainedPart::autoencoder;
  if (part == "classifier") return TrainedPart::classifier;
  if (part == "both") return TrainedPart::both;
  fail("the part '{}' is declared, but not known", part);
}

void read_autoencoder(const Settings& settings, TrainingConfig& config) {
  layers::NetworkSpec& network = config.network;
  const auto encoder = "network.encoder";
  for (const ConfigNode& layer : settings.list(encoder))
    network.encoder.push_back({settings.integer_of(layer, encoder, "kernel"),
                               settings.integer_of(layer, encoder, "filters"),
                               settings.integer_of(layer, encoder, "stride")});
  if (network.encoder.empty())
    network.encoder = layers::usual_encoder(network.height, network.width);
  config.classifier = settings.text("network.classifier");
  network.classifier = {classifier_spec(read_model_file(config.classifier))};
  if (settings.given("network.autoencoder"))
    config.autoencoder = settings.text("network.autoencoder");
  config.trained = read_trained_part(settings);
  config.reconstruction_steps = settings.integer("training.reconstruction_steps");
  if (config.reconstruction_steps > settings.integer("training.steps"))
    settings.fail_at("training.reconstruction_steps", "these are more than training.steps");
}

void read_network(const Settings& settings, TrainingConfig& config) {
  layers::NetworkSpec& network = config.network;
  network.architecture = settings.choice("network.architecture");
  if (settings.find("network.depth")) network.depth = settings.integer("network.depth");
  if (settings.find("network.width")) network.widening = settings.integer("network.width");
  if (settings.find("network.slope")) network.slope = settings.number("network.slope");
  network.standardise = settings.choice("network.standardise") == "image";
  if (settings.find("network.output"))
    network.output = kernels::RealOutput{
        kernels::parse_output_kind(settings.choice("network.output")),
        settings.number("network.output_low"), settings.number("network.output_high")};
  if (settings.find("network.classifier")) read_autoencoder(settings, config);
}

void read_noise(const Settings& settings, TrainingConfig& config) {
  Calibration& c = config.calibration;
  c.mechanism = parse_mechanism(settings.choice("noise.mechanism"));
  config.network.noise_after_layers = static_cast<int>(settings.integer("noise.after_layers"));
  config.network.noise_before_activation = settings.flag("noise.before_activation");
  if (c.mechanism == Mechanism::none) return;
  c.attack_norm = parse_attack_norm(settings.choice("noise.attack_norm"));
  c.construction =
      Construction{.bound = settings.number("noise.construction_bound"),
                   .epsilon = settings.number("noise.epsilon"),
                   .delta = settings.find("noise.delta") ? settings.number("noise.delta") : 0.0};
  config.ramp_up = settings.flag("noise.ramp_up");
}

SensitivityControl read_control(const Settings& settings) {
  const std::string control = settings.choice("sensitivity.control");
  if (control == "none") return SensitivityControl::none;
  if (control == "parseval") return SensitivityControl::parseval;
  if (control == "normalise-columns") return SensitivityControl::normalise_columns;
  if (control == "normalise-rows") return SensitivityControl::normalise_rows;
  fail("the control of sensitivity '{}' is declared, but not known", control);
}

void read_sensitivity(const Settings& settings, TrainingConfig& config) {
  config.control = read_control(settings);
  if (config.control == SensitivityControl::parseval) {
    config.parseval_step = settings.number("sensitivity.parseval_step");
    config.parseval_loops = static_cast<int>(settings.integer("sensitivity.parseval_loops"));
    config.network.rescale_prefix = config.network.noise_after_layers > 0;
  }
  config.form = parse_sensitivity_form(settings.choice("sensitivity.form"));
}

Augmentation read_augmentation(const Settings& settings, const TrainingConfig& config) {
  const std::int64_t pad = settings.integer("training.augment.pad");
  if (pad >= std::min(config.network.height, config.network.width))
    settings.fail_at(
        "training.augment.pad",
        fmt::format("a frame of {} is as wide as the images of {}", pad, config.dataset));
  const bool mirror = settings.flag("training.augment.mirror");
  if (mirror && image_form(config.dataset).digits)
    settings.fail_at("training.augment.mirror",
                     "a mirrored digit is no digit: it makes no sense for " + config.dataset);
  return {.pad = static_cast<int>(pad), .mirror = mirror};
}

std::optional<AdversarialTraining> read_adversarial(const Settings& settings,
                                                    const TrainingConfig& config) {
  const auto key = "training.adversarial.norm";
  if (settings.choice(key) == "none") return std::nullopt;
  if (config.network.output)
    settings.fail_at(key, "attacks are on labels, which a network with a real output has not");
  AdversarialTraining attack = {.norm = parse_attack_norm(settings.choice(key)),
                                .size = settings.number("training.adversarial.size"),
                                .step = settings.number("training.adversarial.step"),
                                .steps = settings.integer("training.adversarial.steps")};
  if (attack.step > 2.0 * attack.size)
    settings.fail_at(
        "training.adversarial.step",
        fmt::format("a step of {} leads out of any ball of size {}", attack.step, attack.size));
  return attack;
}

std::optional<DualTraining> read_dual(const Settings& settings, const TrainingConfig& config) {
  const auto key = "training.dual_bound.size";
  const DualTraining dual = {settings.number(key), settings.integer("training.dual_bound.ramp")};
  if (dual.size == 0.0) return std::nullopt;
  if (config.noisy())
    settings.fail_at(key, "the dual bound is of networks without noise: set noise.mechanism: none");
  if (config.network.output)
    settings.fail_at(key,
                     "the dual bound is of labels, which a network with a real output has not");
  if (config.adversarial)
    settings.fail_at(key, "training on attacks and on the dual bound exclude each other");
  return dual;
}

/// What the products after the noise may be rounded to in training: fp32 not at all, so that a
/// configuration means the same on every device; tf32 to 11 significant bits and bf16 to 8, which
/// tensor cores multiply many times faster. Processors round to bf16 where that is faster, and for
/// tf32 multiply by Winograd's algorithm where shapes allow. Weights, sums and everything up to the
/// noise are in fp32 whatever it says: no certificate depends on it.
kernels::Precision read_precision(const Settings& settings) {
  const std::string precision = settings.choice("training.precision");
  if (precision == "fp32") return kernels::Precision::fp32;
  if (precision == "tf32") return kernels::Precision::tf32;
  if (precision == "bf16") return kernels::Precision::bf16;
  fail("the precision '{}' is declared, but not known", precision);
}

void read_training(const Settings& settings, TrainingConfig& config) {
  config.steps = settings.integer("training.steps");
  config.batch = settings.integer("training.batch");
  config.learning_rate = {{0, settings.number("training.learning_rate")}};
  const auto changes = "training.learning_rate_changes";
  for (const ConfigNode& change : settings.list(changes)) {
    const std::int64_t step = settings.integer_of(change, changes, "step");
    if (step <= config.learning_rate.back().step)
      change.fail_at("step", "changes must be in ascending order");
    config.learning_rate.push_back({step, settings.number_of(change, changes, "rate")});
  }
  config.momentum = settings.number("training.momentum");
  config.weight_decay = settings.number("training.weight_decay");
  config.augmentation = read_augmentation(settings, config);
  config.adversarial = read_adversarial(settings, config);
  config.dual = read_dual(settings, config);
  config.synchronised_batch_norm = settings.choice("training.batch_norm") == "synchronised";
  config.nccl_order = settings.choice("training.gradients") == "nccl";
  config.network.training_precision = read_precision(settings);
  config.seed = static_cast<std::uint64_t>(settings.integer("training.seed"));
  config.log_every = settings.integer("training.log_every");
  config.evaluate_every = settings.integer("training.evaluate_every");
  config.checkpoint_every = settings.integer("training.checkpoint_every");
  config.evaluation_images = settings.integer("training.evaluation_images");
  config.evaluation_draws = settings.integer("training.evaluation_draws");
}

}  // namespace

TrainingConfig read_training_config(const ConfigNode& root) {
  const Settings settings(root, training_settings());
  TrainingConfig config;
  config.fallen_away = settings.fallen_away();
  config.name = settings.text("name");
  if (config.name.empty() || config.name.find('/') != std::string::npos ||
      config.name.front() == '.') {
    settings.fail_at("name",
                     "it names the run's folder: it must not be empty, start with '.' or contain "
                     "'/'");
  }
  read_data(settings, config);
  read_network(settings, config);
  read_noise(settings, config);
  layers::check_network_spec(config.network);
  read_sensitivity(settings, config);
  read_training(settings, config);

  Calibration& c = config.calibration;
  if (c.mechanism != Mechanism::none) {
    const auto assumed = "noise.assumed_sensitivity";
    c.sensitivity = settings.given(assumed) ? settings.number(assumed)
                                            : settings.number(assumed, assumed_sensitivity(config));
    const auto& [bound, epsilon, delta] = c.construction.value();
    c.noise_scale = noise_scale_for(c.mechanism, bound, epsilon, delta, c.sensitivity);
  }
  return config;
}

double learning_rate_at(const TrainingConfig& config, std::int64_t step) {
  double rate = 0.0;
  for (const LearningRateChange& change : config.learning_rate) {
    if (step >= change.step) rate = change.rate;
  }
  return rate;
}

double noise_factor_at(const TrainingConfig& config, std::int64_t step) {
  if (!config.ramp_up) return 1.0;
  const double factor = 1.0 - std::min(std::pow(0.99975, static_cast<double>(step)), 0.9);
  return factor > 0.9 ? 1.0 : factor;
}

}  // namespace pixeldp
