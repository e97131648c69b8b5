#include "pixeldp/import_model.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engine/io/dataset.hpp"
#include "pixeldp/certificate.hpp"
#include "pixeldp/network_sensitivity.hpp"
#include "pixeldp/sampler.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/real_data.hpp"
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
  CHECK(read.network.prefix()[0].layer->name() == "normalise");
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
  refused([](File& f, ImportOptions&) { f.tensors["module.extra"] = {}; }, "'module.extra'");
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
  // Scales of pixels from 0 to 255.
  refused(
      [](File&, ImportOptions& o) {
        o.spec.input_mean = {123.7, 116.3, 103.5};
      },
      "the means (123.7, 116.3, 103.5) of --mean are outside of the pixels' range, 0 to 1");
  refused([](File&, ImportOptions& o) { o.spec.input_mean = {0.4, 0.5, -0.1}; }, "0 to 1");
  refused([](File&, ImportOptions& o) { o.spec.input_mean = {0.4, 0.5, std::nan("")}; }, "0 to 1");
  refused([](File&, ImportOptions& o) { o.pixel_shift = -0.5; }, "-0.5 to 0.5");
  for (const double shift : {-1.5, 1e30, std::nan("")})
    refused([&](File&, ImportOptions& o) { o.pixel_shift = shift; }, "are shifted by -1 to 1");
  for (const double bad : {58.4, 1.01, 0.0, -0.2, std::nan("")})
    refused(
        [&](File&, ImportOptions& o) {
          o.spec.input_deviation = {0.2, bad, 0.2};
        },
        "divide means and deviations by 255");
  // What the file has instead.
  refused([](File& f, ImportOptions&) { f.tensors.erase("module.conv1.weight"); },
          "module.bn1.bias");
  refused(
      [](File& f, ImportOptions&) {
        f.tensors = {{"features.0.weight", {}}};
      },
      "no tensor of architecture resnet, with or without a prefix; the file has features.0.weight");
  refused([](File& f, ImportOptions&) { f.tensors.clear(); }, "no tensor at all");
  refused(
      [](File& f, ImportOptions&) {
        const auto copy = f.tensors;
        for (const auto& [name, tensor] : copy) f.tensors["ema." + name] = tensor;
      },
      "the whole network 2 times, under the prefixes 'ema.module.', 'module.'");
  refused([](File& f, ImportOptions&) { f.metadata["format"] = "pixeldp-model-1"; }, "noise");
}

TEST_CASE("a prefix that all tensors share is left out, whatever it is") {
  const SafetensorsFile file = foreign_file();
  const auto expected = file.tensors.at("module.layer3.0.conv2.weight").to_floats();
  for (const std::string prefix : {"", "model.", "1.", "1.module.", "_orig_mod.", "module.model.",
                                   "base_classifier.", "conv1.weight."}) {
    CAPTURE(prefix);
    SafetensorsFile wrapped;
    for (const auto& [name, tensor] : file.tensors)
      wrapped.tensors[prefix + name.substr(std::string("module.").size())] = tensor;
    const Model model = import_model(wrapped, "FILE", options());
    int found = 0;
    for (const layers::NamedTensor* tensor : model.network.saved_tensors()) {
      if (tensor->name != "layer3.0.conv2.weight") continue;
      ++found;
      CHECK(std::equal(expected.begin(), expected.end(), tensor->value.values().begin()));
    }
    CHECK(found == 1);
  }
}

