#include <cmath>
#include <vector>

#include "engine/io/safetensors.hpp"
#include "pixeldp/model.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"
#include "tests/trainers/fixture.hpp"

using namespace pixeldp;
using tests::Fixture;

TEST_CASE_FIXTURE(Fixture, "divergence is named, with the step and what to change") {
  ConfigNode wild = config();
  wild.set("training.learning_rate=1e30");
  wild.set("sensitivity={control: none}");
  CHECK_FAILS(train(wild, {.output = folder / "run"}), "training.learning_rate");
  CHECK_FAILS(train(wild, {.output = folder / "run", .resume = true}),
              "there is no checkpoint yet");
  // As it says: --resume with a lower rate.
  wild.set("training.learning_rate=0.02");
  CHECK(train(wild, {.output = folder / "run", .resume = true}).steps == 24);
}

TEST_CASE_FIXTURE(Fixture,
                  "a projection that diverges is named with its tensor, and the advice works") {
  ConfigNode wild = config(12);
  wild.set("training.learning_rate_changes=[{step: 5, rate: 1e10}]");
  wild.set("training.checkpoint_every=4");
  for (const bool resume : {false, true}) {
    CHECK_FAILS(train(wild, {.output = folder / "run", .resume = resume}),
                "the Parseval projection of conv1.weight diverges with a step of 0.05 (before loop "
                "1 of 2 ");
    CHECK_FAILS(train(wild, {.output = folder / "run", .resume = true}),
                "with --resume, which goes on from the checkpoint of step 4");
  }
  wild.set("training.learning_rate_changes=");
  CHECK(train(wild, {.output = folder / "run", .resume = true}).steps == 12);
}

