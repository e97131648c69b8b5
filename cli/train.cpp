#include "trainers/train.hpp"

#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "engine/interrupt.hpp"

namespace pixeldp::cli {

void add_train(CLI::App& program) {
  struct Options {
    std::string config, device = "cpu", output;
    std::vector<std::string> overrides;
    bool resume = false, json = false;
  };
  CLI::App* command = program.add_subcommand("train", "Train a network from a YAML configuration");
  auto o = std::make_shared<Options>();
  command->add_option("config", o->config, "Configuration file")
      ->required()
      ->type_name("CONFIG.yaml");
  command
      ->add_option("--set", o->overrides,
                   "Override a setting of the configuration, as in training.steps=100")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  add_device_option(*command, o->device);
  command
      ->add_option("--output", o->output,
                   "The run's folder (default: runs/NAME, NAME from the configuration)")
      ->type_name("RUN");
  command->add_flag("--resume", o->resume, "Continue an interrupted run from its last checkpoint");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] {
    install_interrupt_handler();
    const Device device = Device::parse(o->device);
    ConfigNode config = ConfigNode::load(o->config);
    for (const std::string& assignment : o->overrides) config.set(assignment);
    const std::filesystem::path output =
        o->output.empty() ? std::filesystem::path("runs") / config.get_string("name")
                          : std::filesystem::path(o->output);
    const TrainSummary summary =
        train(config, {.device = device, .output = output, .resume = o->resume});
    if (o->json) {
      nlohmann::json report = {{"run", output.string()},
                               {"steps", summary.steps},
                               {"loss", summary.loss},
                               {"test_accuracy", summary.test_accuracy},
                               {"certified_accuracy", nullptr},
                               {"sensitivity", summary.sensitivity},
                               {"seconds", summary.seconds},
                               {"standardise", summary.standardised ? "image" : "none"}};
      if (summary.certified_accuracy) report["certified_accuracy"] = *summary.certified_accuracy;
      fmt::print("{}\n", report.dump());
      return;
    }
    fmt::print("run              {}\n", output.string());
    fmt::print("steps            {} in {:.1f} s ({:.2f} ms each)\n", summary.steps, summary.seconds,
               1e3 * summary.seconds / static_cast<double>(summary.steps));
    fmt::print("training loss    {:.4f}\n", summary.loss);
    fmt::print("test accuracy    {:.2f} % (first images of the test set, few draws)\n",
               100.0 * summary.test_accuracy);
    if (summary.certified_accuracy) {
      fmt::print(
          "certified        {:.2f} % at the construction bound (the same images and draws)\n",
          100.0 * *summary.certified_accuracy);
    }
    if (summary.sensitivity > 0.0) {
      fmt::print("sensitivity      {:.6f}{}\n", summary.sensitivity,
                 summary.standardised ? " (of standardised images)" : "");
    }
  });
}

}  // namespace pixeldp::cli
