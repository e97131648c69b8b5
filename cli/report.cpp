#include "pixeldp/report/report.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/certificate_arguments.hpp"
#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "cli/regression.hpp"
#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/regression/report.hpp"

namespace pixeldp::cli {
namespace {

namespace fs = std::filesystem;

struct ReportOptions {
  std::vector<fs::path> folders;
  fs::path output = "report.html";
  std::optional<std::int64_t> image;
  std::optional<std::string> directory;
  bool json = false;
};

void print_json(const std::vector<report::Run>& runs, const ReportOptions& options,
                const fs::path& csv) {
  nlohmann::ordered_json summary = {
      {"page", options.output.string()}, {"csv", csv.string()}, {"runs", nlohmann::json::array()}};
  const std::vector<double> thresholds = report::table_thresholds(runs);
  for (const report::Run& run : runs) {
    nlohmann::ordered_json figures = {{"run", run.name}};
    figures.update(summary_json(run.log.header, run.log.records, thresholds));
    for (const CertificateLog& other : run.others)
      figures["others"].push_back(summary_json(other.header, other.records, thresholds));
    summary["runs"].push_back(figures);
  }
  // A folder's name need not be UTF-8, JSON must be.
  fmt::print("{}\n",
             summary.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void print_text(const report::Run& run) {
  const auto& records = run.log.records;
  const auto [low, high] = interval_over_images(accuracy(records), records.size());
  fmt::print("{}: {} images, accuracy {:.1f}% ({:.1f} to {:.1f}%)", run.name, records.size(),
             100 * accuracy(records), 100 * low, 100 * high);
  if (report::has_noise(run))
    fmt::print(", median certified radius {}", rounded(median_radius(records), true));
  fmt::print("\n    {}\n", conditions_text(run.log.header));
  for (const CertificateLog& other : run.others) {
    fmt::print("    the same counts by {}: median certified radius {}\n",
               name(other.header.options.kind), rounded(median_radius(other.records), true));
  }
}

/// Of folders whose logs are of regression networks, which all must be then.
void report_regression(const ReportOptions& options, const fs::path& csv) {
  if (options.image) fail_usage("--image is for classifiers");
  std::vector<report::RegressionRun> runs;
  for (const fs::path& folder : options.folders) {
    if (!is_regression_log(folder / "certificates.jsonl"))
      fail_usage("{}: its log is not of a regression network, as that of {} is: report them apart",
                 folder.string(), options.folders.front().string());
    runs.push_back(report::load_regression_run(folder, options.directory));
  }
  write_file_atomically(options.output, report::regression_page(runs));
  write_file_atomically(csv, report::regression_csv(runs));
  nlohmann::ordered_json summary = {{"page", options.output.string()}, {"csv", csv.string()}};
  for (const report::RegressionRun& run : runs) {
    nlohmann::ordered_json figures = {{"run", run.name}};
    figures.update(regression_json(run.log.header, run.log.records));
    summary["runs"].push_back(figures);
  }
  if (options.json) return fmt::print("{}\n", summary.dump());
  for (const report::RegressionRun& run : runs) {
    fmt::print("{}\n", run.name);
    print_regression(run.log.header, run.log.records);
  }
  fmt::print("wrote {} and {}\n", options.output.string(), csv.string());
}

void run_report(const ReportOptions& options) {
  const fs::path csv = fs::path(options.output).replace_extension(".csv");
  if (csv == options.output) {
    fail_usage("--output {}: the page needs another name, its numbers go there",
               options.output.string());
  }
  if (is_regression_log(options.folders.front() / "certificates.jsonl"))
    return report_regression(options, csv);
  std::vector<report::Run> runs = report::load_runs(options.folders);
  for (std::size_t i = 0; i < runs.size(); ++i)
    warn_if_cut_short(runs[i].log, (options.folders[i] / "certificates.jsonl").string());
  report::find_images(runs, options.directory);
  write_file_atomically(options.output,
                        report::report_page(runs, options.image, csv.filename().string()));
  write_file_atomically(csv, report::report_csv(runs));
  if (options.json) {
    print_json(runs, options, csv);
    return;
  }
  for (const report::Run& run : runs) print_text(run);
  fmt::print("wrote {} and {}\n", options.output.string(), csv.string());
}

}  // namespace

void add_report(CLI::App& program) {
  CLI::App* command = program.add_subcommand("report", "One page of curves and tables of runs");
  auto options = std::make_shared<ReportOptions>();
  command->add_option("run", options->folders, "Folders of runs, with their certificates.jsonl")
      ->required();
  command->add_option("--output", options->output, "The page; its numbers go next to it as .csv")
      ->capture_default_str();
  command->add_option("--image", options->image,
                      "Show the scores of this image (default: the certified image with the median "
                      "radius)");
  command->add_option("--data", options->directory,
                      "Folder of the data set's files, for pictures of the images (default: "
                      "$PIXELDP_DATA/NAME; without it, no pictures)");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([options] { run_report(*options); });
}

}  // namespace pixeldp::cli