TEST_CASE("a normalising layer's means and deviations are taken, or checked against the options") {
  const std::vector<float> mean{0.485f, 0.456f, 0.406f}, deviation{0.229f, 0.224f, 0.225f};
  const std::vector<double> means{0.485, 0.456, 0.406}, deviations{0.229, 0.224, 0.225};
  const auto imported = [&](const std::string& mean_name, const std::string& deviation_name,
                            const std::vector<std::int64_t>& shape, const ImportOptions& o) {
    SafetensorsFile file = foreign_file();
    file.tensors[mean_name] = SafeTensor::from_floats(shape, mean);
    file.tensors[deviation_name] = SafeTensor::from_floats(shape, deviation);
    return import_model(file, "FILE", o).spec;
  };
  ImportOptions o = options();
  o.spec.input_mean.clear();
  o.spec.input_deviation.clear();
  const std::pair<const char*, const char*> names[] = {{"0.means", "0.sds"},
                                                       {"normalize.mean", "normalize.std"},
                                                       {"mu", "sigma"},
                                                       {"module.norm.mean", "module.norm.stds"},
                                                       {"pixel_mean", "pixel_std"}};
  for (const auto& [mean_name, deviation_name] : names) {
    for (const std::vector<std::int64_t>& shape :
         {std::vector<std::int64_t>{3}, {1, 3, 1, 1}, {3, 1, 1}}) {
      CAPTURE(mean_name);
      const layers::NetworkSpec spec = imported(mean_name, deviation_name, shape, o);
      CHECK(spec.input_mean == means);  // to the last digit: what somebody once wrote
      CHECK(spec.input_deviation == deviations);
    }
  }
  // One value for all channels.
  SafetensorsFile grey = foreign_file();
  grey.tensors["mean"] = grey.tensors["std"] =
      SafeTensor::from_floats({1}, std::vector<float>{0.5f});
  CHECK(import_model(grey, "FILE", o).spec.input_mean == std::vector<double>{0.5, 0.5, 0.5});

  // Agreement to three decimals, in either of them; else both are named.
  o.spec.input_mean = {0.4854, 0.456, 0.406};
  CHECK(imported("0.means", "0.sds", {3}, o).input_mean == means);
  o.spec.input_mean = {0.4914, 0.4822, 0.4465};
  CHECK_FAILS(imported("0.means", "0.sds", {3}, o),
              "by (0.4914, 0.4822, 0.4465) according to --mean, but by (0.485, 0.456, 0.406) "
              "according to the file's '0.means'");
  o.spec.input_mean = means;
  o.spec.input_deviation = {0.2023, 0.224, 0.225};
  CHECK_FAILS(imported("0.means", "0.sds", {3}, o), "according to --std");

  // Other tensors of such a name are no normalisation, and deviations alone are none.
  o = options();
  const auto refused = [&](const std::string& name, std::vector<std::int64_t> shape,
                           const char* part) {
    SafetensorsFile file = foreign_file();
    std::int64_t size = 1;
    for (const std::int64_t n : shape) size *= n;
    file.tensors[name] = SafeTensor::from_floats(
        std::move(shape), std::vector<float>(static_cast<std::size_t>(size), 0.5f));
    CHECK_FAILS(import_model(file, "FILE", o), part);
  };
  refused("0.mean", {4}, "no tensor '0.mean'");
  refused("0.mean", {3, 3}, "no tensor '0.mean'");
  refused("bn9.running_mean", {3}, "no tensor 'bn9.running_mean'");
  o.spec.input_mean.clear();
  o.spec.input_deviation.clear();
  refused("0.std", {3}, "cannot be normalised");
}

