#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "engine/io/dataset.hpp"
#include "engine/io/safetensors.hpp"
#include "pixeldp/certificate.hpp"
#include "pixeldp/model.hpp"
#include "pixeldp/network_sensitivity.hpp"
#include "pixeldp/sampler.hpp"
#include "tests/text_of.hpp"
#include "tests/thread_ranks.hpp"
#include "tests/throws_error.hpp"
#include "tests/trainers/fixture.hpp"

using namespace pixeldp;
using tests::Fixture;

namespace {

/// Whether this processor trains in bf16.
bool can_round() {
  const std::string obstacle = kernels::product_obstacle(kernels::Precision::bf16);
  if (!obstacle.empty()) MESSAGE(obstacle);
  return obstacle.empty();
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "training learns, and leaves a model that may be certified") {
  const TrainSummary summary = train(config(60), {.output = folder / "run"});
  CHECK(summary.steps == 60);
  CHECK(summary.test_accuracy > 0.9);
  const Model model = load_model(folder / "run" / "model.safetensors");
  check_certifiable(model);
  CHECK(model.calibration.noise_scale == doctest::Approx(0.25372725));
  CHECK(model.calibration.sensitivity == summary.sensitivity);
  CHECK(model.calibration.sensitivity == network_sensitivity(model.network, AttackNorm::l2,
                                                             Mechanism::gaussian,
                                                             SensitivityForm::tight));
  // Read back, the resolved configuration is the one that was trained.
  CHECK(tests::text_of(folder / "run" / "config.yaml") ==
        ConfigNode::load(folder / "run" / "config.yaml").to_yaml());
}

TEST_CASE_FIXTURE(
    Fixture,
    "the same configuration gives the same model, whatever the number of threads in evaluation") {
  train(config(), {.output = folder / "a"});
  train(config(), {.output = folder / "b"});
  CHECK(tests::text_of(folder / "a" / "model.safetensors") ==
        tests::text_of(folder / "b" / "model.safetensors"));
  CHECK(tests::without_times(folder / "a" / "training.csv") ==
        tests::without_times(folder / "b" / "training.csv"));
}

TEST_CASE_FIXTURE(Fixture, "training in bf16 learns, twice the same, and keeps weights in fp32") {
  if (!can_round()) return;
  ConfigNode rounded = config(60);
  rounded.set("training.precision=bf16");
  CHECK(train(rounded, {.output = folder / "a"}).test_accuracy > 0.9);
  train(rounded, {.output = folder / "b"});
  CHECK(tests::text_of(folder / "a" / "model.safetensors") ==
        tests::text_of(folder / "b" / "model.safetensors"));
  train(config(60), {.output = folder / "fp32"});
  const auto weights = [&](const char* run, const char* name) {
    return read_safetensors(folder / run / "model.safetensors").tensors.at(name).to_floats();
  };
  for (const char* name : {"conv1.weight", "fc1.weight"}) {
    const std::vector<float> values = weights("a", name);
    CHECK(values != weights("fp32", name));
    CHECK(std::any_of(values.begin(), values.end(), [](float value) {
      return (std::bit_cast<std::uint32_t>(value) & 0xffff) != 0;
    }));
  }
  // tf32 of a processor is fp32 for networks without convolutions of 3x3.
  ConfigNode tf32 = config(60);
  tf32.set("training.precision=tf32");
  train(tf32, {.output = folder / "tf32"});
  CHECK(weights("tf32", "fc1.weight") == weights("fp32", "fc1.weight"));
}

TEST_CASE_FIXTURE(
    Fixture,
    "a folder that holds a run is not trained over, and not resumed under another configuration") {
  train(config(8), {.output = folder / "run"});
  const std::string model = tests::text_of(folder / "run" / "model.safetensors");
  CHECK_FAILS(train(config(8), {.output = folder / "run"}), "--resume");
  ConfigNode other = config(8);
  other.set("training.momentum=0.8");
  CHECK_FAILS(train(other, {.output = folder / "run", .resume = true}),
              "another configuration, with 'training.momentum: 0.9' where this one has "
              "'training.momentum: 0.8'");
  CHECK_FAILS(train(config(7), {.output = folder / "run", .resume = true}),
              "8 steps are done already, more than training.steps: 7");
  CHECK(tests::text_of(folder / "run" / "model.safetensors") == model);
  // A run that is done is left as it is.
  train(config(8), {.output = folder / "run", .resume = true});
  CHECK(tests::text_of(folder / "run" / "model.safetensors") == model);
}

TEST_CASE_FIXTURE(Fixture,
                  "an evaluation looks at certified accuracy where its draws can certify") {
  const auto cell = [&](const char* run, std::size_t column) {
    const std::string csv = tests::text_of(folder / run / "training.csv");
    std::string line = csv.substr(csv.rfind('\n', csv.size() - 2) + 1);
    for (std::size_t i = 0; i < column; ++i) line = line.substr(line.find(',') + 1);
    return line.substr(0, line.find(','));
  };
  // Three votes prove nothing about an expectation.
  CHECK(!train(config(), {.output = folder / "few"}).certified_accuracy);
  CHECK(!cell("few", 5).empty());
  CHECK(cell("few", 6).empty());

  ConfigNode many = config(60);
  many.set("training.evaluation_draws=200");
  many.set("training.evaluate_every=60");
  const TrainSummary summary = train(many, {.output = folder / "many"});
  REQUIRE(summary.certified_accuracy);
  CHECK(*summary.certified_accuracy > 0.5);
  CHECK(*summary.certified_accuracy <= summary.test_accuracy);
  // As the model that was saved is certified, by what its sensitivity was measured to be.
  const Model model = load_model(folder / "many" / "model.safetensors");
  const Dataset test = load_dataset("mnist", "test", folder.path());
  int certified = 0;
  Sampler(Stream(), model.network)
      .run(
          20, {.seed = 1, .tag = StreamTag::training, .count = 200},
          [&](std::int64_t image, float* pixels) {
            to_float(test, image, image + 1, pixels, -0.5f);
            return test.image_id(image);
          },
          [&](std::int64_t image, const ScoreStatistics& statistics) {
            const Certificate made = certify(statistics, model.calibration, {});
            certified += made.prediction == test.labels[static_cast<std::size_t>(image)] &&
                         made.radius >= 0.1;
            return true;
          });
  CHECK(*summary.certified_accuracy == certified / 20.0);
  CHECK(cell("many", 6) == fmt::format("{:.6g}", *summary.certified_accuracy));
  // The same when the finished run is asked again.
  CHECK(train(many, {.output = folder / "many", .resume = true}).certified_accuracy ==
        summary.certified_accuracy);

  // With noise for this delta, 15 votes of 15 certify 0.1008 at a sensitivity of 1, and less at
  // what it has become.
  REQUIRE(summary.sensitivity > 1.02);
  many.set("noise.delta=0.0925");
  many.set("training.evaluation_draws=15");
  CHECK(train(many, {.output = folder / "drifted"}).certified_accuracy == 0.0);

  ConfigNode none = config(4);
  none.set("noise={mechanism: none}");
  none.set("sensitivity={control: none}");
  CHECK(!train(none, {.output = folder / "none"}).certified_accuracy);
}

TEST_CASE("colour images are trained on, and augmentation changes what is learnt") {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, std::uint32_t first) {
    Bytes file;
    for (std::uint32_t i = 0; i < 10; ++i) {
      file.push_back(static_cast<std::uint8_t>(i));
      for (std::uint32_t p = 0; p < 3072; ++p) {
        const bool bar = p % 1024 / 32 / 3 == i;
        file.push_back(static_cast<std::uint8_t>(Philox::generate({p, first + i, 0, 0}, 3)[0] % 64 +
                                                 (bar ? 160 : 0)));
      }
    }
    write_file_atomically(folder / name, file);
  };
  for (std::uint32_t i = 1; i <= 5; ++i) write(fmt::format("data_batch_{}.bin", i), 10 * i);
  write("test_batch.bin", 100);
  const auto config = [&](int steps) {
    return ConfigNode::parse(
        fmt::format("name: made\n"
                    "data: {{set: cifar-10, directory: {}}}\n"
                    "network: {{architecture: mnist-cnn}}\n"
                    "noise: {{mechanism: gaussian, construction_bound: 0.1}}\n"
                    "sensitivity: {{control: parseval}}\n"
                    "training: {{steps: {}, batch: 16, learning_rate: 0.02, checkpoint_every: 4, "
                    "augment: {{pad: 1, mirror: true}}, evaluation_images: 10, "
                    "evaluation_draws: 3}}\n",
                    folder.path().string(), steps),
        "test.yaml");
  };
  const TrainSummary summary = train(config(10), {.output = folder / "whole"});
  CHECK(summary.steps == 10);
  CHECK(std::isfinite(summary.loss.value()));
  ConfigNode plain = config(10);
  plain.set("training.augment={}");
  train(plain, {.output = folder / "plain"});
  CHECK(tests::text_of(folder / "plain" / "model.safetensors") !=
        tests::text_of(folder / "whole" / "model.safetensors"));
  const Model model = load_model(folder / "whole" / "model.safetensors");
  CHECK(model.spec.channels == 3);
  check_certifiable(model);
}

