#include "pixeldp/report/agreement.hpp"

#include <fstream>
#include <map>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "engine/io/safetensors.hpp"
#include "pixeldp/report/run.hpp"
#include "tests/pixeldp/made_run.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::report {

TEST_CASE("Files of a run that disagree are refused, with the keys and what each says") {
  TemporaryFolder folder;
  const std::filesystem::path run = folder / "run";
  tests::write_made_run(run, {.kind = CertificateKind::exact, .images = 2});
  const auto config = [&](const std::string& noise, const std::string& rest = "") {
    std::ofstream(run / "config.yaml")
        << "name: made\nnoise: {mechanism: gaussian, " << noise << "}\n"
        << rest;
  };
  const auto model = [&](const std::map<std::string, std::string>& more) {
    SafetensorsFile file;
    file.metadata = {{"name", "made"},          {"dataset", "fashion-mnist"},
                     {"pixel_shift", "-0.5"},   {"architecture", "mnist-cnn"},
                     {"mechanism", "gaussian"}, {"construction_bound", "0.1"},
                     {"sensitivity", "1"},      {"noise_before_activation", "true"}};
    for (const auto& [key, value] : more) file.metadata[key] = value;
    write_safetensors(run / "model.safetensors", file);
  };
  config("construction_bound: 0.10, epsilon: 1, delta: 0.05, assumed_sensitivity: 1",
         "data: {set: fashion-mnist, pixel_shift: -0.50}\nnetwork: {standardise: none}\n");
  CHECK_NOTHROW(load_run(run));
  model({});
  CHECK_NOTHROW(load_run(run));

  config("construction_bound: 1.0, epsilon: 0.5");
  CHECK_FAILS(load_run(run),
              "noise.construction_bound: 1.0 in config.yaml, 0.1 in model.safetensors, 0.1 in "
              "certificates.jsonl\n  noise.epsilon: 0.5 in config.yaml, 1 in certificates.jsonl");
  for (const auto& [noise, rest, key] :
       std::vector<std::tuple<const char*, const char*, const char*>>{
           {"delta: 0.01", "", "noise.delta: 0.01"},
           {"attack_norm: inf", "", "noise.attack_norm: inf"},
           {"before_activation: false", "", "noise.before_activation: false"},
           {"construction_bound: 0.1, epsilon: 1, delta: 0.05, assumed_sensitivity: 2", "",
            "noise scale: "},
           {"delta: 0.05", "data: {set: mnist}\n", "data.set: mnist"},
           {"delta: 0.05", "data: {pixel_shift: 0}\n", "data.pixel_shift: 0"},
           {"delta: 0.05", "network: {architecture: resnet}\n", "network.architecture: resnet"},
           {"delta: 0.05", "network: {standardise: image}\n", "network.standardise: image"}}) {
    config(noise, rest);
    CHECK_FAILS(load_run(run), key);
  }
  std::ofstream(run / "config.yaml") << "noise: {mechanism: laplace}\n";
  CHECK_FAILS(load_run(run), "noise.mechanism: laplace in config.yaml, gaussian in model");
  std::filesystem::remove(run / "config.yaml");
  CHECK_NOTHROW(load_run(run));
  model({{"construction_bound", "0.2"}});
  CHECK_FAILS(load_run(run), "noise.construction_bound: 0.2 in model.safetensors, 0.1 in");
  // A sensitivity below the model's makes radii too large; above it, they are only smaller.
  model({{"sensitivity", "1.25"}});
  CHECK_FAILS(load_run(run),
              "sensitivity: 1.25 in model.safetensors, only 1 in certificates.jsonl");
  model({{"sensitivity", "0.75"}});
  CHECK_NOTHROW(load_run(run));
  std::ofstream(run / "config.yaml") << "noise: [\n";
  CHECK_FAILS(load_run(run), "config.yaml:");
}

}  // namespace pixeldp::report
