#include "trainers/sweep.hpp"

#include <chrono>
#include <memory>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
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
  fs::path file, output;
  std::string device = "cpu";
  bool json = false;
};

/// A training or a certification: what one process does at a time.
struct Unit {
  std::string name;
  fs::path folder;
  const char* command = "train";       // or certify
  std::vector<std::string> arguments;  // that make its result
  std::string settings;                // what it is a result of
  const Unit* after = nullptr;         // the training that it needs

  /// What is printed. Whoever does the unit holds a lock on this file.
  fs::path log() const { return folder / fmt::format("{}.log", command); }
  /// There once the unit is done, with its settings.
  fs::path mark() const { return folder / fmt::format("{}.done", command); }

  bool done() const {
    if (!fs::exists(mark())) return false;
    if (as_text(read_file(mark())) == settings) return true;
    fail(
        "{} was made with other settings than the sweep has now; choose another --output, or "
        "remove {} to have it made anew",
        mark().string(), folder.string());
  }
};

/// The trainings, then the certifications.
std::vector<Unit> units_of(const Sweep& sweep, const fs::path& output) {
  std::vector<Unit> units;
  units.reserve(sweep.trainings.size() * (1 + sweep.certifications.size()));
  for (const SweepTraining& training : sweep.trainings) {
    Unit unit{.name = training.name,
              .folder = output / training.name,
              .arguments = {training.configuration.string(), "--output",
                            (output / training.name).string()},
              .settings = training.resolved};
    for (const std::string& setting : training.settings)
      unit.arguments.insert(unit.arguments.end(), {"--set", setting});
    units.push_back(std::move(unit));
  }
  for (std::size_t i = 0; i < sweep.trainings.size(); ++i) {
    for (const SweepCertification& certification : sweep.certifications) {
      const Unit& training = units[i];
      Unit unit{
          .name = training.name + (certification.name.empty() ? "" : "/") + certification.name,
          .folder = training.folder / certification.name,
          .command = "certify",
          .arguments = {training.folder.string(), "--output",
                        (training.folder / certification.name / "certificates.jsonl").string()},
          .settings = fmt::format("{}\n", fmt::join(certification.arguments, " ")),
          .after = &training};
      unit.arguments.insert(unit.arguments.end(), certification.arguments.begin(),
                            certification.arguments.end());
      if (const auto& directory = sweep.trainings[i].directory)
        unit.arguments.insert(unit.arguments.end(), {"--data", *directory});
      units.push_back(std::move(unit));
    }
  }
  return units;
}

/// Refuses, before anything is trained, what certify would.
void check_arguments(const SweepCertification& certification) {
  for (const char* ours : {"--output", "--resume", "--device", "--data", "--shard", "--extend"})
    if (std::ranges::find(certification.arguments, ours) != certification.arguments.end())
      fail_usage("certify: the option {} is not for sweeps, which set it themselves", ours);
  CLI::App program;
  add_certify(program);
  program.get_subcommand("certify")->callback([] {});
  std::vector<std::string> reversed(certification.arguments.rbegin(),
                                    certification.arguments.rend());
  reversed.insert(reversed.end(), {"run", "certify"});
  try {
    program.parse(reversed);
  } catch (const CLI::ParseError& error) {
    fail_usage("certify {}: {}", fmt::join(certification.arguments, " "), error.what());
  }
}

std::string last_line(const fs::path& file) {
  std::string text(as_text(read_file(file)));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

/// What this process has seen of a sweep's units, which others may be doing as well.
class Sweeper {
 public:
  Sweeper(const Sweep& sweep, const SweepOptions& o, const fs::path& output)
      : units_(units_of(sweep, output)),
        device_(chosen_device(o.device).name()),
        progress_("sweep " + sweep.name, std::ssize(units_), "parts", count_done(),
                  ProgressStyle::lines) {}

  /// Does what nobody else does, until all is done or in others' hands.
  void run() {
    while (pass()) continue;
    progress_.finish();
  }
  bool all_done() const { return count_done() == std::ssize(units_); }
  const std::set<std::string>& failures() const { return failures_; }
  /// Those of the certifications that are done.
  std::vector<fs::path> certified() const {
    std::vector<fs::path> folders;
    for (const Unit& unit : units_)
      if (unit.after && unit.done()) folders.push_back(unit.folder);
    return folders;
  }

 private:
  std::int64_t count_done() const {
    return std::ranges::count_if(units_, [](const Unit& unit) { return unit.done(); });
  }
  bool failed(const Unit* unit) const { return unit && failures_.contains(unit->name); }

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
    arguments.insert(arguments.end(), {"--resume", "--device", device_});
    const int status = run_this_program(arguments, unit.log());
    if (status == 0) {
      write_file_atomically(unit.mark(), unit.settings);
    } else if (!interrupted()) {
      failures_.insert(unit.name);
      warn("{} {}: exit status {}, {}; see {}", unit.command, unit.name, status,
           last_line(unit.log()), unit.log().string());
    }
  }

  std::vector<Unit> units_;
  std::string device_;
  std::set<std::string> failures_;
  ProgressBar progress_;
};

void run(const SweepOptions& o) {
  install_interrupt_handler();
  const Sweep sweep = read_sweep(o.file);
  for (const SweepCertification& certification : sweep.certifications)
    check_arguments(certification);
  const fs::path output = o.output.empty() ? fs::path("sweeps") / sweep.name : o.output;
  Sweeper sweeper(sweep, o, output);
  sweeper.run();
  if (!sweeper.failures().empty())
    fail("{} of the sweep failed: {}; start again once that is mended", sweeper.failures().size(),
         fmt::join(sweeper.failures(), ", "));
  if (!sweeper.all_done()) {
    notice("what is left is being done by others, the last of whom writes the report");
    if (o.json) fmt::print("{}\n", nlohmann::json({{"sweep", sweep.name}, {"done", false}}).dump());
    return;
  }
  const fs::path page = output / "report.html", csv = output / "report.csv";
  std::vector<report::Run> runs = report::load_runs(sweeper.certified());
  report::find_images(runs, std::nullopt);
  write_file_atomically(page, report::report_page(runs, std::nullopt, csv.filename().string()));
  write_file_atomically(csv, report::report_csv(runs));
  if (o.json) {
    const nlohmann::ordered_json summary = {{"sweep", sweep.name},
                                            {"done", true},
                                            {"trainings", sweep.trainings.size()},
                                            {"certifications", runs.size()},
                                            {"page", page.string()},
                                            {"csv", csv.string()}};
    fmt::print("{}\n", summary.dump());
    return;
  }
  fmt::print("{} networks, certified in {} ways: {} and {}\n", sweep.trainings.size(),
             sweep.certifications.size(), page.string(), csv.string());
}

}  // namespace

void add_sweep(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "sweep", "Train and certify every combination of what a file varies, and report on all");
  auto o = std::make_shared<SweepOptions>();
  command->add_option("file", o->file, "What to vary: see configs/sweeps and docs/clusters.md")
      ->required()
      ->type_name("FILE.yaml");
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