namespace {

/// Diverges in step `wild`, whose learning rate is absurd.
ConfigNode diverging(const Fixture& fixture, int wild, const char* checkpoint_every) {
  ConfigNode config = fixture.config(12);
  config.set("sensitivity={control: none}");
  config.set(fmt::format("training.learning_rate_changes=[{{step: {}, rate: 1e38}}]", wild));
  config.set("training.log_every=1");
  config.set("training.checkpoint_every=" + std::string(checkpoint_every));
  return config;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "after divergence training goes on from the last healthy checkpoint at another "
                  "rate, and config.yaml says what was done") {
  const char* every = "1";
  SUBCASE("where the wild step is due for a checkpoint itself") {}
  SUBCASE("where it is not") { every = "4"; }
  const std::string healthy = every == std::string("1") ? "step 5" : "step 4";
  CHECK_FAILS(train(diverging(*this, 5, every), {.output = folder / "run"}),
              "goes on from the checkpoint of " + healthy);
  CHECK(!std::filesystem::exists(folder / "run" / "model.safetensors"));
  // The same again can only diverge again, and loses nothing.
  CHECK_FAILS(train(diverging(*this, 5, every), {.output = folder / "run", .resume = true}),
              "the loss is not finite");

  ConfigNode mended = diverging(*this, 5, every);
  mended.set("training.learning_rate_changes=");
  mended.set("training.learning_rate=0.01");
  mended.set("training.steps=14");
  const TrainSummary summary = train(mended, {.output = folder / "run", .resume = true});
  CHECK(summary.steps == 14);
  CHECK(std::isfinite(summary.loss.value()));
  check_certifiable(load_model(folder / "run" / "model.safetensors"));

  // Every step stands in training.csv once, with the rate it was taken at.
  const std::string csv = tests::text_of(folder / "run" / "training.csv");
  const std::int64_t resumed_at = every == std::string("1") ? 5 : 4;
  std::size_t line = 0;
  for (std::int64_t step = 1; step <= 14; ++step) {
    line = csv.find('\n', line) + 1;
    CHECK(
        csv.substr(line).starts_with(fmt::format("{},{}", step, step <= resumed_at ? 0.02 : 0.01)));
  }
  CHECK(csv.find('\n', line) + 1 == csv.size());

  // By the configuration that the folder holds, training anew gives the same model.
  ConfigNode used = ConfigNode::load(folder / "run" / "config.yaml");
  CHECK(used.text_of("training.learning_rate") == "0.02");
  CHECK(used.text_of("training.learning_rate_changes") ==
        fmt::format("[{{step: {}, rate: 0.01}}]", resumed_at));
  train(used, {.output = folder / "anew"});
  CHECK(tests::text_of(folder / "anew" / "model.safetensors") ==
        tests::text_of(folder / "run" / "model.safetensors"));
}

TEST_CASE_FIXTURE(Fixture, "a checkpoint that had diverged already is named") {
  train(config(8), {.output = folder / "run"});
  const auto path = folder / "run" / "checkpoint.safetensors";
  SafetensorsFile checkpoint = read_safetensors(path);
  for (auto& [name, tensor] : checkpoint.tensors)
    if (!name.ends_with(".velocity"))
      tensor = SafeTensor::from_floats(
          tensor.shape, std::vector<float>(static_cast<std::size_t>(tensor.size()), 1e36f));
  write_safetensors(path, checkpoint);
  CHECK_FAILS(train(config(9), {.output = folder / "run", .resume = true}),
              "checkpoint.safetensors begins: its training had diverged; remove the file");
}

TEST_CASE_FIXTURE(Fixture, "a finished run that is resumed reports what it reported, and stays") {
  const TrainSummary first = train(config(8), {.output = folder / "run"});
  const auto path = folder / "run" / "model.safetensors";
  Model model = load_model(path);
  model.quantisation = Quantisation{.scales = {{"fc1", 0.5f}}, .images = 1, .seed = 1};
  save_model(path, model);  // as quantise does
  const std::string file = tests::text_of(path), csv = tests::text_of(folder / "run/training.csv");

  const TrainSummary again = train(config(8), {.output = folder / "run", .resume = true});
  CHECK(first.loss.value() > 0.0);
  CHECK(again.loss == first.loss);
  CHECK(again.test_accuracy == first.test_accuracy);
  CHECK(again.certified_accuracy == first.certified_accuracy);
  CHECK(again.sensitivity == first.sensitivity);
  CHECK(again.steps == first.steps);
  CHECK(again.seconds == doctest::Approx(first.seconds));
  CHECK(tests::text_of(path) == file);
  CHECK(tests::text_of(folder / "run/training.csv") == csv);
  // A model that was lost, or is another one, is written again.
  std::filesystem::remove(path);
  train(config(8), {.output = folder / "run", .resume = true});
  CHECK(load_model(path).quantisation == std::nullopt);
}

TEST_CASE_FIXTURE(Fixture, "a number that is written otherwise is the same setting") {
  train(config(8), {.output = folder / "run"});
  ConfigNode same = config(12);
  same.set("noise.construction_bound=0.10");
  same.set("noise.attack_norm='2'");
  same.set("training.momentum=9e-1");
  CHECK(train(same, {.output = folder / "run", .resume = true}).steps == 12);
  same.set("noise.construction_bound=0.11");
  CHECK_FAILS(
      train(same, {.output = folder / "run", .resume = true}),
      "'noise.construction_bound: 0.10' where this one has 'noise.construction_bound: 0.11'");
}

TEST_CASE_FIXTURE(Fixture, "training goes on with the images that it began with") {
  train(config(4), {.output = folder / "run"});
  std::filesystem::create_directory(folder / "other");
  tests::write_made_mnist(folder / "other", 255);
  ConfigNode other = config(5);
  other.set("data.directory=" + (folder / "other").string());
  CHECK_FAILS(train(other, {.output = folder / "run", .resume = true}),
              "resume with those that lay in " + folder.path().string());
  tests::write_made_mnist(folder / "other");
  CHECK(train(other, {.output = folder / "run", .resume = true}).steps == 5);
}

TEST_CASE_FIXTURE(Fixture, "more steps than a finished run has are added to it") {
  ConfigNode longer = config(16);
  train(config(8), {.output = folder / "run"});
  CHECK(train(longer, {.output = folder / "run", .resume = true}).steps == 16);
  train(config(16), {.output = folder / "whole"});
  CHECK(tests::text_of(folder / "run" / "model.safetensors") ==
        tests::text_of(folder / "whole" / "model.safetensors"));
}
