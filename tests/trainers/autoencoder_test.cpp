#include "pixeldp/autoencoder.hpp"

#include <cmath>
#include <vector>

#include "pixeldp/network_sensitivity.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"
#include "tests/trainers/fixture.hpp"
#include "trainers/reconstruction.hpp"
#include "trainers/training_config.hpp"

using namespace pixeldp;
using tests::Fixture;

namespace {

/// A classifier without noise, and configurations of auto-encoders before it.
struct Behind : Fixture {
  Behind() {
    ConfigNode plain = config(12);
    for (const char* change :
         {"noise={mechanism: none}", "sensitivity={control: none}", "name=classifier"})
      plain.set(change);
    train(plain, {.output = folder / "classifier"});
  }

  ConfigNode before(const std::string& network = "", int steps = 24) const {
    ConfigNode made = config(steps);
    made.set("network={architecture: autoencoder, classifier: " + (folder / "classifier").string() +
             ", encoder: [{kernel: 5, filters: 8, stride: 2}, {kernel: 3, filters: 8}]" + network +
             "}");
    made.set("noise.ramp_up=false");
    return made;
  }
  Model trained(const ConfigNode& made, const char* run, bool resume = false) const {
    train(made, {.output = folder / run, .resume = resume});
    return load_model(folder / run / "model.safetensors");
  }
  std::string classifier_file() const {
    return tests::text_of(folder / "classifier" / "model.safetensors");
  }
};

std::vector<float> values(const Model& model, const std::string& prefix) {
  std::vector<float> all;
  for (const layers::NamedTensor* tensor : model.network.saved_tensors())
    if (tensor->name.starts_with(prefix))
      all.insert(all.end(), tensor->value.values().begin(), tensor->value.values().end());
  return all;
}

}  // namespace

TEST_CASE("the loss of a reconstruction is the root of the mean squared difference") {
  const float image[] = {0.5f, 0.25f, 1.0f}, target[] = {0.0f, 0.0f, 0.5f};
  float gradient[3];
  const double loss = reconstruction_loss(image, target, -0.5f, gradient);
  CHECK(loss == doctest::Approx(std::sqrt(0.0625 / 3)));
  CHECK(gradient[0] == 0.0f);
  CHECK(gradient[1] == doctest::Approx(-0.25 / (3 * loss)));
  CHECK(gradient[2] == 0.0f);
}

TEST_CASE_FIXTURE(Behind, "an auto-encoder is trained before a classifier that stays as it is") {
  const std::string file = classifier_file();
  ConfigNode both = before("", 40);
  both.set("training.reconstruction_steps=16");
  const Model model = trained(both, "run");
  CHECK(classifier_file() == file);
  CHECK(model.classifier_sha256 == sha256_hex(as_bytes(file)));
  const ModelFile classifier = read_model_file(folder / "classifier");
  layers::Network& network = const_cast<Model&>(model).network;
  CHECK(put_classifier(classifier, network));  // all of it was there, running statistics too
  CHECK(model.spec.classifier[0].input_mean == std::vector<double>{0.5});
  check_certifiable(model);
  CHECK(model.calibration.sensitivity < 1.5);
  CHECK(model.calibration.sensitivity == network_sensitivity(model.network, AttackNorm::l2,
                                                             Mechanism::gaussian,
                                                             SensitivityForm::tight));

  // In two goes it is the very same model.
  ConfigNode half = both;
  half.set("training.steps=20");
  train(half, {.output = folder / "parts"});
  ConfigNode rest = before("", 40);
  rest.set("training.reconstruction_steps=16");
  trained(rest, "parts", true);
  CHECK(tests::text_of(folder / "parts" / "model.safetensors") ==
        tests::text_of(folder / "run" / "model.safetensors"));
}

TEST_CASE_FIXTURE(Behind, "what is trained is as the configuration says") {
  const auto start = before("", 4), whole = before(", trained: both", 4);
  const Model reconstructed = [&] {
    ConfigNode all = start;
    all.set("training.reconstruction_steps=4");
    return trained(all, "reconstructed");
  }();
  const Model fine = trained(whole, "both");
  const std::vector<float> classifier =
      values(load_model(folder / "classifier" / "model.safetensors"), "");
  CHECK(values(reconstructed, "classifier.") == classifier);
  CHECK(values(fine, "classifier.") != classifier);
  CHECK(fine.classifier_sha256.empty());
  // An auto-encoder of another run, under a classifier that alone is trained.
  const Model tuned = trained(
      before(", trained: classifier, autoencoder: " + (folder / "both").string(), 4), "tuned");
  CHECK(values(tuned, "autoencoder.") == values(fine, "autoencoder."));
  CHECK(values(tuned, "classifier.") != classifier);
}

TEST_CASE_FIXTURE(Behind, "an auto-encoder goes from its run to before another classifier") {
  const Model one = trained(before("", 4), "one");
  const ModelFile autoencoder = read_model_file(folder / "one");
  const Model made = behind_autoencoder(autoencoder, read_model_file(folder / "classifier"));
  CHECK(values(made, "") == values(one, ""));
  CHECK(made.calibration.noise_scale == one.calibration.noise_scale);
  check_certifiable(made);
  CHECK_FAILS(behind_autoencoder(read_model_file(folder / "classifier"), autoencoder),
              "this model has no auto-encoder");
  CHECK_FAILS(behind_autoencoder(autoencoder, autoencoder),
              "this model has an auto-encoder already");
}

TEST_CASE_FIXTURE(Behind, "settings of an auto-encoder that are not given have their defaults") {
  const ConfigNode node = before();
  const TrainingConfig config = read_training_config(node);
  CHECK(config.trained == TrainedPart::autoencoder);
  CHECK(config.reconstruction_steps == 0);
  CHECK(node.text_of("network.trained") == "autoencoder");
  CHECK(node.text_of("training.reconstruction_steps") == "0");
  CHECK(node.to_yaml().find("stride: 1") != std::string::npos);
}

TEST_CASE_FIXTURE(Behind, "an auto-encoder refuses classifiers that it cannot stand before") {
  train(config(4), {.output = folder / "noisy"});
  ConfigNode noisy = before();
  noisy.set("network.classifier=" + (folder / "noisy").string());
  CHECK_FAILS(read_training_config(noisy), "this model has noise of its own (gaussian)");
  ConfigNode none = before();
  none.set("network.classifier=" + (folder / "nowhere").string());
  CHECK_FAILS(read_training_config(none), "no model there");
  ConfigNode colour = before();
  colour.set("data={set: cifar-10}");
  CHECK_FAILS(read_training_config(colour), "cannot stand before a classifier of 10 classes");
  ConfigNode more = before();
  more.set("training.reconstruction_steps=25");
  CHECK_FAILS(read_training_config(more), "'training.reconstruction_steps'");
  train(before("", 8), {.output = folder / "run"});
  ConfigNode other = config(12);
  for (const char* change :
       {"noise={mechanism: none}", "sensitivity={control: none}", "training.seed=2"})
    other.set(change);
  std::filesystem::remove_all(folder / "classifier");
  train(other, {.output = folder / "classifier"});
  CHECK_FAILS(train(before("", 24), {.output = folder / "run", .resume = true}),
              "the classifier has changed since this run began");
}
