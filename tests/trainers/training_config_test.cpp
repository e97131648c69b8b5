#include "trainers/training_config.hpp"

#include <cmath>
#include <cstdlib>
#include <set>

#include "tests/throws_error.hpp"
#include "trainers/epoch_sampler.hpp"
#include "trainers/training_settings.hpp"

using namespace pixeldp;

namespace {

constexpr const char* base =
    "name: test\n"
    "data: {set: mnist}\n"
    "network: {architecture: mnist-cnn}\n"
    "noise: {mechanism: gaussian, construction_bound: 0.1}\n"
    "sensitivity: {control: parseval}\n"
    "training: {steps: 100, learning_rate: 0.1}\n";

TrainingConfig read(std::initializer_list<const char*> changes) {
  const ConfigNode node = ConfigNode::parse(base, "test.yaml");
  for (const char* change : changes) ConfigNode(node).set(change);
  return read_training_config(node);
}

}  // namespace

TEST_CASE("the configuration's defaults are the paper's") {
  const TrainingConfig config = read({});
  CHECK(config.batch == 128);
  CHECK(config.momentum == 0.9);
  CHECK(config.weight_decay == 0.0002);
  CHECK(config.parseval_step == 0.0003);
  CHECK(config.parseval_loops == 10);
  CHECK(config.calibration.construction.value().epsilon == 1.0);
  CHECK(config.calibration.construction.value().delta == 0.05);
  CHECK(config.calibration.attack_norm == AttackNorm::l2);
  CHECK(config.calibration.sensitivity == 1.0);
  CHECK(config.calibration.noise_scale == doctest::Approx(0.25372725));
  CHECK(config.pixel_shift == -0.5);
  CHECK(config.network.rescale_prefix);
  CHECK(config.augmentation.pad == 0);
  CHECK(!config.augmentation.mirror);
  CHECK(config.network.training_precision == kernels::Precision::fp32);
}

TEST_CASE("the data set gives the network its input and its classes") {
  const auto network = [](const char* set) { return read({set}).network; };
  const layers::NetworkSpec digits = network("data.set=mnist"), ten = network("data.set=cifar-10");
  CHECK(digits.height == 28);
  CHECK(digits.channels == 1);
  CHECK(ten.height == 32);
  CHECK(ten.width == 32);
  CHECK(ten.channels == 3);
  CHECK(ten.classes == 10);
  CHECK(network("data.set=cifar-100").classes == 100);
  CHECK(network("data.set=svhn").classes == 10);
  CHECK_FAILS(read({"data.set=cifar-100-first2000"}), "'data.set'");  // nothing to train on
}

TEST_CASE("augmentation and precision are read, and refused where they make no sense") {
  const TrainingConfig config = read(
      {"data.set=cifar-10", "training.augment={pad: 4, mirror: true}", "training.precision=bf16"});
  CHECK(config.augmentation.pad == 4);
  CHECK(config.augmentation.mirror);
  CHECK(config.network.training_precision == kernels::Precision::bf16);
  CHECK(read({"training.precision=tf32"}).network.training_precision == kernels::Precision::tf32);
  CHECK_FAILS(read({"training.precision=fp16"}), "'training.precision'");
  CHECK_FAILS(read({"training.augment={mirror: true}"}), "'training.augment.mirror'");
  CHECK_FAILS(read({"data.set=svhn", "training.augment={mirror: true}"}),
              "a mirrored digit is no digit: it makes no sense for svhn");
  CHECK(read({"data.set=fashion-mnist", "training.augment={mirror: true}"}).augmentation.mirror);
  CHECK_FAILS(read({"training.augment={pad: 28}"}), "'training.augment.pad'");
  CHECK_FAILS(read({"training.augment={pad: -1}"}), "'training.augment.pad'");
  CHECK_FAILS(read({"training.augment={flip: true}"}), "'training.augment.flip'");
}

TEST_CASE(
    "the sensitivity that the noise assumes follows from norm, mechanism, position and control") {
  const auto assumed = [](std::initializer_list<const char*> changes) {
    return read(changes).calibration.sensitivity;
  };
  CHECK(assumed({"noise.after_layers=0"}) == 1.0);
  CHECK(assumed({"noise.after_layers=0", "noise.attack_norm='inf'"}) == doctest::Approx(28.0));
  CHECK(assumed({"noise.attack_norm='1'", "noise.mechanism=laplace"}) == 1.0);
  CHECK(assumed({"noise.mechanism=laplace"}) == doctest::Approx(std::sqrt(6272.0)));
  CHECK(assumed({"noise.attack_norm='inf'"}) == doctest::Approx(28.0));
  CHECK(assumed({"noise.attack_norm='inf'", "sensitivity.control=normalise-rows"}) ==
        doctest::Approx(std::sqrt(6272.0)));
  CHECK(assumed({"noise.assumed_sensitivity=3"}) == 3.0);
}

