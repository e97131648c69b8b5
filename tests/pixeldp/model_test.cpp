#include "pixeldp/model.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "pixeldp/network_sensitivity.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

Model small_model() {
  Model model{.name = "small",
              .dataset = "mnist",
              .pixel_shift = -0.5,
              .spec = {.height = 8, .width = 8},
              .network = layers::make_network({.height = 8, .width = 8}, 3),
              .calibration = {.mechanism = Mechanism::gaussian,
                              .attack_norm = AttackNorm::l2,
                              .construction = Construction{.bound = 0.1},
                              .noise_scale = 0.25,
                              .sensitivity = 0.0},
              .form = SensitivityForm::faithful};
  model.calibration.sensitivity =
      network_sensitivity(model.network, AttackNorm::l2, Mechanism::gaussian, model.form);
  return model;
}

}  // namespace

TEST_CASE("a model file gives back the model") {
  const TemporaryFolder folder;
  const Model model = small_model();
  save_model(folder / "m", model);
  const Model read = load_model(folder / "m");
  CHECK(read.name == "small");
  CHECK(read.spec == model.spec);
  CHECK(read.pixel_shift == -0.5);
  CHECK(read.form == SensitivityForm::faithful);
  CHECK(read.calibration.sensitivity == model.calibration.sensitivity);
  CHECK(read.calibration.noise_scale == model.calibration.noise_scale);
  CHECK(read.network.noise->scale == 0.25);
  CHECK(read.network.noise->distribution == kernels::NoiseDistribution::gaussian);
  for (std::size_t i = 0; i < model.network.parameters().size(); ++i) {
    const auto a = model.network.parameters()[i]->value.values(),
               b = read.network.parameters()[i]->value.values();
    CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  }
  check_certifiable(read);
}

TEST_CASE(
    "a model without a sensitivity loads but may not be certified; nor may one whose weights "
    "grew") {
  const TemporaryFolder folder;
  SafetensorsFile file = model_to_safetensors(small_model());
  file.metadata.erase("sensitivity");
  write_safetensors(folder / "m", file);
  CHECK_FAILS(check_certifiable(load_model(folder / "m")), "no sensitivity");

  Model model = small_model();
  for (float& weight : model.network.parameters()[0]->value.values()) weight *= 1.001f;
  save_model(folder / "grown", model);
  CHECK_FAILS(check_certifiable(load_model(folder / "grown")),
              "but its tensor before the noise, conv1.weight, has ");
  CHECK_FAILS(check_certifiable(load_model(folder / "grown")), "changed after");

  model = small_model();
  model.calibration.mechanism = Mechanism::none;
  CHECK_FAILS(check_certifiable(model), "no noise");
}

TEST_CASE("pixels of a model are not shifted out of sight") {
  const TemporaryFolder folder;
  for (const char* shift : {"-1.5", "1e30", "nan"}) {
    SafetensorsFile file = model_to_safetensors(small_model());
    file.metadata["pixel_shift"] = shift;
    write_safetensors(folder / "m", file);
    CHECK_FAILS(load_model(folder / "m"), "metadata 'pixel_shift'");
  }
}

TEST_CASE("a data set of other images or another number of classes does not fit a model") {
  const Model model = small_model();
  ImageForm form{.height = 8, .width = 8, .channels = 1, .classes = 10};
  CHECK_NOTHROW(check_images_fit(model, "set", form));
  for (const int classes : {9, 11, 100}) {
    form.classes = classes;
    CHECK_FAILS(check_images_fit(model, "set", form),
                fmt::format("data set set has {} classes, but the weights of model 'small' have 10",
                            classes)
                    .c_str());
  }
  form.classes = 10;
  form.channels = 3;
  CHECK_FAILS(check_images_fit(model, "set", form), "has images of 8x8x3");
}

