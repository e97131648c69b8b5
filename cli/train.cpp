#include "trainers/train.hpp"

#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/show_config.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/notice.hpp"
#include "engine/threads.hpp"
#include "trainers/training_config.hpp"

namespace pixeldp::cli {

namespace {

struct TrainOptions {
  std::string config, device = "cpu", output;
  std::vector<std::string> overrides;
  bool resume = false, json = false, show_config = false;
};

/// The run's folder: what --output says; that of RUN/config.yaml, where a run is resumed by it;
/// else runs/NAME.
std::filesystem::path output_of(const TrainOptions& o, const std::string& name) {
  if (!o.output.empty()) return o.output;
  const std::filesystem::path config = o.config;
  const std::filesystem::path folder = config.has_parent_path() ? config.parent_path() : ".";
  if (o.resume && config.filename() == "config.yaml" &&
      std::filesystem::exists(folder / "training.csv"))
    return folder;
  return std::filesystem::path("runs") / name;
}

void show_config(const std::optional<ConfigNode>& config, bool json) {
  fmt::print("{}", json ? describe_settings_json(config) + "\n" : describe_settings(config));
}

void print(const TrainSummary& summary, const std::filesystem::path& output) {
  fmt::print("run              {}\n", output.string());
  fmt::print("steps            {} in {:.1f} s ({:.2f} ms each)\n", summary.steps, summary.seconds,
             1e3 * summary.seconds / static_cast<double>(summary.steps));
  if (summary.loss) fmt::print("training loss    {:.4f}\n", *summary.loss);
  if (summary.test_error)
    fmt::print("test error       {:.4g} (root of the mean square; first test images, few draws)\n",
               *summary.test_error);
  else
    fmt::print("test accuracy    {:.2f} % (first images of the test set, few draws)\n",
               100.0 * summary.test_accuracy);
  if (summary.certified_accuracy) {
    fmt::print("certified        {:.2f} % at the construction bound (the same images and draws)\n",
               100.0 * *summary.certified_accuracy);
  }
  if (summary.sensitivity > 0.0) {
    fmt::print("sensitivity      {:.6f}{}\n", summary.sensitivity,
               summary.standardised ? " (of standardised images)" : "");
  }
}

void print_json(const TrainSummary& summary, const std::filesystem::path& output) {
  nlohmann::json report = {{"run", output.string()},
                           {"steps", summary.steps},
                           {"loss", nullptr},
                           {"test_accuracy", summary.test_accuracy},
                           {"certified_accuracy", nullptr},
                           {"sensitivity", summary.sensitivity},
                           {"seconds", summary.seconds},
                           {"standardise", summary.standardised ? "image" : "none"}};
  if (summary.test_error) {
    report.erase("test_accuracy");
    report.erase("certified_accuracy");
    report["test_error"] = *summary.test_error;
  }
  if (summary.loss) report["loss"] = *summary.loss;
  if (summary.certified_accuracy) report["certified_accuracy"] = *summary.certified_accuracy;
  fmt::print("{}\n", report.dump());
}

void run(const TrainOptions& o) {
  if (o.config.empty() && o.show_config) return show_config(std::nullopt, o.json);
  if (o.config.empty())
    fail_usage("config is required: a CONFIG.yaml; --show-config shows what it may hold");
  install_interrupt_handler();
  const Device device = chosen_device(o.device);
  ConfigNode config = ConfigNode::load(o.config);
  for (const std::string& assignment : o.overrides) config.set(assignment);
  const TrainingConfig read = read_training_config(config);
  Communicator& ranks = o.show_config ? Communicator::alone() : join_ranks();
  if (ranks.first())
    for (const std::string& key : read.fallen_away) notice("{} falls away", key);
  if (o.show_config) return show_config(config, o.json);
  cap_threads();
  const std::filesystem::path output = output_of(o, read.name);
  const TrainSummary summary = train(config, {.device = device,
                                              .output = output,
                                              .resume = o.resume,
                                              .off_terminal = ProgressStyle::lines,
                                              .ranks = &ranks});
  if (!ranks.first()) return;
  o.json ? print_json(summary, output) : print(summary, output);
}

}  // namespace

void add_train(CLI::App& program) {
  CLI::App* command = program.add_subcommand("train", "Train a network from a YAML configuration");
  auto o = std::make_shared<TrainOptions>();
  command->add_option("config", o->config, "Configuration file")->type_name("CONFIG.yaml");
  command
      ->add_option(
          "--set", o->overrides,
          "Override a setting of the configuration, as in training.steps=100; KEY= removes "
          "it")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  add_device_option(*command, o->device);
  command
      ->add_option("--output", o->output,
                   "The run's folder (default: runs/NAME, NAME from the configuration; with "
                   "RUN/config.yaml and --resume: RUN)")
      ->type_name("RUN");
  command->add_flag("--resume", o->resume,
                    "Continue a run from its last checkpoint, if it has one; other learning rates "
                    "and numbers of steps may be given");
  command->add_flag(
      "--show-config", o->show_config,
      "Print every key of a configuration and what it means, with the values in force "
      "if there is a CONFIG.yaml, and train nothing");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
