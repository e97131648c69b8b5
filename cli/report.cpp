#include "pixeldp/report/report.hpp"

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "engine/error.hpp"
#include "pixeldp/metrics.hpp"

namespace pixeldp::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<fs::path> folders;
  fs::path output = "report.html";
  std::optional<std::int64_t> image;
  bool json = false;
};

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (!file) {
    fail("{}: cannot write the report; is the folder there, and room on the disk?", path.string());
  }
}

void print_json(const std::vector<report::Run>& runs, const Options& options, const fs::path& csv) {
  nlohmann::ordered_json summary = {
      {"page", options.output.string()}, {"csv", csv.string()}, {"runs", nlohmann::json::array()}};
  for (const report::Run& run : runs) {
    const auto& records = run.log.records;
    nlohmann::ordered_json certified = nlohmann::json::array();
    for (const double threshold : report::table_thresholds(runs)) {
      const auto precision = certified_precision(records, threshold);
      certified.push_back(
          {{"threshold", threshold},
           {"certified_accuracy", certified_accuracy(records, threshold)},
           {"certified_fraction", certified_fraction(records, threshold)},
           {"precision", precision ? nlohmann::ordered_json(*precision) : nullptr}});
    }
    summary["runs"].push_back({{"run", run.name},
                               {"images", records.size()},
                               {"accuracy", accuracy(records)},
                               {"abstention", abstention(records)},
                               {"mean_radius", mean_radius(records)},
                               {"median_radius", median_radius(records)},
                               {"thresholds", certified}});
  }
  // A folder's name need not be UTF-8, JSON must be.
  fmt::print("{}\n",
             summary.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void run_report(const Options& options) {
  const fs::path csv = fs::path(options.output).replace_extension(".csv");
  if (csv == options.output) {
    fail_usage("--output {}: the page needs another name, its numbers go there",
               options.output.string());
  }
  const std::vector<report::Run> runs = report::load_runs(options.folders);
  for (std::size_t i = 0; i < runs.size(); ++i)
    warn_if_cut_short(runs[i].log, (options.folders[i] / "certificates.jsonl").string());
  write_file(options.output, report::report_page(runs, options.image));
  write_file(csv, report::report_csv(runs));
  if (options.json) {
    print_json(runs, options, csv);
    return;
  }
  for (const report::Run& run : runs) {
    fmt::print("{}: {} images, accuracy {:.1f}%, median certified radius {:.4g}\n", run.name,
               run.log.records.size(), 100 * accuracy(run.log.records),
               median_radius(run.log.records));
  }
  fmt::print("wrote {} and {}\n", options.output.string(), csv.string());
}

}  // namespace

void add_report(CLI::App& program) {
  CLI::App* command = program.add_subcommand("report", "One page of curves and tables of runs");
  auto options = std::make_shared<Options>();
  command->add_option("run", options->folders, "Folders of runs, with their certificates.jsonl")
      ->required();
  command->add_option("--output", options->output, "The page; its numbers go next to it as .csv")
      ->capture_default_str();
  command->add_option("--image", options->image,
                      "Show the scores of this image (default: the certified image with the median "
                      "radius)");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([options] { run_report(*options); });
}

}  // namespace pixeldp::cli
