#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "cli/certificate_arguments.hpp"
#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp::cli {
namespace {

struct RecertifyOptions {
  std::filesystem::path log, output;
  CertificateArguments certificate;
  bool json = false;
};

void run(const RecertifyOptions& o) {
  install_interrupt_handler();
  const CertificateLog given = read_certificate_log(o.log);
  warn_if_cut_short(given, o.log.string());
  if (given.header.calibration.mechanism == Mechanism::none) {
    fail("{}: the log of a model without noise; there is nothing to certify", o.log.string());
  }
  if (given.records.empty()) fail("{}: the log holds no certificate yet", o.log.string());
  const CertificateLog log = recertified(given, o.certificate.options_over(given.header.options));
  if (interrupted()) fail_interrupted("interrupted; nothing was written, start again");
  write_certificate_log(o.output, log);
  if (o.json) {
    nlohmann::ordered_json report = summary_json(log.header, log.records, default_thresholds());
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
  auto o = std::make_shared<RecertifyOptions>();
  command->add_option("log", o->log, "Certificate log to take the counts from")
      ->required()
      ->type_name("LOG");
  command->add_option("--output", o->output, "Certificate log to write")->required();
  o->certificate.add_to(*command, true);
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