TEST_CASE_FIXTURE(Fixture, "only devices leave the order of sums over ranks to NCCL") {
  tests::ThreadRanks::run(2, [&](Communicator& ranks) {
    ConfigNode own_order = config();
    own_order.set("training.gradients=nccl");
    CHECK_FAILS(train(own_order, {.output = folder / "run", .ranks = &ranks}),
                "training.gradients: nccl is for ranks on GPUs, and their device is cpu");
  });
}

TEST_CASE_FIXTURE(Fixture, "a batch larger than the data set is the data set") {
  ConfigNode large = config(2);
  large.set("training.batch=2000000");
  train(large, {.output = folder / "run"});
  CHECK(ConfigNode::load(folder / "run" / "config.yaml").text_of("training.batch") == "256");
}

TEST_CASE_FIXTURE(Fixture, "a damaged checkpoint is refused") {
  train(config(8), {.output = folder / "run"});
  std::filesystem::remove(folder / "run" / "model.safetensors");
  std::filesystem::resize_file(folder / "run" / "checkpoint.safetensors", 1000);
  CHECK_FAILS(train(config(8), {.output = folder / "run", .resume = true}),
              "checkpoint.safetensors");
}

TEST_CASE_FIXTURE(
    Fixture,
    "a wide residual network trains, and goes on from a checkpoint to the very same model") {
  std::string precision = "fp32";
  SUBCASE("in fp32") {}
  SUBCASE("in bf16") {
    if (!can_round()) return;
    precision = "bf16";
  }
  const auto wide = [&](int steps) {
    ConfigNode config = this->config(steps);
    config.set("network={architecture: wide-resnet, depth: 10, width: 2}");
    config.set("training.precision=" + precision);
    config.set("training.batch=4");
    config.set("training.evaluation_images=2");
    return config;
  };
  train(wide(6), {.output = folder / "whole"});

  // A run that was stopped after 3 steps: its checkpoint, and the log up to there.
  ConfigNode three = wide(6);
  three.set("training.checkpoint_every=3");
  three.set("training.log_every=3");
  train(three, {.output = folder / "stopped"});
  ConfigNode first = wide(3);
  first.set("training.checkpoint_every=3");
  first.set("training.log_every=3");
  train(first, {.output = folder / "first"});
  SafetensorsFile checkpoint = read_safetensors(folder / "first" / "checkpoint.safetensors");
  checkpoint.metadata["config"] = tests::text_of(folder / "stopped" / "config.yaml");
  std::filesystem::remove(folder / "stopped" / "model.safetensors");
  write_safetensors(folder / "stopped" / "checkpoint.safetensors", checkpoint);
  CHECK(checkpoint.tensors.contains("layer3.0.bn2.running_mean"));
  train(three, {.output = folder / "stopped", .resume = true});
  CHECK(tests::text_of(folder / "stopped" / "model.safetensors") ==
        tests::text_of(folder / "whole" / "model.safetensors"));

  const Model model = load_model(folder / "stopped" / "model.safetensors");
  check_certifiable(model);
  CHECK(model.spec.depth == 10);
  // Without the running statistics of the checkpoint it would be another model.
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (name.ends_with("running_var"))
      tensor = SafeTensor::from_floats(
          tensor.shape, std::vector<float>(static_cast<std::size_t>(tensor.size()), 1.0f));
  }
  std::filesystem::remove(folder / "stopped" / "model.safetensors");
  write_safetensors(folder / "stopped" / "checkpoint.safetensors", checkpoint);
  train(three, {.output = folder / "stopped", .resume = true});
  CHECK(tests::text_of(folder / "stopped" / "model.safetensors") !=
        tests::text_of(folder / "whole" / "model.safetensors"));
}

