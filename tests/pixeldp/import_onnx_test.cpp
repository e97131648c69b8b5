#include "pixeldp/import_onnx.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "engine/io/resize.hpp"
#include "layers/training_pass.hpp"
#include "pixeldp/graph_text.hpp"
#include "tests/fuzz/onnx.hpp"
#include "tests/fuzz/replay.hpp"
#include "tests/made_onnx.hpp"
#include "tests/plan_scores.hpp"
#include "tests/real_data.hpp"
#include "tests/reference/values.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using tests::MadeOnnx, tests::Message;

namespace {

ImportOptions onnx_options() { return {.name = "foreign", .dataset = "cifar-10", .spec = {}}; }

Model imported(const std::string& bytes, const ImportOptions& with = onnx_options()) {
  return import_onnx(parse_onnx(as_bytes(bytes), "FILE"), "FILE", with);
}

/// N, C, H, W to N, H, W, C.
std::vector<float> channels_last(const std::vector<float>& x, std::int64_t channels) {
  std::vector<float> y(x.size());
  const auto pixels = std::ssize(x) / channels;
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t p = 0; p < pixels; ++p)
      y[static_cast<std::size_t>(p * channels + c)] = x[static_cast<std::size_t>(c * pixels + p)];
  return y;
}

std::vector<double> scores(const Model& model, const std::vector<float>& image) {
  return tests::PlanScores(model.network)(image);
}

std::vector<double> softmax(std::vector<double> z) {
  const double highest = std::ranges::max(z);
  double sum = 0.0;
  for (double& value : z) sum += value = std::exp(value - highest);
  for (double& value : z) value /= sum;
  return z;
}

std::vector<float> read_floats(const std::filesystem::path& path) {
  const Bytes bytes = read_file(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

/// Whether a message names one of the words between bars.
bool names(const std::string& message, const std::string& words) {
  for (std::size_t begin = 0; begin <= words.size();) {
    const std::size_t end = std::min(words.find('|', begin), words.size());
    if (message.find(words.substr(begin, end - begin)) != std::string::npos) return true;
    begin = end + 1;
  }
  return false;
}

/// Convolution, ReLU, Flatten and Gemm to 5 classes, for pictures of 3x6x6.
MadeOnnx small_network() {
  return MadeOnnx()
      .initializer(MadeOnnx::tensor("w", {4, 3, 3, 3}, reference::reals(108, 1)))
      .initializer(MadeOnnx::tensor("b", {4}, reference::reals(4, 2)))
      .initializer(MadeOnnx::tensor("v", {64, 5}, reference::reals(320, 3)))
      .node("Conv", {"x", "w", "b"}, {"t1"})
      .node("Relu", {"t1"}, {"t2"})
      .node("Flatten", {"t2"}, {"t3"});
}

}  // namespace

TEST_CASE("networks of ONNX have the scores of ONNX Runtime, or are refused by node and operator") {
  const auto data = tests::real_data({"../cases/onnx/auto_pad/case.json"});
  if (!data) return;
  int taken = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*data / "../cases/onnx")) {
    if (!entry.is_directory()) continue;
    const std::filesystem::path folder = entry.path();
    const std::string name = folder.filename().string();
    CAPTURE(name);
    const auto about = nlohmann::json::parse(as_text(read_file(folder / "case.json")));
    const std::string path = (folder / "model.onnx").string();
    if (about["outcome"] == "refuse") {
      ++refused;
      std::string message;
      try {
        import_onnx(read_onnx(path), path, onnx_options());
      } catch (const Error& error) {
        message = error.what();
      }
      CAPTURE(message);
      for (const std::string words : about["refusal"]["message_should_name"])
        CHECK(names(message, words));
      continue;
    }
    ++taken;
    const Model model = import_onnx(read_onnx(path), path, onnx_options());
    const auto x = read_floats(folder / "input.bin"), right = read_floats(folder / "output.bin");
    const double most = about["output"]["max_abs_error"];
    const tests::PlanScores scorer(model.network);
    const auto size = static_cast<std::ptrdiff_t>(model.network.input().row_size());
    for (std::ptrdiff_t row = 0; row * size < std::ssize(x); ++row) {
      const std::vector<float> picture(x.begin() + row * size, x.begin() + (row + 1) * size);
      auto made = scorer(channels_last(picture, model.spec.channels));
      if (about.value("ends_in_softmax", name == "softmax")) made = softmax(std::move(made));
      for (std::size_t c = 0; c < made.size(); ++c)
        CHECK(std::abs(made[c] - right[static_cast<std::size_t>(row) * made.size() + c]) <= most);
    }
  }
  CHECK(taken >= 18);
  CHECK(refused >= 9);
}