TEST_CASE("certificates rest on the larger of the recorded and the measured sensitivity") {
  Model model = small_model();
  const double measured = model.calibration.sensitivity;
  // As far below as the rounding of two processors may go.
  model.calibration.sensitivity = measured * (1 - 5e-10);
  CHECK(check_certifiable(model).sensitivity == measured);
  model.calibration.sensitivity = measured * 1.5;
  CHECK(check_certifiable(model).sensitivity == measured * 1.5);
  CHECK(check_certifiable(model).noise_scale == 0.25);
}

TEST_CASE("standardised images multiply the sensitivity, and are in the model's file") {
  const TemporaryFolder folder;
  Model model = small_model();
  model.spec.standardise = true;
  model.network = layers::make_network(model.spec, 3);
  const auto sensitivity = [](const Model& m) {
    return network_sensitivity(m.network, m.calibration.attack_norm, m.calibration.mechanism,
                               m.form);
  };
  const auto values = static_cast<double>(model.network.input().row_size());
  Model plain = small_model();
  const std::size_t weights = model.network.parameters().size();
  for (std::size_t i = 0; i < weights; ++i)
    plain.network.parameters()[i]->value = model.network.parameters()[i]->value.clone();
  CHECK(sensitivity(model) >= std::sqrt(values) * sensitivity(plain));
  CHECK(sensitivity(model) ==
        doctest::Approx(std::sqrt(values) * sensitivity(plain)).epsilon(1e-12));

  model.calibration.sensitivity = sensitivity(model);
  save_model(folder / "m", model);
  const Model read = load_model(folder / "m");
  CHECK(read.spec == model.spec);
  CHECK(read.network.prefix()[0].layer->name() == "standardise");
  check_certifiable(read);

  // A sensitivity that knows nothing of it is refused.
  model.calibration.sensitivity = sensitivity(plain);
  CHECK_FAILS(check_certifiable(model), "changed after");
  SafetensorsFile file = model_to_safetensors(model);
  file.metadata["standardise"] = "channel";
  write_safetensors(folder / "other", file);
  CHECK_FAILS(load_model(folder / "other"), "'standardise' is 'channel'");
  CHECK(!model_to_safetensors(plain).metadata.contains("standardise"));

  // Noise in the image comes after it as well.
  layers::NetworkSpec spec = model.spec;
  spec.noise_after_layers = 0;
  CHECK(network_sensitivity(layers::make_network(spec, 3), AttackNorm::l2, Mechanism::gaussian,
                            SensitivityForm::tight) == doctest::Approx(std::sqrt(values)));
  spec.input_mean = spec.input_deviation = {0.5};
  CHECK_FAILS(layers::make_network(spec, 3), "not both");
}

