#include "trainers/training_config.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "engine/io/dataset.hpp"

namespace pixeldp {
namespace {

constexpr std::int64_t most_steps = 100'000'000;

void read_data(const ConfigNode& node, TrainingConfig& config) {
  config.dataset =
      node.get_choice("set", {"mnist", "fashion-mnist", "cifar-10", "cifar-100", "svhn"});
  const ImageForm form = image_form(config.dataset);
  config.network.height = form.height;
  config.network.width = form.width;
  config.network.channels = form.channels;
  config.network.classes = form.classes;
  if (node.given("directory")) config.directory = node.get_string("directory");
  config.pixel_shift = node.get_number("pixel_shift", -0.5, Range::closed(-1.0, 1.0));
}

/// The sensitivity that the noise assumes where the configuration does not say: the value at which
/// the chosen control holds the layers (Lecuyer et al. 2019, section III.B); plain norm conversions
/// where it holds another norm.
double assumed_sensitivity(const TrainingConfig& config) {
  const Calibration& c = config.calibration;
  const layers::NetworkSpec& spec = config.network;
  const std::int64_t inputs = spec.height * spec.width * spec.channels;
  if (spec.noise_after_layers == 0) return identity_sensitivity(inputs, c.attack_norm, c.mechanism);
  if (c.attack_norm == AttackNorm::l1) return 1.0;
  if (c.attack_norm == AttackNorm::l2 && c.mechanism == Mechanism::gaussian) return 1.0;

  const layers::Network network = layers::make_network(spec, 0);
  const auto outputs = static_cast<double>(network.noise_shape(1).row_size());
  const double to_mechanism_norm = c.mechanism == Mechanism::laplace ? std::sqrt(outputs) : 1.0;
  if (c.attack_norm == AttackNorm::l2) return to_mechanism_norm;
  return config.control == SensitivityControl::normalise_rows
             ? std::sqrt(outputs) * to_mechanism_norm
             : std::sqrt(static_cast<double>(inputs)) * to_mechanism_norm;
}

void read_network(const ConfigNode& node, layers::NetworkSpec& network) {
  network.architecture = node.get_string("architecture");
  const auto& names = layers::architecture_names();
  if (std::find(names.begin(), names.end(), network.architecture) == names.end())
    node.fail_at("architecture", fmt::format("it must be one of {}", fmt::join(names, ", ")));
  const bool wide = network.architecture == "wide-resnet";
  if (wide || network.architecture == "resnet")
    network.depth = node.get_integer("depth", wide ? 28 : 20, 1, 10000);
  if (wide) {
    network.widening = node.get_integer("width", 10, 1, 1000);
    network.slope = node.get_number("slope", 0.1, Range::closed(0.0, 1.0));
  }
  network.standardise = node.get_choice("standardise", {"none", "image"}, "none") == "image";
}

void read_noise(const ConfigNode& node, TrainingConfig& config) {
  Calibration& c = config.calibration;
  c.mechanism = parse_mechanism(node.get_choice("mechanism", {"none", "gaussian", "laplace"}));
  config.network.noise_after_layers = static_cast<int>(node.get_integer("after_layers", 1, 0, 2));
  config.network.noise_before_activation = node.get_bool("before_activation", true);
  if (c.mechanism == Mechanism::none) return;
  c.attack_norm = parse_attack_norm(node.get_choice("attack_norm", {"1", "2", "inf"}, "2"));
  Construction& construction = c.construction.emplace();
  construction.bound = node.get_number("construction_bound", {}, Range::above(0.0));
  construction.epsilon = node.get_number("epsilon", 1.0,
                                         c.mechanism == Mechanism::gaussian
                                             ? Range{.min = 0.0, .max = 1.0, .min_excluded = true}
                                             : Range::above(0.0));
  construction.delta = c.mechanism == Mechanism::gaussian
                           ? node.get_number("delta", 0.05, Range::open(0.0, 1.0))
                           : 0.0;
  config.ramp_up = node.get_bool("ramp_up", true);
}

void read_sensitivity(const ConfigNode& node, TrainingConfig& config) {
  const std::string control = node.get_choice(
      "control", {"none", "parseval", "normalise-columns", "normalise-rows"}, "none");
  config.control = control == "parseval"            ? SensitivityControl::parseval
                   : control == "normalise-columns" ? SensitivityControl::normalise_columns
                   : control == "normalise-rows"    ? SensitivityControl::normalise_rows
                                                    : SensitivityControl::none;
  if (config.control == SensitivityControl::parseval) {
    config.parseval_step =
        node.get_number("parseval_step", 0.0003, {.min = 0.0, .max = 0.5, .min_excluded = true});
    config.parseval_loops = static_cast<int>(node.get_integer("parseval_loops", 10, 1, 10000));
    config.network.rescale_prefix = config.network.noise_after_layers > 0;
  }
  config.form = node.get_choice("form", {"tight", "faithful"}, "tight") == "tight"
                    ? SensitivityForm::tight
                    : SensitivityForm::faithful;
}

Augmentation read_augmentation(const ConfigNode& node, const TrainingConfig& config) {
  Augmentation augmentation;
  const std::int64_t extent = std::min(config.network.height, config.network.width);
  augmentation.pad = static_cast<int>(node.get_integer("pad", 0, 0, extent - 1));
  augmentation.mirror = node.get_bool("mirror", false);
  if (augmentation.mirror && image_form(config.dataset).digits)
    node.fail_at("mirror", "a mirrored digit is no digit: it makes no sense for " + config.dataset);
  return augmentation;
}

/// What the products after the noise may be rounded to in training: fp32 not at all, so that a
/// configuration means the same on every device; tf32 to 11 significant bits and bf16 to 8, which
/// tensor cores multiply many times faster. Processors round to bf16 where that is faster, and take
/// tf32 for fp32. Weights, sums and everything up to the noise are in fp32 whatever it says: no
/// certificate depends on it.
kernels::Precision read_precision(const ConfigNode& node) {
  const std::string precision = node.get_choice("precision", {"fp32", "tf32", "bf16"}, "fp32");
  return precision == "fp32"   ? kernels::Precision::fp32
         : precision == "tf32" ? kernels::Precision::tf32
                               : kernels::Precision::bf16;
}

void read_training(const ConfigNode& node, TrainingConfig& config) {
  config.steps = node.get_integer("steps", {}, 1, most_steps);
  config.batch = node.get_integer("batch", 128, 1, 65536);
  config.learning_rate = {{0, node.get_number("learning_rate", {}, Range::above(0.0))}};
  for (const ConfigNode& change : node.children("learning_rate_changes")) {
    const std::int64_t step = change.get_integer("step", {}, 1, most_steps);
    if (step <= config.learning_rate.back().step)
      change.fail_at("step", "changes must be in ascending order");
    config.learning_rate.push_back({step, change.get_number("rate", {}, Range::above(0.0))});
  }
  config.momentum =
      node.get_number("momentum", 0.9, {.min = 0.0, .max = 1.0, .max_excluded = true});
  config.weight_decay = node.get_number("weight_decay", 0.0002, Range::at_least(0.0));
  config.augmentation = read_augmentation(node.child("augment"), config);
  config.network.training_precision = read_precision(node);
  config.seed = static_cast<std::uint64_t>(node.get_integer("seed", 1, 0));
  config.log_every = node.get_integer("log_every", 100, 1, most_steps);
  config.evaluate_every = node.get_integer("evaluate_every", 1000, 1, most_steps);
  config.checkpoint_every = node.get_integer("checkpoint_every", 1000, 1, most_steps);
  config.evaluation_images = node.get_integer("evaluation_images", 1000, 1, most_steps);
  config.evaluation_draws = node.get_integer("evaluation_draws", 10, 1, 1'000'000);
}

}  // namespace

TrainingConfig read_training_config(const ConfigNode& root) {
  TrainingConfig config;
  config.name = root.get_string("name");
  if (config.name.empty() || config.name.find('/') != std::string::npos ||
      config.name.front() == '.') {
    root.fail_at("name",
                 "it names the run's folder: it must not be empty, start with '.' or contain '/'");
  }
  read_data(root.child("data"), config);
  const ConfigNode network = root.child("network");
  read_network(network, config.network);
  const ConfigNode noise = root.child("noise");
  read_noise(noise, config);
  layers::check_network_spec(config.network);
  read_sensitivity(root.child("sensitivity"), config);
  read_training(root.child("training"), config);

  Calibration& c = config.calibration;
  if (c.mechanism != Mechanism::none) {
    c.sensitivity = noise.given("assumed_sensitivity")
                        ? noise.get_number("assumed_sensitivity", {}, Range::above(0.0))
                        : noise.get_number("assumed_sensitivity", assumed_sensitivity(config));
    const auto& [bound, epsilon, delta] = c.construction.value();
    c.noise_scale = noise_scale_for(c.mechanism, bound, epsilon, delta, c.sensitivity);
  }
  root.reject_unknown();
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