TEST_CASE_FIXTURE(
    Fixture, "every mechanism, noise position, attack norm and control trains and is measured") {
  struct Case {
    const char *mechanism, *norm, *control;
    int position;
  };
  const Case cases[] = {{"gaussian", "2", "parseval", 2},
                        {"gaussian", "2", "none", 0},
                        {"gaussian", "1", "normalise-columns", 1},
                        {"laplace", "1", "normalise-columns", 1},
                        {"laplace", "1", "none", 0},
                        {"gaussian", "inf", "normalise-rows", 1},
                        {"laplace", "2", "parseval", 1},
                        {"laplace", "1", "normalise-columns", 2}};
  for (const Case& c : cases) {
    CAPTURE(c.mechanism);
    CAPTURE(c.norm);
    CAPTURE(c.position);
    ConfigNode config = this->config(2);
    config.set("noise.mechanism=" + std::string(c.mechanism));
    config.set("noise.attack_norm='" + std::string(c.norm) + "'");
    config.set("noise.after_layers=" + std::to_string(c.position));
    config.set("sensitivity.control=" + std::string(c.control));
    if (std::string(c.control) != "parseval") {
      // These settings belong to the projection only.
      config = ConfigNode::parse(config.to_yaml(), "test.yaml");
      config.set("sensitivity={control: " + std::string(c.control) + "}");
    }
    const auto run = folder / ("run-" + std::string(c.mechanism) + c.norm + c.control +
                               std::to_string(c.position));
    const TrainSummary summary = train(config, {.output = run});
    const Model model = load_model(run / "model.safetensors");
    check_certifiable(model);
    CHECK(summary.sensitivity > 0.0);
    // One layer whose columns or rows are normalised has just the sensitivity that the noise
    // assumes.
    if (c.position == 1 && std::string(c.control) == "normalise-rows") {
      CHECK(summary.sensitivity <= std::sqrt(14.0 * 14 * 32) * (1 + 1e-5));
    }
    if (c.position == 1 && std::string(c.control) == "normalise-columns")
      CHECK(summary.sensitivity <= 1 + 1e-5);
  }
}
