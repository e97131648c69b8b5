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

/// One value of each choice, and the name that tells it from the others: "seed=1,draws=300".
struct Combination {
  std::vector<std::string> values;
  std::string name;
};

std::vector<Combination> combinations(const std::vector<Choice>& choices) {
  std::vector<Combination> all = {{}};
  for (const auto& [key, values] : choices) {
    std::vector<Combination> longer;
    for (const Combination& combination : all) {
      for (const std::string& value : values) {
        longer.push_back(combination);
        longer.back().values.push_back(value);
        if (values.size() > 1)
          longer.back().name +=
              fmt::format("{}{}={}", combination.name.empty() ? "" : ",", key, value);
      }
    }
    all = std::move(longer);
  }
  // They name folders.
  for (Combination& combination : all) std::ranges::replace(combination.name, '/', '_');
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

}  // namespace

Sweep read_sweep(const std::filesystem::path& file) {
  const ConfigNode root = ConfigNode::load(file);
  root.reject_unknown({"name", "configurations", "settings.*.key", "settings.*.values",
                       "certify.*.option", "certify.*.values"});
  Sweep sweep{.name = root.get_string("name"), .trainings = {}, .certifications = {}};
  if (sweep.name.empty() || sweep.name.find('/') != sweep.name.npos || sweep.name.front() == '.')
    root.fail_at(
        "name", "it names the sweep's folder: it must not be empty, start with '.' or contain '/'");
  const std::vector<Choice> settings = read_choices(root, "settings", "key");
  std::set<std::string> names;
  for (const std::string& name : root.get_values("configurations")) {
    for (const Combination& combination : combinations(settings)) {
      sweep.trainings.push_back(training_of(file.parent_path() / name, settings, combination));
      if (const std::string& mine = sweep.trainings.back().name; !names.insert(mine).second)
        root.fail_at("configurations", fmt::format("two networks would be called '{}'", mine));
    }
  }
  if (sweep.trainings.empty()) root.fail_at("configurations", "there is none");
  const std::vector<Choice> options = read_choices(root, "certify", "option");
  for (const Combination& combination : combinations(options)) {
    SweepCertification certification{.name = combination.name, .arguments = {}};
    for (std::size_t i = 0; i < options.size(); ++i) {
      certification.arguments.push_back("--" + options[i].key);
      certification.arguments.push_back(combination.values[i]);
    }
    sweep.certifications.push_back(std::move(certification));
  }
  return sweep;
}

}  // namespace pixeldp