TEST_CASE("an imported network is saved and loaded, and keeps its scores to the last bit") {
  const TemporaryFolder folder;
  ImportOptions with = onnx_options();
  with.spec.input_mean = {0.4, 0.5, 0.6};
  with.spec.input_deviation = {0.2, 0.25, 0.5};
  with.noise = InputNoise{.scale = 0.25};
  const Model model = imported(small_network()
                                   .node("MatMul", {"t3", "v"}, {"y"})
                                   .input("x", {1, 3, 6, 6})
                                   .output("y")
                                   .bytes(),
                               with);
  CHECK(model.spec.classes == 5);
  CHECK(model.spec.architecture == "graph");
  save_model(folder / "m", model);
  const Model read = load_model(folder / "m");
  CHECK(read.spec == model.spec);
  CHECK(check_certifiable(read).sensitivity == model.calibration.sensitivity);
  CHECK(read.network.noise->scale == 0.25);
  const auto x = reference::reals(108, 4);
  CHECK(scores(read, x) == scores(model, x));
  // Noise that is given afterwards.
  with.noise.reset();
  Model without = imported(small_network()
                               .node("MatMul", {"t3", "v"}, {"y"})
                               .input("x", {1, 3, 6, 6})
                               .output("y")
                               .bytes(),
                           with);
  give_input_noise(without, {.scale = 0.25});
  CHECK(scores(without, x) == scores(model, x));
  CHECK(without.network.noise->scale == 0.25);
}

TEST_CASE("an imported network is trained through and differentiated in its picture") {
  Model model = imported(small_network()
                             .node("MatMul", {"t3", "v"}, {"y"})
                             .input("x", {0, 3, 6, 6})
                             .output("y")
                             .bytes());
  const Stream stream;
  layers::TrainingPass pass(model.network);
  Tensor images(Shape{2, 6, 6, 3}), dlogits(Shape{2, 5}), dimages;
  const auto pixels = reference::reals(images.size(), 5), c = reference::reals(10, 6);
  std::copy(pixels.begin(), pixels.end(), images.data());
  std::copy(c.begin(), c.end(), dlogits.data());
  const std::vector<kernels::NoiseRow> rows = {{0, 0, 0}, {1, 1, 0}};
  const auto objective = [&](const Tensor& of) {
    const Tensor& logits = pass.forward(stream, layers::Mode::training, of,
                                        {.tag = StreamTag::training, .rows = rows});
    double sum = 0.0;
    for (std::int64_t i = 0; i < logits.size(); ++i)
      sum += double{logits.data()[i]} * double{c[static_cast<std::size_t>(i)]};
    return sum;
  };
  objective(images);
  // As certification calculates it.
  const std::vector<float> first(pixels.begin(), pixels.begin() + 108);
  const auto logits = scores(model, first);
  const Tensor& trained =
      pass.forward(stream, layers::Mode::inference, images, {.tag = {}, .rows = rows});
  for (std::size_t i = 0; i < 5; ++i)
    CHECK(trained.data()[i] == doctest::Approx(logits[i]).epsilon(1e-5));
  objective(images);
  pass.backward(stream, images, dlogits, &dimages);
  double squares = 0.0;
  for (const float g : dimages.values()) squares += double{g} * double{g};
  const double h = 1e-3, norm = std::sqrt(squares);
  const auto moved = [&](double step) {
    Tensor of = images.clone();
    for (std::int64_t i = 0; i < of.size(); ++i)
      of.data()[i] += static_cast<float>(step * dimages.data()[i] / norm);
    return objective(of);
  };
  CHECK((moved(h) - moved(-h)) / (2 * h) == doctest::Approx(norm).epsilon(0.01));
  for (const layers::Parameter* parameter : model.network.parameters())
    CHECK(!parameter->gradient.empty());
}