TEST_CASE("a model file of another architecture or depth is refused by the tensor that tells") {
  const TemporaryFolder folder;
  const auto file_of = [](const char* architecture) {
    Model model = small_model();
    model.spec = tests::small_resnet_spec(architecture);
    model.network = layers::make_network(model.spec, 3);
    tests::unsettle_normalisations(model.network);
    return model_to_safetensors(model);
  };
  const auto refused = [&](const char* architecture, auto change, const char* part) {
    SafetensorsFile file = file_of(architecture);
    change(file);
    write_safetensors(folder / "m", file);
    CHECK_FAILS(load_model(folder / "m"), part);
  };
  using File = SafetensorsFile;
  refused(
      "wide-resnet", [](File& f) { f.metadata["depth"] = "16"; }, "'layer1.1.bn1.weight'");
  refused(
      "wide-resnet", [](File& f) { f.metadata["depth"] = "11"; }, "depth 11");
  refused(
      "wide-resnet", [](File& f) { f.metadata.erase("depth"); }, "depth 0");
  refused(
      "wide-resnet", [](File& f) { f.metadata["widening"] = "2"; }, "layer1.0.");
  refused(
      "wide-resnet",
      [](File& f) { f.metadata["architecture"] = "resnet", f.metadata["depth"] = "8"; },
      "no width");
  refused(
      "wide-resnet", [](File& f) { f.metadata["slope"] = "2"; }, "slope from 0 to 1");
  refused(
      "resnet", [](File& f) { f.metadata["slope"] = "0.1"; }, "ReLU of slope 0");
  refused(
      "resnet", [](File& f) { f.metadata["architecture"] = "mnist-cnn"; }, "neither depth");
  refused(
      "resnet",
      [](File& f) {
        f.metadata["architecture"] = "wide-resnet";
        f.metadata["depth"] = "10", f.metadata["widening"] = "1";
      },
      "'layer2.0.bn1.weight'");
  refused(
      "resnet", [](File& f) { f.tensors["layer1.1.conv1.weight"] = f.tensors["conv1.weight"]; },
      "no tensor 'layer1.1.conv1.weight'");
  refused(
      "resnet", [](File& f) { f.metadata["input_mean"] = "0.1,0.2"; }, "cannot be normalised");
  refused(
      "resnet", [](File& f) { f.metadata["input_mean"] = "0.1,,0.2"; }, "'input_mean'");

  // Unchanged it loads, running statistics and all.
  const SafetensorsFile whole = file_of("wide-resnet");
  write_safetensors(folder / "m", whole);
  const Model read = load_model(folder / "m");
  CHECK(model_to_safetensors(read).tensors == whole.tensors);
  CHECK(whole.tensors.contains("layer3.0.bn2.running_var"));
  SafetensorsFile relu = whole;
  relu.metadata["slope"] = "0";
  write_safetensors(folder / "m", relu);
  CHECK(load_model(folder / "m").spec.slope == 0.0);
  CHECK(model_to_safetensors(load_model(folder / "m")).metadata == relu.metadata);
}

TEST_CASE("damage to a model file is named") {
  const TemporaryFolder folder;
  const auto damaged = [&](auto change) {
    SafetensorsFile file = model_to_safetensors(small_model());
    change(file);
    write_safetensors(folder / "m", file);
    return folder / "m";
  };
  using File = SafetensorsFile;
  CHECK_FAILS(load_model(folder / "none"), "no model there");
  CHECK_FAILS(load_model(damaged([](File& f) { f.metadata.clear(); })), "'format'");
  CHECK_FAILS(load_model(damaged([](File& f) { f.metadata["format"] = "other"; })), "'other'");
  CHECK_FAILS(load_model(damaged([](File& f) { f.metadata["delta"] = "five"; })), "'delta'");
  CHECK_FAILS(load_model(damaged([](File& f) { f.metadata.erase("noise_scale"); })),
              "'noise_scale'");
  CHECK_FAILS(load_model(damaged([](File& f) { f.metadata["classes"] = "-3"; })), "classes");
  CHECK_FAILS(load_model(damaged([](File& f) { f.metadata["height"] = "99999999999"; })),
              "99999999999");
  CHECK_FAILS(load_model(damaged([](File& f) { f.metadata["height"] = "16"; })), "'fc1.weight'");
  CHECK_FAILS(load_model(damaged([](File& f) { f.metadata["architecture"] = "other"; })),
              "'other'");
  CHECK_FAILS(load_model(damaged([](File& f) { f.tensors.erase("conv2.weight"); })),
              "'conv2.weight'");
  CHECK_FAILS(load_model(damaged([](File& f) {
                const std::vector<float> values(10, std::numeric_limits<float>::quiet_NaN());
                f.tensors["fc2.bias"] = SafeTensor::from_floats({10}, values);
              })),
              "not finite");
  for (const char* value : {"nan", "inf", "-1", "0"}) {
    CHECK_THROWS_AS(
        check_certifiable(load_model(damaged([&](File& f) { f.metadata["noise_scale"] = value; }))),
        Error);
    CHECK_THROWS_AS(
        check_certifiable(load_model(damaged([&](File& f) { f.metadata["sensitivity"] = value; }))),
        Error);
  }
}
