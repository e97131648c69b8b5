#include "trainers/resume.hpp"

#include "engine/error.hpp"
#include "trainers/training_settings.hpp"

namespace pixeldp {
namespace {

/// The rates of `before` up to step `step`, those of `after` from there on.
std::vector<LearningRateChange> joined(const TrainingConfig& before, const TrainingConfig& after,
                                       std::int64_t step) {
  std::vector<LearningRateChange> rates;
  for (const LearningRateChange& change : before.learning_rate)
    if (change.step < step) rates.push_back(change);
  const double rate = learning_rate_at(after, step);
  if (rates.empty() || rates.back().rate != rate) rates.push_back({step, rate});
  for (const LearningRateChange& change : after.learning_rate)
    if (change.step > step) rates.push_back(change);
  return rates;
}

void set_rates(ConfigNode& root, const std::vector<LearningRateChange>& rates) {
  std::string changes;
  for (std::size_t i = 1; i < rates.size(); ++i)
    changes +=
        fmt::format("{}{{step: {}, rate: {}}}", i == 1 ? "" : ", ", rates[i].step, rates[i].rate);
  root.set(fmt::format("training.learning_rate={}", rates.front().rate));
  root.set(fmt::format("training.learning_rate_changes=[{}]", changes));
}

}  // namespace

std::vector<std::string> continue_from(const Checkpoint& checkpoint, ConfigNode& root,
                                       TrainingConfig& config) {
  const std::string path = checkpoint.path.string(), schedule = "training.learning_rate";
  const ConfigNode theirs = ConfigNode::parse(checkpoint.config(), path);
  const TrainingConfig before = read_training_config(theirs);
  std::vector<std::string> changes;
  const auto add = [&](const std::string& key) {
    changes.push_back(fmt::format("{}: {} (was {})", key, root.text_of(key).value_or("nothing"),
                                  theirs.text_of(key).value_or("nothing")));
  };
  for (const Setting& setting : training_settings()) {
    const auto there = theirs.text_of(setting.key), here = root.text_of(setting.key);
    if (there == here || (there && here && setting.same(*there, *here))) continue;
    if (!setting.changeable) {
      fail(
          "{}: this checkpoint belongs to another configuration, with '{}: {}' where this one has "
          "'{}: {}'; resume with the configuration in config.yaml beside it, or train into another "
          "folder",
          path, setting.key, there.value_or("nothing"), setting.key, here.value_or("nothing"));
    }
    if (!setting.key.starts_with(schedule)) add(setting.key);
  }
  const std::int64_t step = checkpoint.step();
  if (config.steps < step)
    fail_usage("{}: {} steps are done already, more than training.steps: {}", path, step,
               config.steps);
  const auto rates = before.learning_rate == config.learning_rate ? before.learning_rate
                                                                  : joined(before, config, step);
  if (rates != config.learning_rate) set_rates(root, rates);
  if (rates != before.learning_rate) add(schedule + "_changes");
  config.learning_rate = rates;
  return changes;
}

void check_same_images(const Checkpoint& checkpoint, const Dataset& images,
                       const ConfigNode& root) {
  if (checkpoint.images().value_or(images.identity()) == images.identity()) return;
  const std::string path = checkpoint.path.string(), key = "data.directory";
  const ConfigNode theirs = ConfigNode::parse(checkpoint.config(), path);
  const auto place = [&](const ConfigNode& config) {
    return config.text_of(key).value_or("its usual folder");
  };
  fail(
      "{}: this checkpoint was trained on other images of {} than lie in {} now: resume with those "
      "that lay in {}, or train into another folder",
      path, images.name, place(root), place(theirs));
}

}  // namespace pixeldp