TEST_CASE("residual networks have a depth, and wide ones a width") {
  const TrainingConfig wide = read({"network.architecture=wide-resnet"});
  CHECK(wide.network.depth == 28);
  CHECK(wide.network.widening == 10);
  const TrainingConfig small =
      read({"network={architecture: wide-resnet, depth: 16, width: 4}", "noise.after_layers=0"});
  CHECK(small.network.depth == 16);
  CHECK(small.network.widening == 4);
  CHECK(read({"network={architecture: resnet, depth: 56}"}).network.depth == 56);
  CHECK_FAILS(read({"network={architecture: wide-resnet, depth: 15}"}), "depth 15");
  CHECK_FAILS(read({"network={architecture: resnet, depth: 20, width: 2}"}), "'network.width'");
  CHECK_FAILS(read({"network.depth=20"}), "'network.depth'");
  CHECK_FAILS(read({"network.architecture=vgg"}), "wide-resnet");
  CHECK_FAILS(read({"network.architecture=wide-resnet", "noise.after_layers=2"}), "not 2");
}

TEST_CASE("a typing error is named before the key that is missing for it") {
  const std::string text = base;
  const auto wrong = [&](const std::string& right, const std::string& instead) {
    std::string other = text;
    other.replace(other.find(right), right.size(), instead);
    return read_training_config(ConfigNode::parse(other, "test.yaml"));
  };
  CHECK_FAILS(wrong("learning_rate:", "learnig_rate:"),
              "test.yaml:6:24: unknown key 'training.learnig_rate': did you mean 'learning_rate'?");
  CHECK_FAILS(wrong("name:", "nmae:"), "test.yaml:1:1: unknown key 'nmae': did you mean 'name'?");
  CHECK_FAILS(wrong("steps: 100", "epochs: 3"), "unknown key 'training.epochs'");
  CHECK_FAILS(wrong("data:", "dataset:"), "test.yaml:2:1: unknown key 'dataset'");
  CHECK_FAILS(wrong("steps: 100, ", ""), "the setting 'training.steps' is missing");
}

TEST_CASE("mechanism, control and architecture change, and the keys of the old ones fall away") {
  const auto fallen = [](const char* change) {
    const ConfigNode node =
        ConfigNode::load(std::string(PIXELDP_SOURCE_DIR) + "/configs/cifar-10/l0.1.yaml");
    ConfigNode(node).set(change);
    std::vector<std::string> keys;
    for (const std::string& text : read_training_config(node).fallen_away)
      keys.push_back(text.substr(0, text.find(' ')));
    // What is left is understood without the change.
    CHECK(read_training_config(ConfigNode::parse(node.to_yaml(), "again")).fallen_away.empty());
    return keys;
  };
  using Keys = std::vector<std::string>;
  CHECK(fallen("noise.mechanism=laplace") == Keys{"noise.delta"});
  CHECK(fallen("noise.mechanism=none") ==
        Keys{"noise.attack_norm", "noise.construction_bound", "noise.epsilon", "noise.delta"});
  CHECK(fallen("sensitivity.control=normalise-columns") ==
        Keys{"sensitivity.parseval_step", "sensitivity.parseval_loops"});
  CHECK(fallen("network={architecture: resnet}").empty());
  CHECK(fallen("training.steps=100000").empty());
}

TEST_CASE("every declared setting with a default is read somewhere") {
  std::set<std::string> missing;
  const auto elsewhere =
      [](const Setting& setting) {  // autoencoder_test.cpp, which has a classifier
        return setting.key == "data.directory" || setting.key.starts_with("network.encoder.") ||
               (setting.taken && setting.taken->values == std::vector<std::string>{"autoencoder"});
      };
  for (const Setting& setting : training_settings())
    if (!setting.default_text().empty() && !elsewhere(setting)) missing.insert(setting.key);
  CHECK(missing.size() > 20);
  const std::vector<std::vector<std::string>> others = {
      {"network.architecture=mnist-cnn"},
      {"network.architecture=wide-resnet"},
      {"data={set: image-folder, height: 28, width: 28, classes: 10}"},
      {"data={set: mnist-angle}", "network.output_low=-45", "network.output_high=45"}};
  for (const std::vector<std::string>& settings : others) {
    ConfigNode node = ConfigNode::parse(base, "test.yaml");
    for (const std::string& setting : settings) node.set(setting);
    read_training_config(node);
    std::erase_if(missing, [&](const std::string& key) { return node.text_of(key).has_value(); });
  }
  CHECK(missing == std::set<std::string>{});
}

