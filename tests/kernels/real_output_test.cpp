#include "kernels/real_output.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/draw_statistics.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::kernels;

TEST_CASE("an output is where its formula puts it") {
  for (const float z : {-90.0f, -3.0f, -0.4f, 0.0f, 0.3f, 2.0f, 90.0f}) {
    CHECK(place_of(OutputKind::sigmoid, z) ==
          doctest::Approx(1.0 / (1.0 + std::exp(-double{z}))).epsilon(1e-6));
    CHECK(place_of(OutputKind::unbounded, z) == 0.5 + double{z});
    CHECK(place_of(OutputKind::truncated, z) == std::clamp(0.5 + double{z}, 0.0, 1.0));
    CHECK(place_of(OutputKind::sigmoid, z) + place_of(OutputKind::sigmoid, -z) ==
          doctest::Approx(1.0).epsilon(1e-15));
  }
}

TEST_CASE("totals are what their definition says") {
  // One feature of weight 1: z is the feature. Truncated to [-2, 6]: output -2 + 8 (1/2 + z).
  const RealOutput output{OutputKind::truncated, -2.0, 6.0};
  const std::vector<float> features = {-0.5f, -0.25f, 0.0f, 0.25f, 0.5f, 3.0f, -7.0f, 0.0f};
  const std::vector<std::int64_t> images = {0, 0, 0, 0, 0, 1, 1, -1};
  const float weight = 1.0f;
  std::vector<OutputTotals> totals(2);
  output_statistics(Stream(), {8, 1, output}, features.data(), &weight, nullptr, images.data(),
                    totals.data());
  // Outputs -2, 0, 2, 4, 6 of image 0; 6 and -2 of image 1; the last row counts nowhere.
  const double unit = 1.0 / score_unit;
  CHECK(totals[0].positive == static_cast<std::uint64_t>(unit * 1 / 3) +
                                  static_cast<std::uint64_t>(std::llrint(unit * 2 / 3)) +
                                  static_cast<std::uint64_t>(unit));
  CHECK(totals[0].negative == static_cast<std::uint64_t>(unit));
  CHECK(totals[1].positive == static_cast<std::uint64_t>(unit));
  CHECK(totals[1].positive_squares == static_cast<std::uint64_t>(unit));
  CHECK(totals[1].negative_squares == static_cast<std::uint64_t>(unit));
  for (const int step : {0, 16, 32, 48, 64})
    CHECK(totals[0].counts[static_cast<std::size_t>(step)] == 1);
  CHECK(totals[1].counts[0] == 1);
  CHECK(totals[1].counts[64] == 1);
  CHECK(std::accumulate(totals[0].counts.begin(), totals[0].counts.end(), std::uint64_t{0}) == 5);

  const float bad = std::nanf("");
  CHECK_FAILS(output_statistics(Stream(), {1, 1, output}, &bad, &weight, nullptr, images.data(),
                                totals.data()),
              "row 0 of 1");
  CHECK_FAILS(output_statistics(Stream(), {-1, 1, output}, &bad, &weight, nullptr, images.data(),
                                totals.data()),
              "-1 rows");
  CHECK_FAILS(output_statistics(Stream(Device::parse("emulated")), {1, 1, output}, features.data(),
                                &weight, nullptr, images.data(), totals.data()),
              "regression networks are for processors");
}

TEST_CASE("the squared error's gradient is that of finite differences") {
  const std::vector<float> targets = {-1.0f, 4.0f, 5.5f};
  for (const OutputKind kind : output_kinds) {
    CAPTURE(name(kind));
    const RealOutput output{kind, -2.0, 6.0};
    std::vector<float> z = {-0.3f, 0.75f, 0.2f}, gradient(3), ignored(3);
    const double loss =
        squared_error(Stream(), 3, output, z.data(), targets.data(), gradient.data()).loss;
    CHECK(loss > 0.0);
    for (std::size_t i = 0; i < z.size(); ++i) {
      constexpr float step = 0x1p-8f;
      std::vector<float> up = z, down = z;
      up[i] += step, down[i] -= step;
      const double difference =
          squared_error(Stream(), 3, output, up.data(), targets.data(), ignored.data()).loss -
          squared_error(Stream(), 3, output, down.data(), targets.data(), ignored.data()).loss;
      CHECK(gradient[i] == doctest::Approx(difference / (2 * step)).epsilon(1e-3));
    }
    squared_error(Stream(), 3, output, z.data(), targets.data(), z.data());
    CHECK(z == gradient);
  }
}
