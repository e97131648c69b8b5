#include <nlohmann/json.hpp>

#include "tests/cli/foreign_weights.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/made_onnx.hpp"

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;

namespace {

/// Made-up images, and weights of a small ResNet for them under PyTorch's names.
struct ForeignWorkplace : MadeWorkplace {
  ForeignWorkplace() {
    write_safetensors(folder / "foreign.safetensors", foreign_weights("module."));
  }
};

const std::string import_foreign =
    "import foreign.safetensors --architecture resnet --depth 8 --dataset mnist --mean 0.13 --std "
    "0.31 ";

/// Trains an auto-encoder of one layer before the classifier in 'plain', as run 'before'.
void train_before(const MadeWorkplace& place, const std::string& layer,
                  const std::string& training) {
  write_file_atomically(
      place.folder / "before.yaml",
      fmt::format("name: before\n"
                  "data: {{set: mnist, directory: {}}}\n"
                  "network: {{architecture: autoencoder, classifier: plain, encoder: [{{{}}}]}}\n"
                  "noise: {{mechanism: gaussian, construction_bound: 0.1}}\n"
                  "training: {{{}}}\n",
                  place.folder.path().string(), layer, training));
  place.done("train before.yaml --output before");
}

}  // namespace

TEST_CASE("foreign weights are imported, evaluated and never certified") {
  const ForeignWorkplace place;
  const Outcome imported = place.run(import_foreign + "--output run --json");
  REQUIRE_MESSAGE(imported.status == 0, imported.errors);
  CHECK(json::parse(imported.output)["name"] == "foreign");
  CHECK(json::parse(imported.output)["classes"] == 10);
  const Outcome evaluated = place.run("certify run --draws 50 --json" + place.data());
  REQUIRE_MESSAGE(evaluated.status == 0, evaluated.errors);
  CHECK(json::parse(evaluated.output)["new_draws"] == 32);  // without noise one draw tells all
  CHECK(json::parse(evaluated.output)["mean_radius"] == 0.0);
  CHECK(place.run("predict run test:3" + place.data()).status == 0);

  const std::string model = text_of(place.folder / "run" / "model.safetensors");
  const Outcome again = place.run(import_foreign + "--output run");
  CHECK(again.status == 1);
  CHECK(again.errors.find("--output") != std::string::npos);
  CHECK(text_of(place.folder / "run" / "model.safetensors") == model);
}

TEST_CASE("foreign weights stand behind an auto-encoder, which brings their noise, untouched") {
  const ForeignWorkplace place;
  place.done(import_foreign + "--output plain");
  train_before(
      place, "kernel: 5, filters: 4, stride: 2",
      "steps: 4, reconstruction_steps: 2, batch: 8, learning_rate: 0.02, evaluation_images: 4");
  const auto header = [&](const std::string& run) {
    place.done("certify " + run + " --draws 20 --images 0:4" + place.data());
    const std::string log = text_of(place.folder / run / "certificates.jsonl");
    return json::parse(log.substr(0, log.find('\n')));
  };
  const json before = header("before");
  CHECK(before["classifier_sha256"] == sha256_file(place.folder / "plain" / "model.safetensors"));
  place.done("verify before/certificates.jsonl --fraction 1" + place.data());
  place.done("report before --output page.html");
  CHECK(text_of(place.folder / "page.html").find("Classifier SHA-256, untouched") !=
        std::string::npos);

  place.done(import_foreign + "--autoencoder before --output behind");
  const json behind = header("behind");
  CHECK(behind["classifier_sha256"] == sha256_file(place.folder / "foreign.safetensors"));
  CHECK(behind["noise_scale"] == before["noise_scale"]);
  place.refused(import_foreign + "--autoencoder before --noise gaussian --sigma 1 --output no",
                "brings the noise that it was trained with", 2);
  place.refused(import_foreign + "--autoencoder plain --output no", "has no auto-encoder", 2);
  CHECK(!std::filesystem::exists(place.folder / "no"));
}