TEST_CASE(
    "noise that weights were trained with is in the image, and certified without a construction") {
  const TemporaryFolder folder;
  for (const Mechanism mechanism : {Mechanism::gaussian, Mechanism::laplace}) {
    ImportOptions o = options();
    o.noise = InputNoise{.mechanism = mechanism, .scale = 0.12};
    save_model(folder / "m", import_model(foreign_file(), "FILE", o));
    const Model read = load_model(folder / "m");
    const Calibration& c = read.calibration;
    CHECK(c.mechanism == mechanism);
    CHECK(c.attack_norm == (mechanism == Mechanism::gaussian ? AttackNorm::l2 : AttackNorm::l1));
    CHECK(c.noise_scale == 0.12f);
    CHECK(c.sensitivity == 1.0);
    CHECK(!c.construction);
    CHECK(!read.noise_at_certification);
    CHECK(read.network.prefix().empty());
    CHECK(read.network.graph.nodes()[1].layer->name() == "normalise");
    check_certifiable(read);
    const SafetensorsFile file = read_safetensors(folder / "m");
    for (const char* key : {"construction_bound", "epsilon", "delta"})
      CHECK(!file.metadata.contains(key));

    // Radii are those of the scale alone: 0.12 Phi^-1(0.9) = 0.12 * 1.28155.
    if (mechanism == Mechanism::gaussian)
      CHECK(certified_radius(CertificateKind::exact, c, 0.9, 0.1) ==
            doctest::Approx(0.12 * 1.2815516).epsilon(1e-6));

    Model plain = import_model(foreign_file(), "FILE", options());
    give_input_noise(plain, *o.noise);
    CHECK(plain.noise_at_certification);
    CHECK(plain.spec == read.spec);
    check_certifiable(plain);
    CHECK(model_to_safetensors(plain).tensors == file.tensors);
    CHECK_FAILS(give_input_noise(plain, *o.noise), "noise of its own");
  }
  ImportOptions o = options();
  for (const double bad : {0.0, -0.1, std::nan(""), 1e-50, 1e50}) {
    o.noise = InputNoise{.scale = bad};
    CHECK_FAILS(import_model(foreign_file(), "FILE", o), "noise scale");
  }
  o.noise = InputNoise{.mechanism = Mechanism::none, .scale = 0.1};
  CHECK_FAILS(import_model(foreign_file(), "FILE", o), "adds no noise");
  o.noise = InputNoise{.scale = 0.1};
  o.spec.input_mean.clear();
  o.spec.input_deviation.clear();
  o.spec.standardise = true;
  CHECK_FAILS(import_model(foreign_file(), "FILE", o), "standardises each image");
}

TEST_CASE("a network trained here without noise takes noise in the image, its layers unchanged") {
  const auto scores = [](const Model& model) {
    std::vector<double> sums;
    const auto pixels = reference::reals(64, 9);
    Sampler(Stream(), model.network)
        .run(
            1, {.count = 3},
            [&](std::int64_t, float* out) {
              std::copy(pixels.begin(), pixels.end(), out);
              return 0u;
            },
            [&](std::int64_t, const ScoreStatistics& statistics) {
              sums.assign(statistics.sums.begin(), statistics.sums.end());
              return true;
            });
    return sums;
  };
  for (const int layers_before : {0, 1, 2}) {
    for (const bool before_activation : {false, true}) {
      Model model{.name = "own",
                  .dataset = "mnist",
                  .spec = {.height = 8,
                           .width = 8,
                           .noise_after_layers = layers_before,
                           .noise_before_activation = before_activation},
                  .network = {},
                  .calibration = {}};
      model.network = layers::make_network(model.spec, 4);
      const std::vector<double> before = scores(model);
      give_input_noise(model, {.mechanism = Mechanism::gaussian, .scale = 1e-30});
      const std::vector<double> after = scores(model);
      REQUIRE(before.size() == 10);
      for (std::size_t c = 0; c < 10; ++c)
        CHECK(after[c] == doctest::Approx(before[c]).epsilon(1e-5));
    }
  }
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
  const auto data = tests::real_data({"cifar-10", tests::resnet20});
  if (!data) return;
  ImportOptions o{.name = "resnet20", .dataset = "cifar-10", .spec = {}};
  o.spec = {.architecture = "resnet",
            .height = 32,
            .width = 32,
            .depth = 20,
            .input_mean = {0.485, 0.456, 0.406},
            .input_deviation = {0.229, 0.224, 0.225}};
  const auto weights = *data / tests::resnet20;
  const Model model = import_model(read_safetensors(weights), weights.string(), o);
  const Dataset test = load_dataset("cifar-10", "test", *data / "cifar-10");
  std::int64_t correct = 0;
  Sampler(Stream(), model.network)
      .run(
          500, {.count = 1},
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
