#include "trainers/sweep.hpp"

#include <algorithm>
#include <set>

#include "engine/error.hpp"
#include "trainers/training_config.hpp"

namespace pixeldp {
namespace {

/// What is varied, and what it takes.
struct Choice {
  std::string key;
  std::vector<std::string> values;
};

/// The elements of the list `list`, whose keys are called `key`.
std::vector<Choice> read_choices(const ConfigNode& root, std::string_view list,
                                 std::string_view key) {
  std::vector<Choice> choices;
  for (const ConfigNode& element : root.children(list)) {
    choices.push_back({element.get_string(key), element.get_values("values")});
    if (choices.back().values.empty()) element.fail_at("values", "it holds no value");
    const auto same = [&](const Choice& choice) { return choice.key == choices.back().key; };
    if (std::ranges::count_if(choices, same) > 1)
      element.fail_at(key, fmt::format("{} is varied twice", choices.back().key));
  }
  return choices;
}

/// One value of each choice, and the name that tells it from the others: "seed=1,size=0.1".
struct Combination {
  std::vector<std::string> values;
  std::string name, but_size;
};

std::vector<Combination> combinations(const std::vector<Choice>& choices) {
  std::vector<Combination> all = {{}};
  for (const auto& [key, values] : choices) {
    std::vector<Combination> longer;
    for (const Combination& combination : all) {
      for (const std::string& value : values) {
        longer.push_back(combination);
        longer.back().values.push_back(value);
        if (values.size() < 2) continue;
        const auto add = [&](std::string& name) {
          name += fmt::format("{}{}={}", name.empty() ? "" : ",", key, value);
          std::ranges::replace(name, '/', '_');  // it names a folder
        };
        add(longer.back().name);
        if (key != "size") add(longer.back().but_size);
      }
    }
    all = std::move(longer);
  }
  return all;
}

SweepTraining training_of(const std::filesystem::path& configuration,
                          const std::vector<Choice>& choices, const Combination& combination) {
  SweepTraining training;
  training.configuration = configuration;
  ConfigNode config = ConfigNode::load(configuration);
  for (std::size_t i = 0; i < choices.size(); ++i) {
    training.settings.push_back(choices[i].key + "=" + combination.values[i]);
    config.set(training.settings.back());
  }
  const TrainingConfig read = read_training_config(config);
  if (read.network.output)
    fail_usage("{}: sweeps certify labels, and this is a network for regression",
               training.configuration.string());
  training.name = read.name + (combination.name.empty() ? "" : "," + combination.name);
  training.directory = read.directory;
  training.resolved = config.to_yaml();
  return training;
}

void check_folder_name(const ConfigNode& node, const std::string& name, std::string_view what) {
  if (name.empty() || name.find('/') != name.npos || name.front() == '.')
    node.fail_at("name", fmt::format("it names {}: it must not be empty, start with '.' or contain "
                                     "'/'",
                                     what));
}

/// What is done with each network of a grid.
std::vector<SweepCell> read_cells(const ConfigNode& node, const std::string& grid) {
  std::vector<SweepCell> cells;
  const bool others = node.given("attack") || node.given("bound");
  for (const std::string command : {"certify", "attack", "bound"}) {
    const bool usual = command == "certify" && !others;
    if (!node.given(command) && !usual) continue;
    const std::vector<Choice> options = read_choices(node, command, "option");
    for (const Combination& combination : combinations(options)) {
      const auto after_grid = [&](const std::string& name) {
        return grid + (grid.empty() || name.empty() ? "" : ",") + name;
      };
      SweepCell cell{.command = command,
                     .name = after_grid(combination.name),
                     .curve = after_grid(combination.but_size),
                     .arguments = {}};
      for (std::size_t i = 0; i < options.size(); ++i) {
        cell.arguments.push_back("--" + options[i].key);
        cell.arguments.push_back(combination.values[i]);
      }
      cells.push_back(std::move(cell));
    }
  }
  return cells;
}

SweepGrid read_grid(const ConfigNode& node, const std::filesystem::path& folder,
                    const std::string& name) {
  SweepGrid grid;
  const std::vector<Choice> settings = read_choices(node, "settings", "key");
  std::set<std::string> names;
  for (const std::string& configuration : node.get_values("configurations")) {
    for (const Combination& combination : combinations(settings)) {
      grid.trainings.push_back(training_of(folder / configuration, settings, combination));
      if (const std::string& mine = grid.trainings.back().name; !names.insert(mine).second)
        node.fail_at("configurations", fmt::format("two networks would be called '{}'", mine));
    }
  }
  if (grid.trainings.empty()) node.fail_at("configurations", "there is none");
  grid.cells = read_cells(node, name);
  return grid;
}

std::vector<report::Published> read_published(const ConfigNode& root) {
  std::vector<report::Published> all;
  std::vector<std::string> measures;
  for (const report::Measure measure : report::measures) measures.emplace_back(name(measure));
  for (const ConfigNode& node : root.children("published")) {
    report::Published value;
    value.network = node.get_string("network");
    if (node.given("of")) value.of = node.get_values("of");
    value.measure = report::parse_measure(node.get_choice("measure", measures));
    value.norm = parse_attack_norm(node.get_choice("norm", {"1", "2", "inf"}, "2"));
    value.at = node.get_number("at", 0.0, Range::at_least(0.0));
    value.value = node.get_number("value", {}, Range::closed(0.0, 1.0));
    all.push_back(std::move(value));
  }
  return all;
}

/// The keys of a grid, each after `prefix`.
void add_grid_keys(std::vector<std::string>& keys, const std::string& prefix) {
  for (const char* key : {"configurations", "settings.*.key", "settings.*.values"})
    keys.push_back(prefix + key);
  for (const char* command : {"certify", "attack", "bound"})
    for (const char* key : {"option", "values"})
      keys.push_back(fmt::format("{}{}.*.{}", prefix, command, key));
}

}  // namespace

Sweep read_sweep(const std::filesystem::path& file, const std::string& size) {
  const ConfigNode root = ConfigNode::load(file);
  std::vector<std::string> keys = {"name", "title", "small.*.name", "full.*.name"};
  for (const char* key : {"network", "of", "measure", "norm", "at", "value"})
    keys.push_back(fmt::format("published.*.{}", key));
  for (const char* prefix : {"", "small.*.", "full.*."}) add_grid_keys(keys, prefix);
  root.reject_unknown(keys);
  Sweep sweep{.name = root.get_string("name"),
              .title = root.given("title") ? root.get_string("title") : "",
              .grids = {},
              .published = read_published(root)};
  check_folder_name(root, sweep.name, "the sweep's folder");
  const bool sizes = root.given("small") || root.given("full");
  if (!sizes) {
    if (!size.empty()) fail_usage("{}: it has but one size: leave out --size", file.string());
    sweep.grids.push_back(read_grid(root, file.parent_path(), ""));
    return sweep;
  }
  for (const char* key : {"configurations", "settings", "certify", "attack", "bound"})
    if (root.given(key)) root.fail_at(key, "it belongs into the mappings of 'small' and 'full'");
  if (size.empty() || !root.given(size))
    fail_usage("{}: it comes in sizes: choose one by --size small or --size full{}", file.string(),
               size.empty() ? "" : fmt::format(", it has no '{}'", size));
  for (const ConfigNode& node : root.children(size)) {
    const std::string name = node.given("name") ? node.get_string("name") : "";
    if (node.given("name")) check_folder_name(node, name, "folders of the grid");
    sweep.grids.push_back(read_grid(node, file.parent_path(), name));
  }
  if (sweep.grids.empty()) root.fail_at(size, "it is empty");
  return sweep;
}

}  // namespace pixeldp