TEST_CASE("a whole network in ONNX is imported, certified and predicted with") {
  const ForeignWorkplace place;
  const auto write = [&](const MadeOnnx& network) {
    write_file_atomically(place.folder / "net.onnx", as_bytes(network.bytes()));
  };
  const auto network = [](const MadeOnnx::Dims& picture, const char* activation = "Sigmoid") {
    return MadeOnnx()
        .input("x", picture)
        .output("y")
        .initializer(MadeOnnx::tensor("w", {4, 1, 3, 3}, reference::reals(36, 1)))
        .initializer(MadeOnnx::tensor("v", {4, 10}, reference::reals(40, 2)))
        .node("Conv", {"x", "w"}, {"1"})
        .node(activation, {"1"}, {"2"})
        .node("GlobalAveragePool", {"2"}, {"3"})
        .node("Flatten", {"3"}, {"4"})
        .node("MatMul", {"4", "v"}, {"y"});
  };
  write(network({1, 1, 28, 28}));
  const std::string import = "import net.onnx --dataset mnist --mean 0 --std 0.0039215686 ";
  const Outcome imported = place.run(import + "--noise gaussian --sigma 0.25 --output run --json");
  REQUIRE_MESSAGE(imported.status == 0, imported.errors);
  CHECK(json::parse(imported.output)["architecture"] == "graph");
  CHECK(json::parse(imported.output)["classes"] == 10);
  const Outcome certified = place.run("certify run --draws 20 --images :4 --json" + place.data());
  REQUIRE_MESSAGE(certified.status == 0, certified.errors);
  CHECK(json::parse(certified.output)["new_draws"] == 80);
  CHECK(place.run("predict run test:3 --draws 20" + place.data()).status == 0);
  place.done("certify run --draws 20 --images :2 --device emulated --output device.jsonl" +
             place.data());
  // What devices have no kernel for is said before anything is written.
  write(network({1, 1, 28, 28}, "Softmax"));
  REQUIRE(place.run(import + "--noise gaussian --sigma 0.25 --output soft").status == 0);
  const Outcome emulated =
      place.run("certify soft --device emulated --output other.jsonl" + place.data());
  CHECK(emulated.status == 2);
  CHECK_MESSAGE(emulated.errors.find("no kernel for softmax") != std::string::npos,
                emulated.errors);
  CHECK(!std::filesystem::exists(place.folder / "other.jsonl"));

  const auto refused = [&](const std::string& more, int status, const std::string& part) {
    CAPTURE(more);
    const Outcome outcome = place.run(import + "--output x " + more);
    CHECK(outcome.status == status);
    CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
    CHECK(!std::filesystem::exists(place.folder / "x"));
  };
  refused("--architecture resnet", 2, "leave out --architecture");
  refused("--depth 20", 2, "leave out --architecture, --depth");
  refused("--standardise", 2, "--standardise is for");
  refused("--image-height 32", 2, "takes pictures of 28x28");
  refused("--noise gaussian", 2, "go together");
  write(network({1, 1, 32, 32}));
  refused("", 1, "data set mnist has images of 28x28x1");
  write(network({1, 1, 28, 28}).node("Einsum", {"y"}, {"z"}).output("z"));
  refused("", 1, "the network has 2 outputs");
  write_file_atomically(place.folder / "net.onnx", as_bytes(std::string_view("<html>")));
  refused("", 1, "net.onnx: not an ONNX model; it is a web page");
  std::filesystem::remove(place.folder / "net.onnx");
  refused("", 1, "net.onnx");
}

