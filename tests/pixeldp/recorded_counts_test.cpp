#include <algorithm>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "pixeldp/quantisation.hpp"
#include "pixeldp/sampler.hpp"
#include "tests/layers/made_network.hpp"

using namespace pixeldp;
using kernels::Precision;

namespace {

/// Votes of two images, and all sums and squares mixed into one word (FNV-1a).
struct Counts {
  std::vector<std::uint64_t> votes;
  std::uint64_t mixed = 0;
  bool operator==(const Counts&) const = default;
};

Counts count(const layers::Network& network, Precision precision) {
  const kernels::NetworkPlan plan = lower(Stream(), network);
  Quantisation scales;
  for (const kernels::InferenceStep& step : plan.body.steps)
    if (step.multiplies()) scales.scales[step.name] = 0.03f;
  // In fp32 as before there was another algorithm; in int8 as it comes, for the sums are exact.
  const bool fp32 = precision == Precision::fp32;
  Sampler sampler(
      Stream(), network, 0,
      {precision, &scales, fp32 ? std::optional(kernels::Algorithm::direct) : std::nullopt});
  Counts counts{.votes = {}, .mixed = 0xcbf29ce484222325};
  sampler.run(
      2, {.seed = 11, .count = 60},
      [&](std::int64_t image, float* pixels) {
        const auto values = reference::reals(plan.image_size(), 500 + image);
        std::ranges::copy(values, pixels);
        return static_cast<std::uint32_t>(image);
      },
      [&](std::int64_t, const ScoreStatistics& s) {
        counts.votes.insert(counts.votes.end(), s.votes.begin(), s.votes.end());
        for (const auto* words : {&s.sums, &s.squares})
          for (const std::uint64_t word : *words)
            counts.mixed = (counts.mixed ^ word) * 0x100000001b3;
        return true;
      });
  return counts;
}

}  // namespace

TEST_CASE("the integers of seeded networks are those that were recorded once, on any processor") {
  struct Recorded {
    layers::NetworkSpec spec;
    Precision precision;
    Counts counts;
  };
  const layers::NetworkSpec cnn{.height = 8, .width = 8};
  const std::vector<Recorded> all = {
      {cnn,
       Precision::fp32,
       {{1, 0, 0, 0, 0, 0, 0, 11, 44, 4, 0, 0, 0, 1, 0, 0, 0, 4, 51, 4}, 0x518a37d0ad7e1c8f}},
      {cnn,
       Precision::int8,
       {{2, 0, 0, 0, 0, 0, 0, 11, 44, 3, 0, 0, 0, 1, 0, 0, 0, 4, 51, 4}, 0xe7f450ac382d1c75}},
      {tests::small_resnet_spec("wide-resnet"),
       Precision::fp32,
       {{0, 0, 0, 0, 0, 0, 36, 0, 0, 24, 0, 0, 0, 0, 0, 0, 25, 0, 0, 35}, 0x80584c0749a50eb3}},
      {tests::small_resnet_spec("wide-resnet"),
       Precision::int8,
       {{0, 0, 0, 0, 0, 0, 56, 0, 0, 4, 0, 0, 0, 0, 0, 0, 38, 0, 0, 22}, 0xf71fb2794de99b2b}},
      {tests::small_resnet_spec("resnet", 0),
       Precision::fp32,
       {{0, 0, 0, 0, 0, 0, 3, 0, 0, 57, 0, 0, 0, 0, 0, 0, 2, 5, 0, 53}, 0xdcebdd738733e320}},
      {tests::small_resnet_spec("resnet", 0),
       Precision::int8,
       {{0, 0, 0, 0, 0, 0, 7, 0, 0, 53, 0, 0, 0, 0, 0, 0, 3, 4, 0, 53}, 0xbb8265b5e47d5ce2}}};
  for (const Recorded& recorded : all) {
    CAPTURE(recorded.spec.architecture);
    CAPTURE(static_cast<int>(recorded.precision));
    layers::Network network = layers::make_network(recorded.spec, 5);
    tests::unsettle_normalisations(network);
    network.noise->distribution = kernels::NoiseDistribution::gaussian;
    network.noise->scale = 0.7;
    const Counts counts = count(network, recorded.precision);
    CHECK(counts.mixed == recorded.counts.mixed);
    CHECK(counts.votes == recorded.counts.votes);
  }
}