TEST_CASE("mistakes are named by file, line and key") {
  CHECK_FAILS(read({"training.setps=3"}), "'training.setps'");
  CHECK_FAILS(read({"training.steps=0"}), "'training.steps'");
  CHECK_FAILS(read({"training.steps=ten"}), "'training.steps'");
  CHECK_FAILS(read({"training.learning_rate=0"}), "'training.learning_rate'");
  CHECK_FAILS(read({"training.momentum=1"}), "'training.momentum'");
  CHECK_FAILS(read({"noise.epsilon=1.5"}), "'noise.epsilon'");
  CHECK_FAILS(read({"noise.delta=0"}), "'noise.delta'");
  CHECK_FAILS(read({"noise.construction_bound=.nan"}), "'noise.construction_bound'");
  CHECK_FAILS(read({"noise.after_layers=3"}), "'noise.after_layers'");
  CHECK_FAILS(read({"noise.mechanism=uniform"}), "laplace");
  CHECK_FAILS(read({"noise.mechanism=none", "noise.epsilon=1"}), "'noise.epsilon'");
  CHECK_FAILS(read({"name=../evil"}), "'name'");
  CHECK_FAILS(read({"data.set=imagenet"}), "mnist");
  CHECK_FAILS(read({"training.learning_rate_changes=[{step: 5, rate: 1}, {step: 5, rate: 2}]"}),
              "ascending");
  try {
    read_training_config(ConfigNode::parse(std::string(base) + "noise_scale: 3\n", "test.yaml"));
    CHECK(false);
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("test.yaml:7:1") != std::string::npos);
    CHECK(error.kind() == Error::Kind::usage);
  }
}

TEST_CASE("learning rate and noise ramp-up at the steps of the paper") {
  const TrainingConfig config = read({"training.learning_rate_changes=[{step: 30, rate: 0.01}]"});
  CHECK(learning_rate_at(config, 0) == 0.1);
  CHECK(learning_rate_at(config, 29) == 0.1);
  CHECK(learning_rate_at(config, 30) == 0.01);
  CHECK(noise_factor_at(config, 0) == doctest::Approx(0.1));
  CHECK(noise_factor_at(config, 421) == doctest::Approx(0.1).epsilon(0.01));
  CHECK(noise_factor_at(config, 5000) == doctest::Approx(1.0 - std::pow(0.99975, 5000)));
  CHECK(noise_factor_at(config, 9200) < 0.9);
  CHECK(noise_factor_at(config, 9220) == 1.0);
  CHECK(noise_factor_at(read({"noise.ramp_up=false"}), 0) == 1.0);
}

TEST_CASE("an epoch is a permutation, epochs differ, and any step can be reached directly") {
  EpochSampler sampler(10, 7);
  std::vector<std::int64_t> first, second;
  for (std::int64_t step = 0; step < 5; ++step) {
    const auto batch = sampler.batch(step, 4);
    for (std::size_t i = 0; i < 4; ++i)
      (batch.epochs[i] == 0 ? first : second).push_back(batch.images[i]);
  }
  CHECK(first.size() == 10);
  CHECK(std::set(first.begin(), first.end()).size() == 10);
  CHECK(std::set(second.begin(), second.end()).size() == 10);
  CHECK(first != second);
  EpochSampler other(10, 7), another_seed(10, 8);
  CHECK(other.batch(3, 4).images == sampler.batch(3, 4).images);
  CHECK(another_seed.batch(0, 10).images != sampler.batch(0, 10).images);
  // Every position is hit about equally often by image 0.
  std::vector<int> hits(10);
  EpochSampler many(10, 9);
  for (std::int64_t epoch = 0; epoch < 2000; ++epoch) {
    const auto order = many.batch(epoch, 10).images;
    for (std::size_t i = 0; i < 10; ++i) hits[i] += order[i] == 0;
  }
  for (const int count : hits) CHECK(std::abs(count - 200) < 70);  // five standard deviations
}

TEST_CASE("training on attacks needs a norm, a size and steps that lead into the ball") {
  CHECK(!read({}).adversarial);
  const auto attacked = [](std::initializer_list<const char*> changes) {
    ConfigNode node = ConfigNode::parse(base, "test.yaml");
    for (const char* setting : {"training.adversarial.norm=inf", "training.adversarial.size=0.3",
                                "training.adversarial.step=0.05", "training.adversarial.steps=10"})
      node.set(setting);
    for (const char* change : changes) node.set(change);
    return read_training_config(node);
  };
  const AdversarialTraining attack = attacked({}).adversarial.value();
  CHECK(attack.norm == AttackNorm::linf);
  CHECK(attack.size == 0.3);
  CHECK(attack.step == 0.05);
  CHECK(attack.steps == 10);
  CHECK(attacked({"training.adversarial.norm=2"}).adversarial->norm == AttackNorm::l2);
  CHECK_THROWS_WITH(attacked({"training.adversarial.norm=3"}),
                    doctest::Contains("training.adversarial.norm"));
  CHECK_THROWS_WITH(attacked({"training.adversarial.step=0.7"}),
                    doctest::Contains("leads out of any ball of size 0.3"));
  CHECK_THROWS_WITH(attacked({"training.adversarial.steps=0"}),
                    doctest::Contains("training.adversarial.steps"));
  CHECK_THROWS_WITH(read({"training.adversarial.norm=inf"}),
                    doctest::Contains("training.adversarial.size"));
  CHECK_THROWS_WITH(read({"training.adversarial.size=0.3"}),
                    doctest::Contains("training.adversarial.size"));
  CHECK_THROWS_WITH(
      attacked({"data.set=mnist-angle", "network.output_low=-30", "network.output_high=30"}),
      doctest::Contains("attacks are on labels"));
}
