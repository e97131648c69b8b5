#include <cmath>
#include <filesystem>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "engine/io/dataset.hpp"
#include "pixeldp/model.hpp"
#include "tests/temporary_folder.hpp"
#include "trainers/sweep.hpp"
#include "trainers/training_config.hpp"

using namespace pixeldp;

namespace {

namespace fs = std::filesystem;

const fs::path folder = fs::path(PIXELDP_SOURCE_DIR) / "configs";

/// For an auto-encoder's classifier, which a run of its own makes, stands a small one of the same
/// images.
TrainingConfig read(const fs::path& path) {
  ConfigNode root = ConfigNode::load(path);
  if (!root.text_of("network.classifier")) return read_training_config(root);
  const ConfigNode data = root.child("data");
  const std::string set = data.get_string("set");
  ImageForm form = image_form(set);
  if (form.of_any_size())
    form = {.height = data.get_integer("height"),
            .width = data.get_integer("width"),
            .channels = 3,
            .classes = static_cast<int>(data.get_integer("classes"))};
  const layers::NetworkSpec spec{.architecture = "resnet",
                                 .height = form.height,
                                 .width = form.width,
                                 .channels = form.channels,
                                 .classes = form.classes,
                                 .noise_after_layers = 0,
                                 .depth = 8};
  const TemporaryFolder files;
  save_model(files / "classifier", {.name = "classifier",
                                    .dataset = set,
                                    .spec = spec,
                                    .network = layers::make_network(spec, 1),
                                    .calibration = {}});
  root.set("network.classifier=" + (files / "classifier").string());
  return read_training_config(root);
}

}  // namespace

TEST_CASE("every configuration is understood, named after its place, and ends at a low rate") {
  int count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const fs::path parent = entry.path().parent_path();
    if (entry.is_directory() || parent == folder / "sweeps" || parent == folder / "paper") continue;
    const std::string path = entry.path().string();
    CAPTURE(path);
    REQUIRE(entry.path().extension() == ".yaml");
    const TrainingConfig config = read(entry.path());
    const std::string set = entry.path().parent_path().filename().string();
    const std::string row = entry.path().stem().string();
    CHECK(config.name == set + "-" + row);
    CHECK(set.starts_with(config.dataset));
    CHECK(config.learning_rate.back().step < config.steps);
    CHECK(learning_rate_at(config, config.steps - 1) <= 0.1 * learning_rate_at(config, 0));
    const Calibration& c = config.calibration;
    const bool attacked = row == "adversarial", bounded = row == "dual";
    CHECK((c.mechanism == Mechanism::none) == (row.ends_with("baseline") || attacked || bounded));
    CHECK(config.adversarial.has_value() == attacked);
    CHECK(config.dual.has_value() == bounded);
    CHECK(config.network.standardise == row.starts_with("standardised-"));
    if (c.mechanism != Mechanism::none) {
      CHECK(c.construction.value().bound == std::stod(row.substr(row.rfind('l') + 1)));
      CHECK(c.sensitivity == 1.0);
      // The ramp must be over before the training is.
      CHECK(noise_factor_at(config, config.steps / 2) == 1.0);
      if (config.control == SensitivityControl::parseval && config.parseval_step == 0.0003)
        CHECK(config.parseval_loops ==
              std::lround(std::ceil(100 * c.construction.value().bound - 1e-9)));
    }
    ++count;
  }
  CHECK(count >= 45);
}

TEST_CASE("the sweeps are understood, and hold the paper's rows of their data sets") {
  for (const std::string set : {"mnist", "cifar-10", "cifar-100", "svhn"}) {
    CAPTURE(set);
    const fs::path sweep = folder / "sweeps" / (set + ".yaml");
    const ConfigNode root = ConfigNode::load(sweep);
    CHECK(root.get_string("name") == set + "-paper");
    std::set<std::string> rows;
    for (const std::string& configuration : root.get_values("configurations")) {
      const fs::path file = sweep.parent_path() / configuration;
      CHECK(fs::equivalent(file.parent_path(), folder / set));
      rows.insert(file.stem().string());
    }
    for (const char* row : {"baseline", "l0.03", "l0.1", "l0.3", "l1.0"})
      CHECK_MESSAGE(rows.contains(row), row);
    const char* const laplace = "norm1-laplace-l0.1";
    CHECK(rows.contains(laplace) == fs::exists(folder / set / (laplace + std::string(".yaml"))));
  }
  const Sweep small = read_sweep(folder / "sweeps/mnist.yaml");  // wide ResNets take their time
  REQUIRE(small.grids.size() == 1);
  const auto& [trainings, cells] = small.grids.front();
  REQUIRE(cells.size() == 1);
  CHECK(cells.front().command == "certify");
  CHECK(trainings.size() == 7);
  for (const SweepTraining& training : trainings) CHECK(training.name.starts_with("mnist-"));
}

