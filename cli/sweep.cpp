#include <chrono>
#include <memory>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/sweep_units.hpp"
#include "engine/child_process.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/append_file.hpp"
#include "engine/io/file.hpp"
#include "engine/notice.hpp"
#include "engine/progress.hpp"
#include "pixeldp/report/report.hpp"

namespace pixeldp::cli {
namespace {

namespace fs = std::filesystem;

struct SweepOptions {
  std::vector<fs::path> files;
  fs::path output;
  std::string device = "cpu", size;
  bool json = false;
};

std::string last_line(const fs::path& file) {
  std::string text(as_text(read_file(file)));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

/// What this process has seen of the units of sweeps, which others may be doing as well.
class Sweeper {
 public:
  Sweeper(const std::string& name, const std::vector<Unit>& units, const SweepOptions& o)
      : units_(units),
        device_(chosen_device(o.device).name()),
        progress_("sweep " + name, std::ssize(units_), "parts", count_done(),
                  ProgressStyle::lines) {}

  /// Does what nobody else does, until all is done or in others' hands.
  void run() {
    while (pass()) continue;
    progress_.finish();
  }
  bool all_done() const { return count_done() == std::ssize(units_); }
  std::set<std::string> failures() const {
    std::set<std::string> names;
    for (const Unit* unit : failures_) names.insert(unit->name);
    return names;
  }

 private:
  std::int64_t count_done() const {
    return std::ranges::count_if(units_, [](const Unit& unit) { return unit.done(); });
  }
  bool failed(const Unit* unit) const { return failures_.contains(unit); }

  /// Looks at every unit once; false where another look would find nothing to do.
  bool pass() {
    bool waits = false, worked = false;
    for (const Unit& unit : units_) {
      if (interrupted())
        fail_interrupted("interrupted; what is done is kept, start again to go on");
      if (failed(&unit) || failed(unit.after) || unit.done()) continue;
      if (unit.after && !unit.after->done()) {
        waits = true;
        continue;
      }
      fs::create_directories(unit.folder);
      const auto lock = AppendFile::if_free(unit.log());
      if (!lock || unit.done()) continue;  // someone else does it, or has just done it
      carry_out(unit);
      worked = true;
    }
    progress_.update(count_done());
    if (waits && !worked) std::this_thread::sleep_for(std::chrono::seconds(1));
    return waits || worked;
  }

  void carry_out(const Unit& unit) {
    progress_.note(fmt::format("{} {}", unit.command, unit.name));
    progress_.update(count_done());
    std::vector<std::string> arguments = {unit.command};
    arguments.insert(arguments.end(), unit.arguments.begin(), unit.arguments.end());
    if (unit.command != "bound")
      arguments.insert(arguments.end(), {"--resume", "--device", device_});
    const int status = run_this_program(arguments, unit.log());
    if (status == 0) {
      write_file_atomically(unit.mark(), unit.settings);
    } else if (!interrupted()) {
      failures_.insert(&unit);
      warn("{} {}: exit status {}, {}; see {}", unit.command, unit.name, status,
           last_line(unit.log()), unit.log().string());
    }
  }

  const std::vector<Unit>& units_;
  std::string device_;
  std::set<const Unit*> failures_;
  ProgressBar progress_;
};

/// The runs certified by these units, named after them.
std::vector<report::Run> load_runs(const std::vector<const Unit*>& units) {
  std::vector<report::Run> runs;
  for (const Unit* unit : units) {
    if (unit->command != "certify") continue;
    runs.push_back(report::load_run(unit->folder));
    runs.back().name = unit->name;
  }
  return runs;
}

/// Those of attacks and bounds, by network and curve, in the order of the units.
std::vector<report::Curve> load_curves(const std::vector<const Unit*>& units) {
  std::vector<std::pair<const Unit*, std::vector<fs::path>>> groups;
  for (const Unit* unit : units) {
    if (unit->command != "attack" && unit->command != "bound") continue;
    const auto same = [&](const auto& group) {
      return group.first->command == unit->command && group.first->curve == unit->curve;
    };
    const auto group = std::ranges::find_if(groups, same);
    if (group == groups.end())
      groups.emplace_back(unit, std::vector{unit->result()});
    else
      group->second.push_back(unit->result());
  }
  std::vector<report::Curve> curves;
  for (const auto& [unit, files] : groups) {
    if (unit->command == "bound") {
      curves.push_back(report::bound_curve(unit->curve + ", proved", unit->network, files));
      continue;
    }
    std::vector<AttackLogContents> logs;
    for (const fs::path& file : files) logs.push_back(read_attack_log(file));
    curves.push_back(report::attack_curve(unit->curve, unit->network, logs));
  }
  return curves;
}

/// Writes the report of all, and returns what there is of it.
nlohmann::ordered_json write_report(const std::vector<Sweep>& sweeps, const Units& units,
                                    const fs::path& output) {
  std::vector<report::Comparison> comparisons;
  std::string sections;
  for (std::size_t i = 0; i < sweeps.size(); ++i) {
    const std::vector<const Unit*>& mine = units.of_sweep[i];
    std::vector<report::Curve> curves = load_curves(mine);
    if (sweeps[i].title.empty() && sweeps[i].published.empty() && curves.empty()) continue;
    comparisons.push_back({.title = sweeps[i].title.empty() ? sweeps[i].name : sweeps[i].title,
                           .runs = load_runs(mine),
                           .curves = std::move(curves),
                           .published = sweeps[i].published});
    sections += report::comparison_section(comparisons.back());
  }
  std::vector<const Unit*> all;
  for (const Unit& unit : units.all) all.push_back(&unit);
  std::vector<report::Run> runs = load_runs(all);
  report::find_images(runs, std::nullopt);
  const fs::path page = output / "report.html", csv = output / "report.csv";
  nlohmann::ordered_json summary = {{"certifications", runs.size()}, {"page", page.string()}};
  if (runs.empty()) {
    write_file_atomically(page, report::comparison_page(sections));
  } else {
    write_file_atomically(
        page, report::report_page(runs, std::nullopt, csv.filename().string(), sections));
    write_file_atomically(csv, report::report_csv(runs));
    summary["csv"] = csv.string();
  }
  if (!comparisons.empty()) {
    const fs::path compared = output / "comparisons.csv";
    write_file_atomically(compared, report::comparison_csv(comparisons));
    summary["comparisons"] = compared.string();
  }
  return summary;
}

void run(const SweepOptions& o) {
  install_interrupt_handler();
  std::vector<Sweep> sweeps;
  for (const fs::path& file : o.files) sweeps.push_back(read_sweep(file, o.size));
  if (sweeps.size() > 1 && o.output.empty())
    fail_usage("--output is missing: several sweeps need a folder, in which they share networks");
  for (const Sweep& sweep : sweeps)
    for (const SweepGrid& grid : sweep.grids)
      for (const SweepCell& cell : grid.cells) check_arguments(cell);
  const fs::path output = o.output.empty() ? fs::path("sweeps") / sweeps.front().name : o.output;
  const std::string name = sweeps.size() == 1 ? sweeps.front().name : output.filename().string();
  const Units units = units_of(sweeps, output);
  Sweeper sweeper(name, units.all, o);
  sweeper.run();
  if (const std::set<std::string> failures = sweeper.failures(); !failures.empty())
    fail("{} of the sweep failed: {}; start again once that is mended", failures.size(),
         fmt::join(failures, ", "));
  if (!sweeper.all_done()) {
    notice("what is left is being done by others, the last of whom writes the report");
    if (o.json) fmt::print("{}\n", nlohmann::json({{"sweep", name}, {"done", false}}).dump());
    return;
  }
  nlohmann::ordered_json summary = {{"sweep", name}, {"done", true}};
  const auto count = [&](const char* command) {
    return std::ranges::count(units.all, command, &Unit::command);
  };
  summary["trainings"] = count("train");
  const nlohmann::ordered_json report = write_report(sweeps, units, output);
  summary.update(report);
  summary["attacks"] = count("attack");
  summary["bounds"] = count("bound");
  if (o.json) return fmt::print("{}\n", summary.dump());
  fmt::print("{} networks, {} certifications, {} attacks and {} bounds: {}\n", count("train"),
             count("certify"), count("attack"), count("bound"), report["page"].get<std::string>());
}

}  // namespace

void add_sweep(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "sweep", "Train, certify and attack every combination of what files vary, and report on all");
  auto o = std::make_shared<SweepOptions>();
  command
      ->add_option("files", o->files,
                   "What to vary: see configs/sweeps, configs/paper and docs/clusters.md; several "
                   "files share networks, and get one report")
      ->required()
      ->type_name("FILE.yaml");
  command->add_option("--size", o->size, "Of files that come in two sizes")
      ->check(CLI::IsMember({"small", "full"}));
  command
      ->add_option("--output", o->output,
                   "Folder of runs, state and report; several processes with the same one share "
                   "the work, and a sweep started again goes on (default: sweeps/NAME)")
      ->type_name("FOLDER");
  add_device_option(*command, o->device);
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
