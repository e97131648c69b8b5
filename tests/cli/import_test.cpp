#include <nlohmann/json.hpp>

#include "engine/io/safetensors.hpp"
#include "tests/cli/program.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/made_mnist.hpp"

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;

namespace {

/// Made-up images, and weights of a small ResNet for them under PyTorch's names.
struct Workplace {
  TemporaryFolder folder;
  Workplace() {
    write_made_mnist(folder.path());
    layers::Network net = layers::make_network({.architecture = "resnet", .depth = 8}, 7);
    unsettle_normalisations(net);
    SafetensorsFile file;
    for (const layers::NamedTensor* tensor : net.saved_tensors())
      file.tensors["module." + tensor->name] =
          SafeTensor::from_floats(tensor->shape, tensor->value.values());
    write_safetensors(folder / "foreign.safetensors", file);
  }
  Outcome run(const std::string& arguments) const { return run_program(arguments, folder.path()); }
};

const std::string import_foreign =
    "import foreign.safetensors --architecture resnet --depth 8 --image-height 28 --image-width 28 "
    "--dataset mnist --mean 0.13 --std 0.31 ";

}  // namespace

TEST_CASE("foreign weights are imported, evaluated and never certified") {
  const Workplace place;
  const Outcome imported = place.run(import_foreign + "--output run --json");
  REQUIRE_MESSAGE(imported.status == 0, imported.errors);
  CHECK(json::parse(imported.output)["name"] == "foreign");
  CHECK(json::parse(imported.output)["classes"] == 10);
  const std::string data = " --data '" + place.folder.path().string() + "'";
  const Outcome evaluated = place.run("certify run --draws 50 --json" + data);
  REQUIRE_MESSAGE(evaluated.status == 0, evaluated.errors);
  CHECK(json::parse(evaluated.output)["new_draws"] == 32);  // without noise one draw tells all
  CHECK(json::parse(evaluated.output)["mean_radius"] == 0.0);
  CHECK(place.run("predict run test:3" + data).status == 0);

  const std::string model = text_of(place.folder / "run" / "model.safetensors");
  const Outcome again = place.run(import_foreign + "--output run");
  CHECK(again.status == 1);
  CHECK(again.errors.find("--output") != std::string::npos);
  CHECK(text_of(place.folder / "run" / "model.safetensors") == model);
}

TEST_CASE("a head of another number of classes than the data set's is refused at import") {
  const Workplace place;
  for (const std::int64_t classes : {5, 100}) {
    layers::Network net =
        layers::make_network({.architecture = "resnet", .classes = classes, .depth = 8}, 7);
    SafetensorsFile file;
    for (const layers::NamedTensor* tensor : net.saved_tensors())
      file.tensors[tensor->name] = SafeTensor::from_floats(tensor->shape, tensor->value.values());
    write_safetensors(place.folder / "foreign.safetensors", file);
    const Outcome outcome = place.run(import_foreign + "--output x");
    CHECK(outcome.status == 1);
    CHECK_MESSAGE(outcome.errors.find("data set mnist has 10 classes") != std::string::npos,
                  outcome.errors);
    CHECK(outcome.errors.find("have " + std::to_string(classes)) != std::string::npos);
    CHECK(!std::filesystem::exists(place.folder / "x"));
  }
}

TEST_CASE("an import that cannot be is refused by name, and writes nothing") {
  const Workplace place;
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
  instead("nowhere.safetensors --architecture resnet --depth 8 --dataset mnist", 1, "nowhere");
  instead("foreign.safetensors --architecture resnet --depth 14 --dataset mnist", 1, "layer1.1.");
  instead("foreign.safetensors --architecture resnet --depth 9 --dataset mnist", 2, "depth 9");
  instead("foreign.safetensors --architecture vgg --dataset mnist", 2, "wide-resnet");
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
