#include "pixeldp/merge.hpp"

#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "cli/attack_summary.hpp"
#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "cli/regression.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/notice.hpp"

namespace pixeldp::cli {
namespace {

struct MergeOptions {
  std::vector<std::filesystem::path> logs;
  std::filesystem::path output;
  bool json = false;
};

void check_interrupted() {
  if (interrupted()) fail_interrupted("interrupted; nothing was written, start again");
}

void print_made_of(const MergeOptions& o, std::size_t repeated) {
  fmt::print("log               {}\n", o.output.string());
  fmt::print("made of           {} logs\n", o.logs.size());
  if (repeated > 0) fmt::print("left out          {} lines that others have as well\n", repeated);
}

void merge_regression(const MergeOptions& o) {
  std::vector<RegressionLogPart> parts;
  for (const auto& path : o.logs) {
    check_interrupted();
    parts.push_back({path.string(), read_regression_log(path)});
    warn_if_cut_short(parts.back().log, parts.back().source);
  }
  std::size_t repeated = 0;
  const std::size_t logs = parts.size();
  const RegressionLog merged = merge_regression_logs(std::move(parts), repeated);
  if (merged.records.empty()) fail("the logs hold no certificate yet: nothing was written");
  write_regression_log(o.output, merged);
  if (o.json) {
    nlohmann::ordered_json report = regression_json(merged.header, merged.records);
    report["log"] = o.output.string();
    report["logs"] = logs;
    report["repeated_lines"] = repeated;
    fmt::print("{}\n", report.dump());
    return;
  }
  print_made_of(o, repeated);
  print_regression(merged.header, merged.records);
}

void merge_attacks(const MergeOptions& o) {
  std::vector<AttackLogContents> parts;
  for (const auto& path : o.logs) {
    check_interrupted();
    parts.push_back(read_attack_log(path));
    if (parts.back().cut)
      warn(
          "{}:{}: the last line is cut short and was left out; 'pixeldp attack --resume' makes "
          "its image anew",
          path.string(), *parts.back().cut);
  }
  const auto [log, repeated] = merge_attack_logs(parts);
  if (log.lines.empty()) fail("the logs hold no attack yet: nothing was written");
  write_attack_log(o.output, log);
  nlohmann::ordered_json report = attack_json(log.records(), log.options);
  report["log"] = o.output.string();
  report["logs"] = parts.size();
  report["repeated_lines"] = repeated;
  if (o.json) return fmt::print("{}\n", report.dump());
  print_made_of(o, repeated);
  print_attack(report, log.options, fmt::format("{} of {}", log.split, log.dataset));
}

void run(const MergeOptions& o) {
  install_interrupt_handler();
  if (is_regression_log(o.logs.front())) return merge_regression(o);
  check_interrupted();
  const bool attacks = is_attack_log(o.logs.front());
  for (const auto& path : o.logs) {
    check_interrupted();
    if (is_attack_log(path) != attacks)
      fail("{} {} a log of attacks, and {} {}: merge them apart", path.string(),
           attacks ? "is not" : "is", o.logs.front().string(), attacks ? "is" : "is not");
  }
  if (attacks) return merge_attacks(o);
  std::vector<LogPart> parts;
  for (const auto& path : o.logs) {
    check_interrupted();
    parts.push_back({path.string(), read_certificate_log(path)});
    warn_if_cut_short(parts.back().log, parts.back().source);
  }
  const MergedLog merged = merge_logs(parts);
  if (merged.log.records.empty()) fail("the logs hold no certificate yet: nothing was written");
  write_certificate_log(o.output, merged.log);
  if (o.json) {
    nlohmann::ordered_json report =
        summary_json(merged.log.header, merged.log.records, thresholds_for(merged.log.header));
    report["log"] = o.output.string();
    report["logs"] = parts.size();
    report["repeated_lines"] = merged.repeated;
    fmt::print("{}\n", report.dump());
    return;
  }
  print_made_of(o, merged.repeated);
  print_summary(merged.log.header, merged.log.records);
}

}  // namespace

void add_merge(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "merge", "One log of the parts that several jobs have certified or attacked");
  auto o = std::make_shared<MergeOptions>();
  command
      ->add_option("logs", o->logs,
                   "Certificate logs, or attack logs, of the same model and settings")
      ->required()
      ->type_name("LOG");
  command->add_option("--output", o->output, "Log to write; it must not exist yet")
      ->required()
      ->type_name("LOG");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
