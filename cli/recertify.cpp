#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "cli/certificate_arguments.hpp"
#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"

namespace pixeldp::cli {
namespace {

struct Options {
  std::filesystem::path log, output;
  CertificateArguments certificate;
  bool json = false;
};

void run(const Options& o) {
  install_interrupt_handler();
  CertificateLog log = read_certificate_log(o.log);
  warn_if_cut_short(log, o.log.string());
  if (log.header.calibration.mechanism == Mechanism::none) {
    fail("{}: the log of a model without noise; there is nothing to certify", o.log.string());
  }
  if (log.records.empty()) fail("{}: the log holds no certificate yet", o.log.string());
  log.header.options = o.certificate.options(log.header.options.scores);
  for (CertificateRecord& record : log.records) {
    if (interrupted()) fail_interrupted("interrupted; nothing was written, start again");
    // A label that other draws have chosen stays chosen: the log holds none of those draws.
    const auto selected =
        record.selection_draws > 0 ? std::optional<int>(record.prediction) : std::nullopt;
    const Certificate certificate =
        certify(record.statistics, log.header.calibration, log.header.options, selected);
    record.prediction = certificate.prediction;
    record.radius = certificate.radius;
  }
  write_certificate_log(o.output, log);
  if (o.json) {
    nlohmann::json report = summary_json(log.records);
    report["log"] = o.output.string();
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("log               {}\n", o.output.string());
  print_summary(log.header, log.records);
}

}  // namespace

void add_recertify(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "recertify", "Certificates of another kind from the counts of a log: no model, no draws");
  auto o = std::make_shared<Options>();
  command->add_option("log", o->log, "Certificate log to take the counts from")
      ->required()
      ->type_name("LOG");
  command->add_option("--output", o->output, "Certificate log to write")->required();
  o->certificate.add_to(*command);
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