TEST_CASE("what is not read of an ONNX network is named") {
  const auto refused = [](const MadeOnnx& network, const std::string& part,
                          std::int64_t opset = 13) {
    CHECK_FAILS(imported(network.bytes(opset)), part);
  };
  const auto whole = [] { return small_network().node("MatMul", {"t3", "v"}, {"y"}).output("y"); };
  refused(whole().input("x", {1, 3, 6, 6}), "opset 6; 7 to 28 are read", 6);
  refused(whole().input("x", {1, 3, 6, 6}), "opset 29", 29);
  refused(whole().input("x", {8, 3, 6, 6}), "input 'x' has a batch of 8");
  refused(whole().input("x", {1, 3, 0, 6}), "an axis 2 of free extent 'N'");
  refused(whole().input("x", {1, 3, 36}), "input 'x' has 3 axes");
  refused(whole().input("x", {1, 3, 6, 6}, 10), "input 'x' is of type float16");
  refused(whole().input("x", {1, 4, 6, 6}), "node the_Conv (Conv): its weight is 4x3x3x3");
  refused(whole(), "the network has 0 inputs");
  refused(whole().input("x", {1, 3, 6, 6}).output("t3"), "the network has 2 outputs");
  refused(small_network().input("x", {1, 3, 6, 6}).output("nowhere"), "nothing makes the output");
  refused(small_network().input("x", {1, 3, 6, 6}).output("t2"), "makes 1x4x4x4 of a picture");
  refused(small_network().input("x", {1, 3, 6, 6}).output("w"), "does not depend on the picture");
  refused(small_network().node("Einsum", {"t3"}, {"y"}).input("x", {1, 3, 6, 6}).output("y"),
          "node the_Einsum (Einsum): this operator is not read");
  refused(small_network().node("MatMul", {"t3", "u"}, {"y"}).input("x", {1, 3, 6, 6}).output("y"),
          "node the_MatMul (MatMul) reads 'u', which nothing makes");
  refused(small_network().node("MatMul", {"t3", "t3"}, {"y"}).input("x", {1, 3, 6, 6}).output("y"),
          "its input 't3' depends on the picture, where a constant is read");
  refused(small_network().node("Div", {"t3", "t3"}, {"y"}).input("x", {1, 3, 6, 6}).output("y"),
          "a quotient of two values");
  refused(small_network()
              .node("MatMul", {"t3", "v"}, {"y"}, {MadeOnnx::attribute("surprise", 1)})
              .input("x", {1, 3, 6, 6})
              .output("y"),
          "its attribute 'surprise' is not known");
  ImportOptions with = onnx_options();
  with.spec.input_mean = with.spec.input_deviation = {127.0, 127.0, 127.0};
  CHECK_FAILS(imported(whole().input("x", {1, 3, 6, 6}).bytes(), with), "divide means");
  with.spec.input_mean = with.spec.input_deviation = {0.5};
  CHECK_FAILS(imported(whole().input("x", {1, 3, 6, 6}).bytes(), with), "cannot be normalised");
}

TEST_CASE("scores that no dense layer makes get one that changes nothing") {
  // ReLU at the end, and a pooled image.
  const Model active = imported(small_network()
                                    .node("MatMul", {"t3", "v"}, {"t4"})
                                    .node("Relu", {"t4"}, {"y"})
                                    .input("x", {1, 3, 6, 6})
                                    .output("y")
                                    .bytes());
  const auto x = reference::reals(108, 4);
  for (const double score : scores(active, x)) CHECK(score >= 0.0);
  const Model pooled = imported(small_network()
                                    .node("GlobalAveragePool", {"t2"}, {"y"})
                                    .input("x", {1, 3, 6, 6})
                                    .output("y")
                                    .bytes());
  CHECK(pooled.spec.classes == 4);
  CHECK(scores(pooled, x).size() == 4);
}

