#include <filesystem>
#include <memory>
#include <random>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "cli/run_folder.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/input_noise.hpp"
#include "pixeldp/regression/regression.hpp"
#include "pixeldp/verification.hpp"

namespace pixeldp::cli {
namespace {

struct VerifyOptions {
  std::filesystem::path log;
  std::string run, directory, device = "cpu";
  double fraction = 0.01;
  std::int64_t micro_batch = 0;
  bool json = false;
};

/// The log's model, as its run's folder holds it.
RunModel model_of(const VerifyOptions& o, const std::string& model_sha256) {
  std::string folder = o.run;
  if (folder.empty()) {
    folder = o.log.has_parent_path() ? o.log.parent_path().string() : ".";
    if (!std::filesystem::exists(std::filesystem::path(folder) / "model.safetensors"))
      fail("{}: the folder of the log has no model.safetensors: name the run's by --run",
           o.log.string());
  }
  RunModel run = load_run(folder);
  // Before all else, for another model has other noise, too.
  if (run.sha256 != model_sha256)
    fail("{}: the log is of another model: its model_sha256 is {}, that of {} is {}",
         o.log.string(), model_sha256, (run.folder / "model.safetensors").string(), run.sha256);
  return run;
}

VerificationOptions options_of(const VerifyOptions& o) {
  return {.device = Device::parse(o.device),
          .fraction = o.fraction,
          .choice = std::random_device()(),
          .micro_batch = o.micro_batch};
}

void print(const VerifyOptions& o, const Verification& verified, std::size_t records) {
  if (!verified.differences.empty())
    fail("{}: {} of {} images that were drawn again have other lines:\n{}", o.log.string(),
         verified.differences.size(), verified.images.size(),
         fmt::join(verified.differences, "\n"));
  const double escapes = chance_to_escape(verified.images.size(), records);
  if (o.json) {
    const nlohmann::ordered_json report = {
        {"log", o.log.string()},   {"images", records},           {"drawn_again", verified.images},
        {"draws", verified.draws}, {"seconds", verified.seconds}, {"chance_to_escape", escapes}};
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("log               {}, chain and radii as they must be\n", o.log.string());
  fmt::print("drawn again       {} of {} images, {} draws: every integer is the log's\n",
             verified.images.size(), records, verified.draws);
  if (escapes > 0)
    fmt::print("not excluded      one forged vote escapes this check with probability {}\n",
               rounded(escapes, false, 4));
}

void verify_regression(const VerifyOptions& o) {
  const RegressionLog log = read_regression_log(o.log);
  warn_if_cut_short(log, o.log.string());
  if (log.records.empty()) fail("{}: the log holds no certificate yet", o.log.string());
  const RunModel run = model_of(o, log.header.model_sha256);
  const Dataset dataset =
      load_evaluation_set(run.model, log.header.dataset, log.header.split, o.directory);
  print(o, verify_outputs(log, run.model, run.sha256, dataset, options_of(o)), log.records.size());
}

void run(const VerifyOptions& o) {
  install_interrupt_handler();
  if (is_regression_log(o.log)) return verify_regression(o);
  const CertificateLog log = read_certificate_log(o.log);
  warn_if_cut_short(log, o.log.string());
  if (log.records.empty()) fail("{}: the log holds no certificate yet", o.log.string());
  if (is_foreign(log.header.source))
    fail("{}: its counts are of another program ({}): there is nothing to draw them from",
         o.log.string(), name(log.header.source));
  RunModel run = model_of(o, log.header.model_sha256);
  if (log.header.noise_at_certification) {
    give_input_noise(run.model, {.mechanism = log.header.calibration.mechanism,
                                 .scale = log.header.calibration.noise_scale});
  }
  const Dataset dataset =
      load_evaluation_set(run.model, log.header.dataset, log.header.split, o.directory);
  print(o, verify(log, run.model, run.sha256, dataset, options_of(o)), log.records.size());
}

}  // namespace

void add_verify(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "verify", "Draw a random share of a log's images again, and compare every integer");
  auto o = std::make_shared<VerifyOptions>();
  command->add_option("log", o->log, "Certificate log to check")->required()->type_name("LOG");
  command->add_option("--run", o->run, "Folder of the run it is of (default: the log's folder)")
      ->type_name("RUN");
  command->add_option("--data", o->directory,
                      "Folder of the data set's files (default: $PIXELDP_DATA/NAME)");
  command
      ->add_option("--fraction", o->fraction, "Share of the images; 1: all, and nothing can escape")
      ->capture_default_str();
  add_device_option(*command, o->device);
  command->add_option("--micro-batch", o->micro_batch,
                      "Rows (image, draw) evaluated at a time; 0: what suits the device");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
