#include "bench/sharing.hpp"

#include <doctest/doctest.h>

namespace pixeldp::bench {

TEST_CASE("a device at half speed holds up no rank: at least 95 % of the ideal") {
  CHECK(ranks_of_ideal({1, 1000, 0.5}, 0.0) == 1.0);
  CHECK(ranks_of_ideal({8, 10'000, 0.5}) > 0.95);
  CHECK(ranks_of_ideal({64, 10'000, 0.5}) > 0.95);
  CHECK(ranks_of_ideal({256, 50'000, 0.5}) > 0.95);
  CHECK(ranks_of_ideal({4096, 500'000, 0.5}) > 0.95);
  // Ten devices, the last at half speed, an image each: it is waited for.
  CHECK(ranks_of_ideal({10, 10, 1.0}, 0.0) == doctest::Approx(10.0 / 9.5 / 2.0));
}

TEST_CASE("an array of many tasks wastes less than 5 %, losses and restarts included") {
  constexpr double hour = 3600.0;
  const auto work = [](int devices, double hours) {
    return SharedWork{devices, static_cast<std::int64_t>(devices * hours * hour / 0.5), 0.5};
  };
  const ArrayConditions calm{.start = 0.0, .between = 1e18};
  CHECK(array_of_ideal(work(1, 1.0), 7, calm).of_ideal == doctest::Approx(1.0));
  // As many tasks as devices: those at half speed take twice as long.
  CHECK(array_of_ideal(work(20, 1.0), 20, calm).of_ideal == doctest::Approx(20 / 19.0 / 2));
  // A loss takes the window, and what it takes to start again.
  const ArrayOutcome lost = array_of_ideal(work(1, 100.0), 1);
  CHECK(lost.losses > 0);
  CHECK(lost.of_ideal < 1.0);
  CHECK(lost.of_ideal ==
        doctest::Approx(100.0 * hour /
                        (100.0 * hour + 10.0 + 311.0 * static_cast<double>(lost.losses)))
            .epsilon(1e-3));
  for (const int devices : {16, 256, 4096}) {
    CAPTURE(devices);
    const ArrayOutcome day = array_of_ideal(work(devices, 24.0), 64 * devices);
    CHECK(day.losses > devices);
    CHECK(day.of_ideal > 0.95);
    CHECK(day.in_use > 0.98);
  }
  CHECK(array_of_ideal(work(256, 8.0), 32 * 256).of_ideal > 0.95);
}

}  // namespace pixeldp::bench
