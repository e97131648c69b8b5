#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "engine/buffer.hpp"
#include "engine/device_communicator.hpp"
#include "engine/runtime.hpp"
#include "tests/cli/launcher.hpp"
#include "tests/cli/made_workplace.hpp"

/// Ranks that sum on their devices. The emulated one has a stand-in for NCCL; of a GPU there is
/// only one here, and so one rank.
namespace pixeldp::tests {
namespace {

TEST_CASE("one rank does all collectives on every device") {
  std::vector<Device> devices = {Device{DeviceKind::emulated}};
  const auto info = nlohmann::json::parse(run_program("info --json").output);
  if (!info.at("gpus").empty()) devices.push_back(Device{DeviceKind::cuda});
  for (const Device device : devices) {
    CAPTURE(device.name());
    const auto ranks = join_devices(device, Communicator::alone(), false);
    if (!ranks) {
      REQUIRE(device.kind == DeviceKind::cuda);
      MESSAGE("skipped: NCCL is not here");
      continue;
    }
    const Stream stream(device);
    constexpr std::int64_t count = 100'003;
    std::vector<float> values(count), found(count);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1f * static_cast<float>(i);
    Buffer<float> x(device, count), y(device, count);
    const auto check = [&](const Buffer<float>& result) {
      result.download(stream, found);
      ranks->check();
      CHECK(found == values);
      y.zero(stream);
    };
    x.upload(stream, std::span<const float>(values));
    ranks->broadcast(stream, x.data(), count, 0);
    check(x);
    ranks->all_gather(stream, x.data(), count, y.data());
    check(y);
    ranks->all_to_all(stream, x.data(), count, y.data());
    check(y);
    ranks->all_reduce_mean(stream, x.data(), count);
    check(x);
  }
}

struct DeviceRanks : MadeWorkplace {
  const std::string train =
      "train made.yaml --set training.batch=6 --set training.evaluation_images=1 "
      "--set training.evaluation_draws=1 --set training.log_every=1 ";

  DeviceRanks() : MadeWorkplace(2, 64, 8) {}
  Outcome run(int ranks, const std::string& arguments, const std::string& variables) const {
    return RunningProgram(split_words(train + arguments), folder.path(),
                          variables + " OMP_NUM_THREADS=1",
                          "mpirun --oversubscribe --allow-run-as-root -n " + std::to_string(ranks))
        .wait();
  }
  /// The model's bytes.
  std::string trained(int ranks, const std::string& output, const std::string& variables,
                      const std::string& arguments = "") const {
    const Outcome outcome =
        run(ranks, "--device emulated --output " + output + " " + arguments, variables);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    const bool host = outcome.errors.find("go through host memory") != std::string::npos;
    CHECK_MESSAGE(host == (variables.find("=host") != std::string::npos), outcome.errors);
    return text_of(folder / (output + "/model.safetensors"));
  }
};

TEST_CASE("ranks sum gradients on their devices as in host memory, to the last bit") {
  if (!can_launch()) return;
  const DeviceRanks place;
  // Like a GPU, the device has memory of its own, and does nothing before it must.
  const std::string on_device = "PIXELDP_EMULATOR_GUARD=1 PIXELDP_EMULATOR_DELAY=1";
  const std::string expected = place.trained(2, "host", "PIXELDP_COLLECTIVES=host");
  CHECK(place.trained(2, "device", on_device) == expected);
}

TEST_CASE("ranks may leave the order of sums to NCCL") {
  if (!can_launch()) return;
  const DeviceRanks place;
  const std::string nccl = "--set training.gradients=nccl ";
  const auto loss = [&](const std::string& run) {
    const std::string csv = text_of(place.folder / (run + "/training.csv"));
    const std::string last = csv.substr(csv.rfind('\n', csv.size() - 2) + 1);
    std::size_t cell = 0;
    for (int i = 0; i < 3; ++i) cell = last.find(',', cell) + 1;
    return std::stod(last.substr(cell));
  };
  const std::string ordered = place.trained(3, "ordered", "A=1");
  CHECK(place.trained(3, "own", "A=1", nccl) != ordered);
  CHECK(loss("own") == doctest::Approx(loss("ordered")).epsilon(1e-5));

  const Outcome without =
      place.run(2, nccl + "--device emulated --output x", "PIXELDP_COLLECTIVES=host");
  CHECK(without.status == 1);
  CHECK_MESSAGE(
      without.errors.find("cannot sum among themselves: rank 0 (on ") != std::string::npos,
      without.errors);
  const Outcome processor = place.run(2, nccl + "--device cpu --output x", "A=1");
  CHECK(processor.status == 2);
  CHECK_MESSAGE(
      processor.errors.find("training.gradients: nccl is for ranks on GPUs") != std::string::npos,
      processor.errors);
}

}  // namespace
}  // namespace pixeldp::tests
