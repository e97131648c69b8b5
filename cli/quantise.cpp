#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/certificate_arguments.hpp"
#include "cli/commands.hpp"
#include "cli/run_folder.hpp"
#include "engine/interrupt.hpp"
#include "engine/named.hpp"
#include "pixeldp/quantisation.hpp"

namespace pixeldp::cli {
namespace {

struct QuantiseOptions {
  std::string run, directory;
  std::int64_t images = 256;
  std::uint64_t seed = 1;
  bool json = false;
};

void run(const QuantiseOptions& o) {
  install_interrupt_handler();
  RunModel run = load_run(o.run, Scales::mend);
  refuse_regression(run.model, "scales for int8");
  const Dataset dataset = load_evaluation_set(run.model, "", "train", o.directory);
  const Quantisation made = quantise(run.model, dataset, o.images, o.seed);
  const bool changed = run.model.quantisation != made;
  run.model.quantisation = made;
  const std::filesystem::path path = run.folder / "model.safetensors";
  if (changed) save_model(path, run.model);
  if (o.json) {
    const nlohmann::json report = {{"model", path.string()},
                                   {"model_sha256", sha256_file(path)},
                                   {"images", made.images},
                                   {"seed", made.seed},
                                   {"scales", made.scales}};
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("{:<24} scale of what it reads\n", "layer");
  for (const auto& [layer, scale] : made.scales) fmt::print("{:<24} {:.6g}\n", layer, scale);
  fmt::print("\nfrom one noisy draw of each of {} training images, seed {}\n{} {}\n", made.images,
             made.seed, path.string(),
             changed ? "now holds them; certificate logs of the file as it was cannot be continued"
                     : "held them already");
}

}  // namespace

void add_precision_option(CLI::App& command, std::string& precision) {
  command.add_option("--precision", precision,
                     "What the layers after the noise calculate in: fp32, bf16, or int8 after "
                     "'pixeldp quantise' (default: fp32 on processors, bf16 on GPUs)");
}

std::optional<kernels::Precision> chosen_precision(const std::string& precision) {
  if (precision.empty()) return std::nullopt;
  return parse_precision(precision);
}

void add_algorithm_option(CLI::App& command, std::string& algorithm) {
  command
      .add_option("--algorithm", algorithm,
                  "How a processor multiplies after the noise: winograd, with fewer "
                  "multiplications where a layer's shape allows, or direct (default: winograd)")
      ->check(CLI::IsMember(names_of(algorithms, name)));
}

std::optional<kernels::Algorithm> chosen_algorithm(const std::string& algorithm) {
  if (algorithm.empty()) return std::nullopt;
  return value_named(algorithm, "algorithm", algorithms, name);
}

void add_quantise(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "quantise", "Give a trained model the scales that --precision int8 takes");
  auto o = std::make_shared<QuantiseOptions>();
  command->add_option("run", o->run, "Folder of a finished training run")
      ->required()
      ->type_name("RUN");
  command->add_option("--images", o->images, "Training images to look at, with noise")
      ->capture_default_str();
  add_seed_option(*command, o->seed);
  command->add_option("--data", o->directory,
                      "Folder of the data set's files (default: $PIXELDP_DATA/NAME)");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
