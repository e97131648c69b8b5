#include "kernels/arch.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "kernels/device_plan.hpp"
#include "kernels/emulator/settings.hpp"
#include "pixeldp/sampler.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;

namespace {

/// Votes, sums and squares of one image.
std::vector<std::uint64_t> counts(const layers::NetworkSpec& spec, std::uint32_t draws) {
  layers::Network net = layers::make_network(spec, 5);
  tests::unsettle_normalisations(net);
  net.noise->distribution = kernels::NoiseDistribution::gaussian;
  net.noise->scale = 0.7;
  std::vector<std::uint64_t> all;
  Sampler(Stream(Device{DeviceKind::emulated}), net, 8)
      .run(
          1, {.seed = 3, .count = draws},
          [&](std::int64_t, float* pixels) {
            const auto values = reference::reals(spec.height * spec.width * spec.channels, 100);
            std::ranges::copy(values, pixels);
            return 7u;
          },
          [&](std::int64_t, const ScoreStatistics& statistics) {
            for (const auto* part : {&statistics.votes, &statistics.sums, &statistics.squares})
              all.insert(all.end(), part->begin(), part->end());
            return true;
          });
  return all;
}

}  // namespace

TEST_CASE("a certification counts the same whatever GPU is emulated") {
  // One kernel from noise to votes; layer by layer; and with noise inside a convolution.
  const layers::NetworkSpec wide{.height = 4, .width = 28}, small{.height = 8, .width = 8};
  REQUIRE(kernels::prepare_multi_draw(Stream(Device{DeviceKind::emulated}),
                                      lower(Stream(), layers::make_network(wide, 5))));
  for (const auto& [spec, draws] : {std::pair<layers::NetworkSpec, std::uint32_t>{wide, 17},
                                    {small, 8},
                                    {tests::small_resnet_spec("wide-resnet"), 5}}) {
    CAPTURE(spec.architecture);
    CAPTURE(spec.height);
    std::vector<std::uint64_t> first;
    for (const kernels::Arch& arch : {kernels::sm_80, kernels::sm_86, kernels::sm_90}) {
      CAPTURE(arch.name());
      const emulator::WithSettings with(arch);
      const std::vector<std::uint64_t> found = counts(spec, draws);
      CHECK(found.size() == 30);
      if (first.empty()) first = found;
      CHECK(found == first);
    }
  }
}