TEST_CASE("the digest of a classifier in ONNX is of the files of its weights, too") {
  const ForeignWorkplace place;
  const auto put = [&](const char* file, const std::string& bytes) {
    write_file_atomically(place.folder / file, as_bytes(bytes));
  };
  const auto beside = [](const char* name, const MadeOnnx::Dims& dims, const char* file) {
    return MadeOnnx::tensor_of(name, dims, 1)
        .integer(14, 1)
        .message(13, Message().text(1, "location").text(2, file));
  };
  const std::string network = MadeOnnx()
                                  .input("x", {1, 1, 28, 28})
                                  .output("y")
                                  .initializer(beside("w", {2, 1, 3, 3}, "./b.bin"))
                                  .initializer(beside("v", {2, 10}, "a.bin"))
                                  .node("Conv", {"x", "w"}, {"1"})
                                  .node("GlobalAveragePool", {"1"}, {"2"})
                                  .node("Flatten", {"2"}, {"3"})
                                  .node("MatMul", {"3", "v"}, {"y"})
                                  .bytes();
  const std::string w(18 * sizeof(float), '\1'), v(20 * sizeof(float), '\2');
  put("net.onnx", network), put("a.bin", v), put("b.bin", w);
  place.done(import_foreign + "--output plain");
  train_before(place, "kernel: 3, filters: 2",
               "steps: 1, batch: 2, learning_rate: 0.001, evaluation_images: 1");
  const auto digest = [&](const std::string& run) {
    place.done("import net.onnx --dataset mnist --autoencoder before --output " + run);
    const SafetensorsFile file = read_safetensors(place.folder / run / "model.safetensors");
    return file.metadata.at("classifier_sha256");
  };
  CHECK(digest("first") == sha256_hex(as_bytes(network + v + w)));
  const std::string other(w.size(), '\3');
  put("b.bin", other);
  CHECK(digest("second") == sha256_hex(as_bytes(network + v + other)));
}

TEST_CASE("a network in ONNX that cannot be taken is refused by name, and nothing is written") {
  const MadeWorkplace place(1);
  const auto write = [&](const MadeOnnx& network) {
    write_file_atomically(place.folder / "net.onnx", as_bytes(network.bytes()));
  };
  const auto refused = [&](const MadeOnnx& network, const std::string& part) {
    write(network);
    place.refused("import net.onnx --dataset mnist --output x", part, 1);
    CHECK(!std::filesystem::exists(place.folder / "x"));
  };
  const auto scored = [](std::int64_t classes, const Message* weight = nullptr) {
    const auto w = MadeOnnx::tensor("w", {784, classes}, reference::reals(784 * classes, 1));
    return MadeOnnx()
        .output("y")
        .initializer(weight ? *weight : w)
        .node("Flatten", {"x"}, {"1"})
        .node("MatMul", {"1", "w"}, {"y"});
  };
  const MadeOnnx::Dims picture = {1, 1, 28, 28};
  refused(scored(10).input("x", picture).input("mask", picture),
          "the network has 2 inputs (x, mask)");
  refused(scored(10).input("x", {0, 1, 0, 28}), "an axis 2 of free extent 'N'");
  refused(scored(11).input("x", picture), "data set mnist has 10 classes");
  refused(MadeOnnx()
              .input("x", picture)
              .output("y")
              .node("If", {"x"}, {"y"},
                    {Message().text(1, "then_branch").message(6, Message()).integer(20, 5)}),
          "node the_If (If): control flow is not read");

  const auto external = [&](const std::string& location, std::int64_t inputs) {
    const Message weight = MadeOnnx::tensor_of("w", {inputs, 10}, 1)
                               .integer(14, 1)
                               .message(13, Message().text(1, "location").text(2, location));
    return scored(10, &weight).input("x", picture);
  };
  refused(external("weights.bin", 784), "its external file 'weights.bin' is missing");
  refused(external("../weights.bin", 784), "lies outside of the model's folder");
  // 16 GiB that the disk does not hold, in files of each kind.
  constexpr std::int64_t many = std::int64_t{16} << 30;
  for (const char* file : {"weights.bin", "large.onnx", "large.safetensors"}) {
    write_file_atomically(place.folder / file, as_bytes(std::string_view("x")));
    std::filesystem::resize_file(place.folder / file, many);
  }
  refused(external("weights.bin", many / 40), "its weights take 16.0 GiB in fp32");
  place.refused("import large.onnx --dataset mnist --output x", "limit of 2147483648 bytes", 1);
  place.refused(
      "import large.safetensors --architecture resnet --depth 8 --dataset mnist --output x",
      "limit of 2147483648 bytes", 1);
  CHECK(!std::filesystem::exists(place.folder / "x"));

  // Behind an auto-encoder of other images.
  write(scored(10).input("x", picture));
  place.done("import net.onnx --dataset mnist --output plain");
  train_before(place, "kernel: 3, filters: 2",
               "steps: 1, batch: 2, learning_rate: 0.001, evaluation_images: 1");
  write(MadeOnnx()
            .input("x", {1, 3, 32, 32})
            .output("y")
            .initializer(MadeOnnx::tensor("w", {10, 3, 3, 3}, reference::reals(270, 1)))
            .node("Conv", {"x", "w"}, {"1"})
            .node("GlobalAveragePool", {"1"}, {"y"}));
  place.refused("import net.onnx --dataset cifar-10 --autoencoder before --output x",
                "an auto-encoder of images of 28x28x1 cannot stand before a classifier of 10 "
                "classes that takes 32x32x3",
                2);
  CHECK(!std::filesystem::exists(place.folder / "x"));
}

