#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.hpp"
#include "kernels/draw_statistics.hpp"
#include "pixeldp/certificate_log.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/made_onnx.hpp"
#include "tests/reference/values.hpp"
#include "tests/text_of.hpp"

namespace pixeldp::tests {
namespace {

/// The devices whose kernels are to do what the processor does: the emulated one, and a GPU (or an
/// interpreter of its code) where there is one.
std::vector<std::string> other_devices() {
  std::vector<std::string> names = {"emulated"};
  const auto info = nlohmann::json::parse(run_program("info --json").output);
  if (!info.at("gpus").empty()) names.push_back("cuda");
  return names;
}

struct Workplace : MadeWorkplace {
  Workplace() : MadeWorkplace(2, 64, 8) {}
  void run(const std::string& arguments) const {
    CAPTURE(arguments);
    // Like a GPU, the emulated device has memory of its own, and does nothing before it must.
    const Outcome outcome =
        run_program(arguments, folder / "", "PIXELDP_EMULATOR_GUARD=1 PIXELDP_EMULATOR_DELAY=1");
    CAPTURE(outcome.errors);
    REQUIRE(outcome.status == 0);
  }
};

/// The largest difference of a parameter from `from`, in units of its largest change in `changed`.
double relative_difference(const SafetensorsFile& from, const SafetensorsFile& changed,
                           const SafetensorsFile& other, const std::string& name) {
  const auto values = [&](const SafetensorsFile& file) {
    return file.tensors.at(name).to_floats();
  };
  const auto a = values(from), b = values(changed), c = values(other);
  double change = 0.0, difference = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    change = std::max(change, std::abs(double{b[i]} - a[i]));
    difference = std::max(difference, std::abs(double{c[i]} - b[i]));
  }
  return difference / change;
}

TEST_CASE("every device trains the steps and certifies the images that the processor does") {
  const Workplace place;
  const std::string train =
      "train made.yaml --set training.batch=2 --set training.evaluation_images=1"
      " --set training.evaluation_draws=1 --set training.checkpoint_every=1";
  place.run(train + " --set training.steps=1 --output start");
  place.run(train + " --output cpu");
  place.run("certify cpu --images 0:3 --draws 20 --data " + (place.folder / "").string());
  const SafetensorsFile start = read_safetensors(place.folder / "start/model.safetensors");
  const SafetensorsFile cpu = read_safetensors(place.folder / "cpu/model.safetensors");
  const CertificateLog expected = read_certificate_log(place.folder / "cpu/certificates.jsonl");

  for (const std::string& device : other_devices()) {
    CAPTURE(device);
    place.run(train + " --device " + device + " --output " + device);
    const SafetensorsFile trained = read_safetensors(place.folder / device / "model.safetensors");
    // Gradients are sums of products of tf32, which has 11 significant bits.
    for (const auto& [name, tensor] : cpu.tensors) {
      CAPTURE(name);
      CHECK(relative_difference(start, cpu, trained, name) < 0x1p-9);
    }

    place.run("certify cpu --images 0:3 --draws 20 --micro-batch 32 --device " + device +
              " --output " + device + ".jsonl --data " + (place.folder / "").string());
    const CertificateLog log = read_certificate_log(place.folder / (device + ".jsonl"));
    REQUIRE(log.records.size() == expected.records.size());
    for (std::size_t i = 0; i < log.records.size(); ++i) {
      CHECK(log.records[i].statistics.votes == expected.records[i].statistics.votes);
      CHECK(log.records[i].prediction == expected.records[i].prediction);
      CHECK(log.records[i].radius == expected.records[i].radius);
    }
  }
}

TEST_CASE("every device trains and certifies a wide residual network on standardised images") {
  const Workplace place;
  const std::string train =
      "train made.yaml --set training.steps=1 --set training.batch=2 --set "
      "training.evaluation_images=1 --set training.evaluation_draws=1 --set "
      "'network={architecture: wide-resnet, depth: 10, width: 1, standardise: image}'";
  place.run(train + " --output cpu");
  const std::string data = " --data " + (place.folder / "").string();
  place.run("certify cpu --images 0:1 --draws 4 --scores softmax --bound hoeffding" + data);
  const SafetensorsFile cpu = read_safetensors(place.folder / "cpu/model.safetensors");
  const CertificateRecord expected =
      read_certificate_log(place.folder / "cpu/certificates.jsonl").records[0];
  const auto count = [&](const std::string& device) {
    const std::string log = device + "-votes.jsonl";
    place.run("certify cpu --images 0:2 --draws 6 --micro-batch 6 --device " + device +
              " --output " + log + data);
    return read_certificate_log(place.folder / log);
  };
  const CertificateLog expected_counts = count("cpu");

  for (const std::string& device : other_devices()) {
    CAPTURE(device);
    place.run(train + " --device " + device + " --output " + device);
    const SafetensorsFile trained = read_safetensors(place.folder / device / "model.safetensors");
    for (const auto& [name, tensor] : cpu.tensors) {
      CAPTURE(name);
      const auto a = tensor.to_floats(), b = trained.tensors.at(name).to_floats();
      double largest = 0.0, difference = 0.0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        largest = std::max(largest, std::abs(double{a[i]}));
        difference = std::max(difference, std::abs(double{a[i]} - b[i]));
      }
      CHECK(difference <= 2e-3 * largest);  // gradients of tf32, learning rate 0.02
    }
    place.run(
        "certify cpu --images 0:1 --draws 4 --scores softmax --bound hoeffding "
        "--micro-batch 4 --device " +
        device + " --output " + device + ".jsonl" + data);
    const CertificateRecord record =
        read_certificate_log(place.folder / (device + ".jsonl")).records[0];
    for (std::size_t c = 0; c < 10; ++c) {
      const auto score = [&](const CertificateRecord& r) {
        return static_cast<double>(r.statistics.sums[c]) * kernels::score_unit / 4;
      };
      CHECK(std::abs(score(record) - score(expected)) < 5e-3);  // bf16 after the noise
    }

    const CertificateLog counted = count(device);
    REQUIRE(counted.records.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      const CertificateRecord &a = expected_counts.records[i], &b = counted.records[i];
      // All draws agree, so that none of them is near a tie that rounding could turn.
      REQUIRE(std::ranges::count(a.statistics.votes, 6u) == 1);
      CHECK(b.statistics.votes == a.statistics.votes);
      CHECK(b.prediction == a.prediction);
      CHECK(b.radius == a.radius);
    }
  }
}

