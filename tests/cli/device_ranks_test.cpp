#include <array>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "engine/buffer.hpp"
#include "engine/device_communicator.hpp"
#include "engine/runtime.hpp"
#include "tests/cli/launcher.hpp"
#include "tests/cli/program.hpp"
#include "tests/made_image_folder.hpp"

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
    ranks->all_gather(stream, x.data(), count, y.data());
    check(y);
    ranks->all_to_all(stream, x.data(), count, y.data());
    check(y);
    ranks->all_reduce_mean(stream, x.data(), count);
    check(x);
  }
}

/// Three ranks that train a network as small as they get, for pictures of 4x4.
struct DeviceRanks {
  TemporaryFolder folder;

  DeviceRanks() {
    for (const char* split : {"train", "test"})
      for (std::uint8_t c = 0; c < 2; ++c)
        for (std::uint8_t i = 0; i < 3; ++i) {
          std::array<std::uint8_t, 16> pixels;
          for (std::size_t p = 0; p < pixels.size(); ++p)
            pixels[p] = static_cast<std::uint8_t>(p * (c + 5) * (i + 7));
          write_in(folder / fmt::format("{}/{}/{}.png", split, c, i),
                   png_of(pixels.data(), 4, 4, 1));
        }
    write_file_atomically(
        folder / "made.yaml",
        "name: made\n"
        "data: {set: image-folder, directory: ., height: 4, width: 4, channels: 1, classes: 2}\n"
        "network: {architecture: resnet, depth: 8}\n"
        "noise: {mechanism: gaussian, construction_bound: 0.1}\n"
        "training: {steps: 2, batch: 3, learning_rate: 0.02, log_every: 1, evaluation_images: 1, "
        "evaluation_draws: 1}\n");
  }
  /// The model's bytes.
  std::string trained(const std::string& output, const std::string& variables,
                      const std::string& settings = "",
                      const std::string& device = "emulated") const {
    const Outcome outcome = RunningProgram(split_words("train made.yaml --device " + device +
                                                       " --output " + output + settings),
                                           folder.path(), variables + " OMP_NUM_THREADS=1",
                                           "mpirun --oversubscribe --allow-run-as-root -n 3")
                                .wait();
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    const bool host = outcome.errors.find("go through host memory") != std::string::npos;
    CHECK_MESSAGE(host == (variables.find("=host") != std::string::npos), outcome.errors);
    return text_of(folder / (output + "/model.safetensors"));
  }
  /// Column 4 of the last line of training.csv.
  double loss(const std::string& run) const {
    const std::string csv = text_of(folder / (run + "/training.csv"));
    const std::string last = csv.substr(csv.rfind('\n', csv.size() - 2) + 1);
    std::size_t cell = 0;
    for (int i = 0; i < 3; ++i) cell = last.find(',', cell) + 1;
    return std::stod(last.substr(cell));
  }
};

TEST_CASE("ranks sum gradients on their devices as in host memory, or in NCCL's own order") {
  if (!can_launch()) return;
  const DeviceRanks place;
  const std::string expected = place.trained("host", "PIXELDP_COLLECTIVES=host");
  // Like a GPU, the device has memory of its own, and does nothing before it must.
  CHECK(place.trained("device", "PIXELDP_EMULATOR_GUARD=1 PIXELDP_EMULATOR_DELAY=1") == expected);
  CHECK(place.trained("own", "A=1", " --set training.gradients=nccl") != expected);
  CHECK(place.loss("own") == doctest::Approx(place.loss("host")).epsilon(1e-5));
}

TEST_CASE("ranks whose kernels nvcc compiled sum gradients as in host memory") {
  // In the interpreter of PTX each process has a device of its own (tests/ptx/run_program.sh).
  const char* const libraries = std::getenv("LD_PRELOAD");
  if (!libraries || !std::strstr(libraries, "nccl_stand_in") || !can_launch()) return;
  const DeviceRanks place;
  CHECK(place.trained("device", "A=1", "", "cuda") ==
        place.trained("host", "PIXELDP_COLLECTIVES=host", "", "cuda"));
}

}  // namespace
}  // namespace pixeldp::tests
