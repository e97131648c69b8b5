#include "cli/sweep_units.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands.hpp"
#include "engine/error.hpp"
#include "engine/io/file.hpp"

namespace pixeldp::cli {
namespace {

namespace fs = std::filesystem;

Unit training_unit(const SweepTraining& training, const fs::path& output) {
  const fs::path folder = output / training.name;
  Unit unit{.name = training.name,
            .folder = folder,
            .command = "train",
            .arguments = {training.configuration.string(), "--output", folder.string()},
            .settings = training.resolved};
  for (const std::string& setting : training.settings)
    unit.arguments.insert(unit.arguments.end(), {"--set", setting});
  return unit;
}

Unit cell_unit(const SweepTraining& network, const SweepCell& cell, const Unit& training) {
  const auto below = [&](const std::string& name) {
    return training.name + (name.empty() ? "" : "/" + name);
  };
  Unit unit{.name = below(cell.name),
            .folder = training.folder / cell.name,
            .command = cell.command,
            .arguments = {training.folder.string()},
            .settings = fmt::format("{}\n", fmt::join(cell.arguments, " ")),
            .after = &training,
            .network = training.name,
            .curve = below(cell.curve)};
  unit.arguments.insert(unit.arguments.end(), {"--output", unit.result().string()});
  unit.arguments.insert(unit.arguments.end(), cell.arguments.begin(), cell.arguments.end());
  if (network.directory)
    unit.arguments.insert(unit.arguments.end(), {"--data", *network.directory});
  return unit;
}

/// The unit that is there already, or this one from now on.
const Unit& shared(std::vector<Unit>& units, Unit unit) {
  for (const Unit& there : units) {
    if (there.command != unit.command || there.folder != unit.folder) continue;
    if (there.settings != unit.settings)
      fail_usage(
          "{} {}: it would be made with two different settings; give one of the networks, or of "
          "the mappings that hold '{}', a name of its own",
          unit.command, unit.name, unit.command);
    return there;
  }
  return units.emplace_back(std::move(unit));
}

}  // namespace

fs::path Unit::result() const {
  if (command == "certify") return folder / "certificates.jsonl";
  if (command == "attack") return folder / "attacks.jsonl";
  if (command == "bound") return folder / "bound.json";
  fail("a unit of '{}' has no one result", command);
}

bool Unit::done() const {
  if (!fs::exists(mark())) return false;
  if (as_text(read_file(mark())) == settings) return true;
  fail(
      "{} was made with other settings than the sweep has now; choose another --output, or "
      "remove {} to have it made anew",
      mark().string(), folder.string());
}

Units units_of(const std::vector<Sweep>& sweeps, const fs::path& output) {
  std::size_t most = 0;
  for (const Sweep& sweep : sweeps)
    for (const SweepGrid& grid : sweep.grids)
      most += grid.trainings.size() * (1 + grid.cells.size());
  Units units;
  units.all.reserve(most);  // so that pointers to units stay
  for (const Sweep& sweep : sweeps)
    for (const SweepGrid& grid : sweep.grids)
      for (const SweepTraining& training : grid.trainings)
        shared(units.all, training_unit(training, output));
  for (const Sweep& sweep : sweeps) {
    std::vector<const Unit*>& mine = units.of_sweep.emplace_back();
    for (const SweepGrid& grid : sweep.grids)
      for (const SweepTraining& network : grid.trainings)
        for (const SweepCell& cell : grid.cells) {
          const Unit& training = shared(units.all, training_unit(network, output));
          const Unit& unit = shared(units.all, cell_unit(network, cell, training));
          if (std::ranges::find(mine, &unit) == mine.end()) mine.push_back(&unit);
        }
  }
  return units;
}

void check_arguments(const SweepCell& cell) {
  for (const char* ours : {"--output", "--resume", "--device", "--data", "--shard", "--extend",
                           "--json", "--sanity", "--certificates"})
    if (std::ranges::find(cell.arguments, ours) != cell.arguments.end())
      fail_usage("{}: the option {} is not for sweeps", cell.command, ours);
  CLI::App program;
  if (cell.command == "certify") add_certify(program);
  if (cell.command == "attack") add_attack(program);
  if (cell.command == "bound") add_bound(program);
  // Before the command runs, but after all was read. A callback of its own would end its options.
  struct Understood {};
  program.parse_complete_callback([] { throw Understood(); });
  std::vector<std::string> reversed(cell.arguments.rbegin(), cell.arguments.rend());
  reversed.insert(reversed.end(), {"run", cell.command});
  try {
    program.parse(reversed);
  } catch (const Understood&) {
  } catch (const CLI::ParseError& error) {
    fail_usage("{} {}: {}", cell.command, fmt::join(cell.arguments, " "), error.what());
  }
}

}  // namespace pixeldp::cli