/// A trained network with scales for int8, and what certify writes of it.
struct Int8Workplace : Workplace {
  const std::string data = " --data " + (folder / "").string();

  explicit Int8Workplace(const std::string& network) {
    run("train made.yaml --output run --set training.steps=1 --set training.batch=2 --set "
        "training.evaluation_images=1 --set training.evaluation_draws=1 --set "
        "'network={architecture: " +
        network + "}'");
    run("quantise run --images 4" + data);
  }
  std::string certify(const std::string& options, const std::string& log) const {
    run("certify run --precision int8 --scores softmax " + options + " --output " + log + data);
    return text_of(folder / log);
  }
  nlohmann::json predictions(const std::string& options) const {
    const Outcome outcome =
        run_program("predict run test:5 --precision int8 --json " + options + data, folder / "");
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    return nlohmann::json::parse(outcome.output).at("predictions");
  }
};

TEST_CASE("every device writes the processor's log in int8, byte for byte") {
  const Int8Workplace place("mnist-cnn");
  const std::string options = "--images 0:3 --draws 12 ";
  const std::string expected = place.certify(options, "cpu");
  CHECK(expected.find("\"precision\":\"int8\"") != std::string::npos);
  for (const std::string& device : other_devices()) {
    CAPTURE(device);
    const std::string on = " --device " + device;
    CHECK(place.certify(options + on, device) == expected);
    CHECK(place.certify(options + on + " --micro-batch 5", device + "-by-fives") == expected);
    // What one began the other goes on with, and draws again; they predict the same.
    place.certify("--images 0:1 --draws 12", device + "-after-cpu");
    CHECK(place.certify(options + on + " --resume", device + "-after-cpu") == expected);
    place.run("verify cpu --run run --fraction 1" + on + place.data);
    CHECK(place.predictions("--draws 7" + on) == place.predictions("--draws 7"));
  }
}

TEST_CASE("every device makes the processor's noise on a lattice") {
  const Int8Workplace place("mnist-cnn");
  const std::string sound = "--images 0:2 --draws 7 --sound ";
  const std::string expected = place.certify(sound, "cpu");
  CHECK(expected.find("\"lattice_step\":") != std::string::npos);
  const auto votes = [&](const std::string& options, const std::string& log) {
    place.run("certify run --sound --images 0:2 --draws 3 " + options + " --output " + log +
              place.data);
    std::vector<std::vector<std::uint64_t>> all;
    for (const CertificateRecord& record : read_certificate_log(place.folder / log).records)
      all.push_back(record.statistics.votes);
    return all;
  };
  const auto in_fp32 = votes("", "cpu-fp32");
  for (const std::string& device : other_devices()) {
    CAPTURE(device);
    const std::string on = " --device " + device;
    // In int8 the log is the processor's, byte for byte, whoever began it; others draw it again.
    CHECK(place.certify(sound + on, device) == expected);
    CHECK(place.certify(sound + on + " --micro-batch 5", device + "-by-fives") == expected);
    place.certify("--images 0:1 --draws 7 --sound", device + "-after-cpu");
    CHECK(place.certify(sound + on + " --resume", device + "-after-cpu") == expected);
    place.run("verify cpu --run run --fraction 1" + on + place.data);
    CHECK(place.predictions("--draws 3 --sound" + on) == place.predictions("--draws 3 --sound"));
    // In bf16 the noise is a kernel of its own; no vote is near a tie that rounding could turn.
    CHECK(votes(on, device + "-bf16") == in_fp32);
    place.run("verify " + device + "-bf16 --run run --fraction 1" + on + place.data);
    place.run(
        "attack run --attack fgsm --draws 2 --check-draws 10 --judge-draws 10 --images :1 "
        "--size 0.5 --sound --output " +
        device + "-attack" + on + place.data);
    CHECK(text_of(place.folder / (device + "-attack")).find("lattice_step") != std::string::npos);
  }
}

