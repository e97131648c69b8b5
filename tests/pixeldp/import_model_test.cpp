#include "pixeldp/import_model.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "engine/io/dataset.hpp"
#include "pixeldp/multi_draw.hpp"
#include "pixeldp/network_sensitivity.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

const layers::NetworkSpec small_resnet = tests::small_resnet_spec("resnet");

/// As PyTorch would have saved it from a model for several devices.
SafetensorsFile foreign_file() {
  layers::Network net = layers::make_network(small_resnet, 7);
  tests::unsettle_normalisations(net);
  SafetensorsFile file;
  for (const layers::NamedTensor* tensor : net.saved_tensors())
    file.tensors["module." + tensor->name] =
        SafeTensor::from_floats(tensor->shape, tensor->value.values());
  file.tensors["module.bn1.num_batches_tracked"] = {.dtype = "I64", .shape = {}, .bytes = Bytes(8)};
  return file;
}

ImportOptions options() {
  ImportOptions o{.name = "foreign", .dataset = "cifar-10", .spec = small_resnet};
  o.spec.channels = o.spec.classes = 1;  // the file knows better
  o.spec.input_mean = {0.4, 0.5, 0.6};
  o.spec.input_deviation = {0.2, 0.25, 0.5};
  return o;
}

}  // namespace

TEST_CASE("an imported model holds the file's tensors, and survives a model file") {
  const TemporaryFolder folder;
  const SafetensorsFile file = foreign_file();
  const Model imported = import_model(file, "foreign", options());
  CHECK(imported.spec.channels == 3);
  CHECK(imported.spec.classes == 10);
  CHECK(imported.calibration.mechanism == Mechanism::none);
  save_model(folder / "m", imported);
  const Model read = load_model(folder / "m");
  CHECK(read.spec == imported.spec);
  CHECK(read.spec.input_deviation == std::vector<double>{0.2, 0.25, 0.5});
  for (const layers::NamedTensor* tensor : read.network.saved_tensors()) {
    const auto values = file.tensors.at("module." + tensor->name).to_floats();
    CHECK(std::equal(values.begin(), values.end(), tensor->value.values().begin()));
  }
  CHECK(read.network.prefix[0]->name() == "normalise");
  CHECK_FAILS(check_certifiable(read), "no noise");
}

TEST_CASE("what does not fit is named when a model is imported") {
  const auto refused = [](auto change, const char* part) {
    SafetensorsFile file = foreign_file();
    ImportOptions o = options();
    change(file, o);
    CHECK_FAILS(import_model(file, "FILE", o), part);
  };
  using File = SafetensorsFile;
  refused([](File&, ImportOptions& o) { o.spec.depth = 14; }, "'layer1.1.");
  refused([](File&, ImportOptions& o) { o.spec.depth = 9; }, "resnet of depth 9");
  refused([](File&, ImportOptions& o) { o.spec.architecture = "wide-resnet"; }, "depth 8");
  refused([](File& f, ImportOptions&) { f.tensors["module.extra"] = {}; }, "'extra'");
  refused([](File& f, ImportOptions&) { f.tensors["conv1.weight"] = {}; }, "'conv1.weight'");
  refused([](File& f, ImportOptions&) { f.tensors.erase("module.conv1.weight"); },
          "'conv1.weight'");
  refused([](File& f, ImportOptions&) { f.tensors.erase("module.bn1.running_var"); },
          "'bn1.running_var'");
  refused(
      [](File& f, ImportOptions&) {
        f.tensors["module.bn1.running_var"] =
            SafeTensor::from_floats({16}, std::vector<float>(16, -0.1f));
      },
      "negative");
  refused([](File&, ImportOptions& o) { o.spec.input_mean = {0.5}; }, "cannot be normalised");
  refused([](File& f, ImportOptions&) { f.metadata["format"] = "pixeldp-model-1"; }, "noise");
}

TEST_CASE("normalising images before the noise multiplies the sensitivity, after it does not") {
  layers::NetworkSpec spec = small_resnet;
  const auto sensitivity = [&] {
    return network_sensitivity(layers::make_network(spec, 3), AttackNorm::l2, Mechanism::gaussian,
                               SensitivityForm::tight);
  };
  const double plain = sensitivity();
  spec.input_mean = {0.4, 0.5, 0.6};
  spec.input_deviation = {0.25, 0.25, 0.5};
  CHECK(sensitivity() >= 4 * plain);
  CHECK(sensitivity() == doctest::Approx(4 * plain));
  spec.noise_after_layers = 0;
  CHECK(sensitivity() == 1.0);
}

TEST_CASE("ResNet-20 for CIFAR-10 classifies just as many test images as it is known to") {
  const char* data = std::getenv("PIXELDP_DATA");
  const std::filesystem::path root = data ? data : "";
  const auto weights = root / "models/resnet_cifar10/resnet20-12fca82f.safetensors";
  if (!data || !std::filesystem::exists(weights) || !std::filesystem::exists(root / "cifar-10")) {
    MESSAGE("skipped: $PIXELDP_DATA holds no CIFAR-10, or not the model");
    return;
  }
  ImportOptions o{.name = "resnet20", .dataset = "cifar-10", .spec = {}};
  o.spec = {.architecture = "resnet",
            .height = 32,
            .width = 32,
            .depth = 20,
            .input_mean = {0.485, 0.456, 0.406},
            .input_deviation = {0.229, 0.224, 0.225}};
  const Model model = import_model(read_safetensors(weights), weights.string(), o);
  const Dataset test = load_dataset("cifar-10", "test", root / "cifar-10");
  std::int64_t correct = 0;
  MultiDrawPredictor(Stream(), model.network)
      .run(
          500, {.draws = 1},
          [&](std::int64_t image, float* pixels) {
            to_float(test, image, image + 1, pixels, 0.0f);
            return test.image_id(image);
          },
          [&](std::int64_t image, const ScoreStatistics& statistics) {
            correct += statistics.top_label(ScoreType::argmax) ==
                       test.labels[static_cast<std::size_t>(image)];
            return true;
          });
  // Of all 10,000 it classifies 9,173, the 91.73 % that the model's author states.
  CHECK(correct == 455);
}