TEST_CASE("constants stand beside what depends on the picture: in sums, side by side, as slopes") {
  const auto a = reference::reals(4, 1), b = reference::reals(4, 2),
             slopes = reference::reals(2, 3);
  const Model model =
      imported(MadeOnnx()
                   .input("x", {1, 2, 1, 2})
                   .output("y")
                   .initializer(MadeOnnx::tensor("a", {1, 4}, a))
                   .initializer(MadeOnnx::tensor("b", {1, 4}, b))
                   .initializer(MadeOnnx::tensor("ones", {1, 2}, {1, 1}))
                   .initializer(MadeOnnx::tensor("slopes", {2, 1, 1}, slopes))
                   .node("PRelu", {"x", "slopes"}, {"1"})
                   .node("Flatten", {"1"}, {"2"})
                   .node("Sum", {"a", "b", "2"}, {"3"})
                   .node("Concat", {"a", "3", "ones"}, {"y"}, {MadeOnnx::attribute("axis", 1)})
                   .bytes());
  const std::vector<float> x = {-1.0f, 2.0f, 3.0f, -4.0f};
  const auto made = scores(model, channels_last(x, 2));
  REQUIRE(made.size() == 10);
  for (std::size_t i = 0; i < 4; ++i) {
    const float active = x[i] > 0.0f ? x[i] : slopes[i / 2] * x[i];
    CHECK(made[i] == double{a[i]});
    CHECK(made[4 + i] == doctest::Approx(double{a[i]} + b[i] + active).epsilon(1e-6));
  }
  CHECK(made[8] == 1.0);
  CHECK(made[9] == 1.0);
}

TEST_CASE("the text of a graph holds all of it, and damage to it is named") {
  const std::vector<layers::NodeSpec> nodes = {
      {"conv",
       {0},
       kernels::GroupedConv2dShape{.in_h = 4,
                                   .in_w = 5,
                                   .in_c = 6,
                                   .out_c = 6,
                                   .groups = 2,
                                   .kernel_h = 3,
                                   .stride_w = 2,
                                   .dilation_h = 1,
                                   .pad_h = {1, 2},
                                   .pad_w = {3, 4}}},
      {"affine", {1}, layers::Affine::Options{.channels = 6, .activation = {0.1f}}},
      {"clip", {2}, kernels::PointwiseFunction{.a = -INFINITY, .b = 6.0f}},
      {"pool",
       {3},
       kernels::WindowPoolShape{.kind = kernels::WindowPoolShape::Kind::average,
                                .in_h = 1,
                                .in_w = 2,
                                .channels = 3,
                                .out_h = 4,
                                .out_w = 5,
                                .kernel_h = 6,
                                .kernel_w = 7,
                                .pad_h = {1, 2},
                                .pad_w = {3, 4},
                                .count_padding = true}},
      {"cut",
       {4},
       layers::Select::Options{
           .map =
               {.in_pixels = 2, .in_channels = 3, .pixels = {1, -1}, .channels = {2}, .fill = 0.5f},
           .height = 2,
           .width = 1}},
      {"sum", {4, 5}, layers::AddNode{.activation = {0.0f}}},
      {"gate", {4, 5}, layers::MultiplyNode{}},
      {"mean", {4}, layers::GlobalPoolNode{}},
      {"join", {1, 2, 3}, layers::ConcatenateNode{}},
      {"soft", {9}, layers::SoftmaxNode{.values = 7}},
      {"response", {9}, kernels::LocalResponseParams{.window = 5, .alpha = 0.5f, .beta = 0.25f}},
      {"fc", {10}, layers::DenseNode{.out = 9, .activation = {0.0f}}}};
  const std::string text = graph_text(nodes);
  CHECK(parse_graph(text, "TEXT") == nodes);
  const auto damaged = [&](const std::string& from, const std::string& to, const char* part) {
    std::string changed = text;
    const auto at = changed.find(from);
    REQUIRE(at != std::string::npos);
    CHECK_FAILS(parse_graph(changed.replace(at, from.size(), to), "TEXT"), part);
  };
  damaged("\"in_c\":6", "\"in_d\":6", "TEXT, node 1: 'in_c' is missing");
  damaged("\"in_c\":6", "\"in_c\":6.5", "'in_c' holds 6.5, not an integer");
  damaged("\"in_c\":6", "\"in_c\":99999999999", "not an integer of 32 bits");
  damaged("\"average\"", "\"median\"", "TEXT, node 4: 'kind' is \"median\", which is not known");
  damaged("\"softmax\"", "\"hardmax\"", "there is no leaf 'hardmax'");
  damaged("[{", "{", "TEXT: not a list in JSON");
}