TEST_CASE("the paper's table and figures are sweeps of two sizes, of which the small is of MNIST") {
  std::set<std::string> known;  // networks of either size
  std::vector<Sweep> all;
  for (const auto& entry : fs::directory_iterator(folder / "paper")) {
    CAPTURE(entry.path().string());
    for (const std::string size : {"small", "full"}) {
      const Sweep sweep = read_sweep(entry.path(), size);
      CHECK(sweep.name == entry.path().stem());
      CHECK(!sweep.title.empty());
      for (const SweepGrid& grid : sweep.grids)
        for (const SweepTraining& training : grid.trainings) {
          known.insert(training.name);
          if (size == "small") CHECK(training.name.starts_with("mnist-"));
        }
      all.push_back(sweep);
    }
    CHECK_THROWS_AS(read_sweep(entry.path()), Error);
  }
  CHECK(all.size() == 2 * 10);
  for (const Sweep& sweep : all)
    for (const report::Published& value : sweep.published)
      for (const std::string& network : value.of) CHECK_MESSAGE(known.contains(network), network);
}

TEST_CASE("the rows of the paper's table of accuracies are there") {
  for (const std::string set : {"mnist", "cifar-10", "cifar-100", "svhn"})
    for (const std::string row : {"baseline", "l0.03", "l0.1", "l0.3", "l1.0"}) {
      CAPTURE(set);
      CAPTURE(row);
      const TrainingConfig config = read(folder / set / (row + ".yaml"));
      CHECK(config.dataset == set);
      CHECK(config.batch == 128);
      if (set != "mnist") {
        CHECK(config.network.architecture == "wide-resnet");
        CHECK(config.network.depth == 28);
        CHECK(config.network.widening == 10);
        CHECK(config.network.slope == (set == "svhn" ? 0.0 : 0.1));
      }
      CHECK(config.momentum == 0.9);
      CHECK(config.weight_decay == 0.0002);
      if (row == "baseline") continue;
      CHECK(config.calibration.construction.value().bound == std::stod(row.substr(1)));
      CHECK(config.calibration.mechanism == Mechanism::gaussian);
      CHECK(config.calibration.attack_norm == AttackNorm::l2);
      CHECK(config.network.noise_after_layers == 1);
      CHECK(config.network.noise_before_activation);
    }
  CHECK(learning_rate_at(read(folder / "cifar-10" / "l0.1.yaml"), 80'000) == 0.0001);
  CHECK(read(folder / "svhn" / "l0.1.yaml").augmentation.pad == 0);
  CHECK(read(folder / "cifar-100" / "l0.1.yaml").augmentation.mirror);
}

TEST_CASE("MNIST has one of each further kind: noise in the image, and attacks in the 1-norm") {
  const TrainingConfig image = read(folder / "mnist" / "image-l0.1.yaml");
  CHECK(image.network.noise_after_layers == 0);
  CHECK(image.calibration.attack_norm == AttackNorm::l2);
  CHECK(image.control == SensitivityControl::none);
  for (const std::string mechanism : {"gaussian", "laplace"}) {
    const TrainingConfig one = read(folder / "mnist" / ("norm1-" + mechanism + "-l0.1.yaml"));
    CHECK(name(one.calibration.mechanism) == mechanism);
    CHECK(one.calibration.attack_norm == AttackNorm::l1);
    CHECK(one.control == SensitivityControl::normalise_columns);
  }
}

TEST_CASE(
    "the networks of the small configurations can be built, and take the images of their set") {
  for (const std::string row :
       {"baseline", "l0.1", "l0.3", "standardised-baseline", "standardised-l0.1"}) {
    const TrainingConfig config = read(folder / "cifar-10-small" / (row + ".yaml"));
    const layers::Network network = layers::make_network(config.network, config.seed);
    CHECK(network.input().row_size() == 3072);
    CHECK(network.classes() == 10);
  }
}