TEST_CASE("a head of another number of classes than the data set's is refused at import") {
  const ForeignWorkplace place;
  for (const std::int64_t classes : {5, 100}) {
    write_safetensors(place.folder / "foreign.safetensors", foreign_weights("", classes));
    const Outcome outcome = place.run(import_foreign + "--output x");
    CHECK(outcome.status == 1);
    CHECK_MESSAGE(outcome.errors.find("data set mnist has 10 classes") != std::string::npos,
                  outcome.errors);
    CHECK(outcome.errors.find("have " + std::to_string(classes)) != std::string::npos);
    CHECK(!std::filesystem::exists(place.folder / "x"));
  }
}

TEST_CASE("an import that cannot be is refused by name, and writes nothing") {
  const ForeignWorkplace place;
  const auto refused = [&](const std::string& changed, int status, const std::string& part) {
    CAPTURE(changed);
    const Outcome outcome = place.run(import_foreign + "--output x " + changed);
    CHECK(outcome.status == status);
    CHECK(outcome.output.empty());
    CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
    CHECK(!std::filesystem::exists(place.folder / "x" / "model.safetensors"));
  };
  const auto instead = [&](const std::string& arguments, int status, const std::string& part) {
    CAPTURE(arguments);
    const Outcome outcome = place.run("import " + arguments + " --output x");
    CHECK(outcome.status == status);
    CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
  };
  refused("--width 2", 2, "no width");
  refused("--slope 0.1", 2, "ReLU of slope 0");
  refused("--standardise", 2, "not both");
  refused("--unknown", 2, "--unknown");
  refused("--noise gaussian", 2, "go together");
  refused("--noise gaussian --sigma -1", 2, "noise scale of -1");
  refused("--image-height 32", 1, "data set mnist has images of 28x28x1 in 10 classes");
  instead("nowhere.safetensors --architecture resnet --depth 8 --dataset mnist", 1, "nowhere");
  instead("foreign.safetensors --architecture resnet --depth 14 --dataset mnist", 1, "layer1.1.");
  instead("foreign.safetensors --architecture resnet --depth 9 --dataset mnist", 2, "depth 9");
  instead("foreign.safetensors --architecture vgg --dataset mnist", 2, "wide-resnet");
  instead("foreign.safetensors --dataset mnist", 2, "--architecture does");
  instead("foreign.safetensors --architecture resnet --depth 8 --dataset birds", 2, "cifar-10");
  instead(
      "foreign.safetensors --architecture resnet --depth 8 --dataset mnist --mean .1,.2 --std "
      ".1,.2",
      2, "cannot be normalised");
  instead("foreign.safetensors --architecture resnet --dataset mnist", 2, "depth 0");
  instead(
      "foreign.safetensors --architecture resnet --depth 8 --dataset mnist --mean 33.3 --std 78.6",
      2, "divide means and deviations by 255");
}