TEST_CASE("every device makes Laplace noise on a lattice, in the image too") {
  const Workplace place;
  const std::string data = " --data " + (place.folder / "").string();
  place.run(
      "train made.yaml --output run --set training.steps=1 --set training.batch=2 --set "
      "training.evaluation_images=1 --set training.evaluation_draws=1 --set noise.after_layers=0 "
      "--set noise.mechanism=laplace --set noise.attack_norm=1 --set sensitivity.control=none");
  place.run("quantise run --images 4" + data);
  const auto certify = [&](const std::string& options, const std::string& log) {
    place.run("certify run --sound --precision int8 --images 0:2 --draws 12 " + options +
              " --output " + log + data);
    return text_of(place.folder / log);
  };
  const std::string expected = certify("", "cpu");
  for (const std::string& device : other_devices())
    CHECK(certify("--device " + device, device) == expected);
}

TEST_CASE("every device writes that of residual networks, too") {
  for (const std::string network : {"wide-resnet, depth: 10, width: 1", "resnet, depth: 8"}) {
    CAPTURE(network);
    const Int8Workplace place(network);
    const std::string options = "--images 0:1 --draws 3 ";
    const std::string expected = place.certify(options, "cpu");
    for (const std::string& device : other_devices()) {
      CAPTURE(device);
      CHECK(place.certify(options + "--device " + device + " --micro-batch 2", device) == expected);
    }
  }
}

TEST_CASE("every device certifies an auto-encoder before a network that stays as it is") {
  const Workplace place;
  const std::string data = " --data " + (place.folder / "").string();
  write_file_atomically(
      place.folder / "net.onnx",
      as_bytes(MadeOnnx()
                   .input("x", {1, 1, 28, 28})
                   .output("y")
                   .initializer(MadeOnnx::tensor("w", {8, 1, 5, 5}, reference::reals(200, 1)))
                   .initializer(MadeOnnx::tensor("v", {8, 10}, reference::reals(80, 2)))
                   .node("Conv", {"x", "w"}, {"1"}, {MadeOnnx::attribute("strides", {3, 3})})
                   .node("Relu", {"1"}, {"2"})
                   .node("GlobalAveragePool", {"2"}, {"3"})
                   .node("Flatten", {"3"}, {"4"})
                   .node("MatMul", {"4", "v"}, {"y"})
                   .bytes()));
  place.run("import net.onnx --dataset mnist --output plain");
  place.run(
      "train made.yaml --output run --set training.steps=2 --set training.batch=2 --set "
      "training.evaluation_images=1 --set training.evaluation_draws=1 --set "
      "training.reconstruction_steps=1 --set 'network={architecture: autoencoder, classifier: "
      "plain, encoder: [{kernel: 4, filters: 8, stride: 2}, {kernel: 3, filters: 8}]}'");
  place.run("quantise run --images 4" + data);
  const auto certify = [&](const std::string& options, const std::string& log) {
    place.run("certify run --scores softmax --images 0:2 --draws 4 --bound hoeffding " + options +
              " --output " + log + data);
    return place.folder / log;
  };
  const CertificateLog expected = read_certificate_log(certify("", "cpu"));
  const std::string in_int8 = text_of(certify("--precision int8", "cpu-int8"));
  for (const std::string& device : other_devices()) {
    CAPTURE(device);
    const std::string on = "--device " + device;
    CHECK(text_of(certify("--precision int8 " + on, device + "-int8")) == in_int8);
    const CertificateLog log = read_certificate_log(certify(on, device));
    REQUIRE(log.records.size() == 2);
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t c = 0; c < 10; ++c) {
        const auto score = [&](const CertificateLog& of) {
          return static_cast<double>(of.records[i].statistics.sums[c]) * kernels::score_unit / 4;
        };
        CHECK(std::abs(score(log) - score(expected)) < 5e-3);  // bf16 after the noise
      }
  }
}

TEST_CASE("a GPU that is not there is said before anything is written") {
  const Workplace place;
  const Outcome outcome =
      run_program("train made.yaml --output x --device cuda:17", place.folder / "");
  CHECK(outcome.status != 0);
  const auto says = [&](const char* text) {
    return outcome.errors.find(text) != std::string::npos;
  };
  CHECK((says("driver") || says("there is no device cuda:17") || says("built without it")));
  CHECK(!std::filesystem::exists(place.folder / "x"));
}

}  // namespace
}  // namespace pixeldp::tests
