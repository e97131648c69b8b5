#include "pixeldp/regression/output_sampler.hpp"

#include <cmath>

#include "layers/training_pass.hpp"
#include "pixeldp/metadata.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using kernels::OutputKind;

namespace {

Model made_regression_model(OutputKind kind = OutputKind::sigmoid) {
  layers::NetworkSpec spec{.height = 12, .width = 12, .classes = 1};
  spec.output = kernels::RealOutput{kind, -20.0, 30.0};
  Model model;
  model.name = "made";
  model.dataset = "mnist-angle";
  model.spec = spec;
  model.network = layers::make_network(spec, 3);
  model.calibration = {.mechanism = Mechanism::gaussian, .noise_scale = 0.5, .sensitivity = 10.0};
  apply_calibration(model.calibration, model.network);
  return model;
}

std::uint32_t made_pixels(std::int64_t index, float* pixels) {
  for (int i = 0; i < 144; ++i)
    pixels[i] = static_cast<float>(std::sin(0.37 * i * static_cast<double>(index + 1))) * 0.5f;
  return static_cast<std::uint32_t>(index);
}

std::vector<OutputStatistics> sampled_outputs(const Model& model, std::int64_t images,
                                              std::uint32_t first, std::uint32_t draws,
                                              std::int64_t micro_batch) {
  OutputSampler sampler({}, model.spec, model.network, micro_batch);
  std::vector<OutputStatistics> all;
  sampler.run(images, {.seed = 9, .first = first, .count = draws}, made_pixels,
              [&](std::int64_t, const OutputStatistics& statistics) {
                all.push_back(statistics);
                return true;
              });
  return all;
}

}  // namespace

TEST_CASE("outputs are counted alike in any batch, and in parts") {
  const Model model = made_regression_model();
  const auto whole = sampled_outputs(model, 3, 0, 40, 0),
             others = sampled_outputs(model, 3, 0, 40, 7);
  REQUIRE(whole.size() == 3);
  CHECK(whole == others);
  CHECK(whole[0] != whole[1]);
  auto parts = sampled_outputs(model, 3, 0, 15, 0);
  const auto rest = sampled_outputs(model, 3, 15, 25, 4);
  for (std::size_t i = 0; i < 3; ++i) {
    parts[i].totals += rest[i].totals;
    CHECK(parts[i].totals == whole[i].totals);
  }
}

TEST_CASE("without noise the mean is the network's output, by each of its kinds") {
  for (const OutputKind kind : kernels::output_kinds) {
    CAPTURE(name(kind));
    Model model = made_regression_model(kind);
    model.calibration = {};
    apply_calibration(model.calibration, model.network);
    const auto statistics = sampled_outputs(model, 4, 0, 1, 0);
    layers::TrainingPass pass(model.network);
    for (std::int64_t image = 0; image < 4; ++image) {
      Tensor pixels({1, 12, 12, 1});
      made_pixels(image, pixels.data());
      const kernels::NoiseRow row;
      const Tensor& z = pass.forward(Stream(), layers::Mode::training, pixels, {.rows = {&row, 1}});
      const double u = kind == OutputKind::sigmoid ? 1.0 / (1.0 + std::exp(-double{z.data()[0]}))
                                                   : 0.5 + z.data()[0];
      const auto i = static_cast<std::size_t>(image);
      CHECK(statistics[i].mean(*model.spec.output) ==
            doctest::Approx(-20.0 + 50.0 * std::clamp(u, 0.0, 1.0)).epsilon(1e-5));
    }
  }
}

TEST_CASE("a device counts the outputs that the processor does, in any batch") {
  const Device emulated = Device::parse("emulated");
  for (const int after_layers : {0, 1}) {
    CAPTURE(after_layers);
    Model model = made_regression_model();
    model.spec.noise_after_layers = after_layers;
    model.network = layers::make_network(model.spec, 3);
    apply_calibration(model.calibration, model.network);
    const auto sampled = [&](const Device& device, std::int64_t micro_batch,
                             const BodyPrecision& precision = {}) {
      OutputSampler sampler(device, model.spec, model.network, micro_batch, precision);
      std::vector<OutputStatistics> all;
      sampler.run(3, {.seed = 9, .count = 11}, made_pixels,
                  [&](std::int64_t, const OutputStatistics& statistics) {
                    all.push_back(statistics);
                    return true;
                  });
      return all;
    };
    const auto on_device = sampled(emulated, 0), on_processor = sampled({}, 0);
    CHECK(on_device == sampled(emulated, 4));
    REQUIRE(on_device.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(on_device[i].draws == 11);
      // Products are in bf16 there.
      CHECK(on_device[i].mean(*model.spec.output) ==
            doctest::Approx(on_processor[i].mean(*model.spec.output)).epsilon(0.02));
    }
    // In int8 they are the very same.
    Quantisation scales{{}, 1, 1};
    for (const kernels::InferenceStep& step : lower(Stream(), model.network).body.steps)
      if (step.multiplies()) scales.scales[step.name] = 0.02f;
    const BodyPrecision in_int8{kernels::Precision::int8, &scales};
    const auto bytes = sampled(emulated, 4, in_int8);
    CHECK(bytes == sampled({}, 0, in_int8));
    CHECK(bytes != on_processor);
    CHECK_FAILS(sampled(emulated, 4, {kernels::Precision::int8}), "the model has no scales");
  }
}

TEST_CASE("a model file keeps the output, and fits real labels only") {
  const TemporaryFolder folder;
  const Model model = made_regression_model(OutputKind::truncated);
  save_model(folder / "m.safetensors", model);
  const Model again = load_model(folder / "m.safetensors");
  CHECK(again.spec.output == model.spec.output);
  ImageForm form{.height = 12, .width = 12, .channels = 1, .classes = 1, .real_labels = true};
  CHECK_NOTHROW(check_images_fit(again, "mnist-angle", form));
  form.real_labels = false;
  CHECK_FAILS(check_images_fit(again, "digits", form), "is a network for regression");
  CHECK_FAILS(refuse_regression(again, "plans"), "plans are for classifiers");
}

TEST_CASE("only some networks have a real output, of a sound range") {
  layers::NetworkSpec spec{.classes = 1};
  spec.output = kernels::RealOutput{OutputKind::sigmoid, -1.0, 1.0};
  CHECK_NOTHROW(check_network_spec(spec));
  spec.classes = 2;
  CHECK_FAILS(check_network_spec(spec), "one value at its end, not 2");
  spec.classes = 1;
  spec.output->high = -1.0;
  CHECK_FAILS(check_network_spec(spec), "from a lower to a higher number");
  spec.output->high = std::nan("");
  CHECK_FAILS(check_network_spec(spec), "from a lower to a higher number");
  spec.output->high = 1.0;
  spec.architecture = "resnet-50";
  CHECK_FAILS(check_network_spec(spec), "resnet-50 has no real output");
  layers::NetworkSpec wide{.architecture = "wide-resnet", .classes = 1, .depth = 10, .widening = 1};
  wide.output = kernels::RealOutput{OutputKind::sigmoid, -1.0, 1.0};
  CHECK(layers::make_network(wide, 1).classes() == 1);
}
