#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"
#include "pixeldp/conditions.hpp"
#include "tests/margins/exact.hpp"

/// Printed radii against integers of any length.

namespace pixeldp::margins {
namespace {

void check_printed(double radius) {
  const std::string text = format_radius_down(radius);
  CAPTURE(text);
  REQUIRE(exact::compare(text, radius) <= 0);
  // As the log's reader takes it.
  REQUIRE(nlohmann::json::parse(text).get<double>() == radius);
}

TEST_CASE("printed radii are not above the doubles, and are read back as these") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  check_printed(0.0);
  check_printed(std::numeric_limits<double>::max());
  for (const double edge : {std::numeric_limits<double>::denorm_min(),
                            std::numeric_limits<double>::min(), 0x1p-1040, 1e-315})
    for (const double radius : {edge, std::nextafter(edge, infinity), 3 * edge})
      check_printed(radius);
  check_printed(std::nextafter(std::numeric_limits<double>::min(), 0.0));
  for (int tens = -25; tens <= 25; ++tens) {
    const double power = std::stod("1e" + std::to_string(tens));
    for (const double factor : {1.0, 2.0, 5.0, 9.9})
      for (const double radius : {std::nextafter(factor * power, 0.0), factor * power,
                                  std::nextafter(factor * power, infinity)})
        check_printed(radius);
  }
  for (int twos = -80; twos <= 80; ++twos)
    for (const double radius : {std::nextafter(std::ldexp(1.0, twos), 0.0), std::ldexp(1.0, twos)})
      check_printed(radius);
  std::mt19937_64 random(15);
  for (int i = 0; i < 100'000; ++i)
    check_printed(std::ldexp(static_cast<double>(random() >> 11), -51 - i % 12));
  for (int i = 0; i < 200; ++i)
    if (const double radius = std::abs(std::bit_cast<double>(random())); std::isfinite(radius))
      check_printed(radius);
}

TEST_CASE("printed radii have no digit more than they need") {
  std::mt19937_64 random(16);
  for (int i = 0; i < 1000; ++i) {
    const double radius = static_cast<double>(random() >> 11) * 0x1p-53;
    std::string text = format_radius_down(radius);
    text.pop_back();
    CHECK(std::stod(text) != radius);
  }
}

TEST_CASE("numbers of few digits are printed on the side that is asked for") {
  std::mt19937_64 random(17);
  std::vector<double> values = {0.1,     0.3,         1.0 / 3,  0.999999,
                                9.99999, 9.999995e-7, 123456.5, 1e-300};
  for (int i = 0; i < 2000; ++i)
    values.push_back(std::ldexp(static_cast<double>(random() >> 11), -53 + i % 40 - 30));
  for (const double value : values)
    for (const int digits : {3, 6}) {
      CAPTURE(value);
      CHECK(exact::compare(rounded(value, true, digits), value) <= 0);
      CHECK(exact::compare(rounded(value, false, digits), value) >= 0);
    }
}

}  // namespace
}  // namespace pixeldp::margins