TEST_CASE("the MNIST network of the ONNX zoo, to 1e-4 and by accuracy") {
  const auto data = tests::real_data({"models/mnist_onnx/mnist.onnx", "mnist"});
  if (!data) return;
  ImportOptions with{.name = "mnist", .dataset = "mnist", .spec = {}};
  with.spec.input_mean = {0.0};
  with.spec.input_deviation = {1.0 / 255};
  const Model model =
      import_onnx(read_onnx(*data / "models/mnist_onnx/mnist.onnx"), "mnist.onnx", with);
  const Dataset test = load_dataset("mnist", "test", *data / "mnist");
  const tests::PlanScores scorer(model.network);
  int right = 0;
  std::vector<float> image(784);
  for (std::int64_t i = 0; i < 1000; ++i) {
    to_float(test, i, i + 1, image.data(), 0.0f);
    const auto made = scorer(image);
    if (i == 0) {  // those of ONNX Runtime
      CHECK(made[7] == doctest::Approx(8062.958984375).epsilon(1e-6));
      CHECK(std::abs(made[0] + 552.7103271484375) < 8e-3);
    }
    right +=
        std::ranges::max_element(made) - made.begin() == test.labels[static_cast<std::size_t>(i)];
  }
  CHECK(right == 987);
}

TEST_CASE("EfficientNet-Lite0 has the scores of ONNX Runtime, from pictures to classes") {
  constexpr const char* file = "models/efficientnet_lite0/efficientnet-lite0.onnx";
  const auto data = tests::real_data({file, "imagenet-sample/n01440764"});
  if (!data) return;
  ImportOptions with{.name = "efficientnet", .dataset = "image-folder", .spec = {}};
  with.spec.input_mean.assign(3, 127.0 / 255);
  with.spec.input_deviation.assign(3, 128.0 / 255);
  const Model model = import_onnx(read_onnx(*data / file), file, with);
  CHECK(model.spec.classes == 1000);
  const kernels::NetworkPlan plan = lower(Stream(), model.network);
  // Every bias is part of a convolution, and every clamp behind a depthwise one is part of that.
  std::map<std::string, int> steps;
  for (const kernels::InferenceStep& step : plan.body.steps)
    ++steps[step.operation ? std::string(step.operation->name())
                           : std::to_string(static_cast<int>(step.kind))];
  CHECK(steps["depthwise convolution"] == 16);
  CHECK(steps["clamp"] == 17);
  CHECK(steps.size() == 5);  // normalisation, convolutions, mean
  const tests::PlanScores scorer(model.network);
  struct Known {
    const char* picture;
    std::ptrdiff_t label;
    double first, highest;
  };
  for (const auto& [picture, label, first, highest] :
       {Known{"n01440764/n01440764_tench.JPEG", 0, 9.14395, 9.14395},
        Known{"n03532672/n03532672_hook.JPEG", 600, -1.96631, 11.24142},
        Known{"n04562935/n04562935_water_tower.JPEG", 900, 1.1477, 9.81525}}) {
    const Image image =
        resized_centre(read_image(*data / "imagenet-sample" / picture, 3), 256, 224, 224);
    std::vector<float> pixels;
    for (const std::uint8_t pixel : image.pixels) pixels.push_back(pixel_value(pixel, 0.0f));
    const auto made = scorer(pixels);
    CHECK(std::ranges::max_element(made) - made.begin() == label);
    CHECK(std::abs(std::ranges::max(made) - highest) < 1e-3);
    CHECK(std::abs(made[0] - first) < 1e-3);
  }
}

TEST_CASE("the importer takes or refuses every input of its fuzzer") {
  fuzz::replay("onnx", fuzz::onnx);
}
