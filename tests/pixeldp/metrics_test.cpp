#include "pixeldp/metrics.hpp"

#include <cmath>

#include <doctest/doctest.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

std::vector<CertificateRecord> records_of(
    std::initializer_list<std::pair<bool, double>> correct_and_radius) {
  std::vector<CertificateRecord> records;
  for (const auto& [correct, radius] : correct_and_radius) {
    CertificateRecord record;
    record.image = static_cast<std::int64_t>(records.size());
    record.label = 3;
    record.prediction = correct ? 3 : 4;
    record.radius = radius;
    records.push_back(record);
  }
  return records;
}

// Three of four images with a radius are right; one right image abstains.
const std::vector<CertificateRecord> five =
    records_of({{true, 0.5}, {true, 0.25}, {false, 0.25}, {true, 0.125}, {true, 0.0}});

}  // namespace

TEST_CASE("Metrics of five images, counted by hand") {
  CHECK(accuracy(five) == 4.0 / 5);
  CHECK(certified_accuracy(five, 0.0) == 3.0 / 5);  // the right one of radius 0 is not certified
  CHECK(certified_accuracy(five, 0.1) == 3.0 / 5);
  CHECK(certified_accuracy(five, 0.25) == 2.0 / 5);  // a radius of exactly T counts
  CHECK(certified_accuracy(five, std::nextafter(0.25, 1.0)) == 1.0 / 5);
  CHECK(certified_accuracy(five, 0.6) == 0.0);
  CHECK(certified_fraction(five, 0.0) == 4.0 / 5);
  CHECK(certified_precision(five, 0.0) == 3.0 / 4);
  CHECK(certified_fraction(five, 0.1) == 4.0 / 5);
  CHECK(certified_fraction(five, 0.25) == 3.0 / 5);
  CHECK(certified_precision(five, 0.1) == 3.0 / 4);
  CHECK(certified_precision(five, 0.25) == 2.0 / 3);
  CHECK_FALSE(certified_precision(five, 0.6).has_value());
  CHECK(abstention(five) == 1.0 / 5);
  CHECK(mean_radius(five) == (0.5 + 0.25 + 0.125) / 5);
  CHECK(median_radius(five) == 0.125);
}

TEST_CASE("Where nothing is certified, nothing is at threshold 0 either") {
  const auto abstaining = records_of({{true, 0.0}, {true, 0.0}, {false, 0.0}});
  CHECK(accuracy(abstaining) == 2.0 / 3);
  CHECK(certified_accuracy(abstaining, 0.0) == 0.0);
  CHECK(certified_fraction(abstaining, 0.0) == 0.0);
  CHECK_FALSE(certified_precision(abstaining, 0.0).has_value());
  CHECK(abstention(abstaining) == 1.0);
  CHECK(certified_accuracy_of_set(abstaining, 0.0, 0.001, 0.5) == 0.0);
}

TEST_CASE("The curve has a point at 0 and at every radius, with what is certified there") {
  const std::vector<CurvePoint> curve = certified_curve(five);
  REQUIRE(curve.size() == 4);
  const CurvePoint expected[] = {{0.0, 4, 3}, {0.125, 4, 3}, {0.25, 3, 2}, {0.5, 1, 1}};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(curve[i].threshold == expected[i].threshold);
    CHECK(curve[i].certified == expected[i].certified);
    CHECK(curve[i].correct == expected[i].correct);
  }
  CHECK(certified_curve(records_of({{true, 0.0}})).size() == 1);
}

TEST_CASE("The interval over images holds the share as often as it says") {
  // At the ends of the interval, sums of binomial probabilities are what is left out on each side.
  const auto at_least = [](int k, int n, double p) {
    double sum = 0.0;
    for (int i = k; i <= n; ++i)
      sum += std::exp(std::lgamma(n + 1) - std::lgamma(i + 1) - std::lgamma(n - i + 1) +
                      i * std::log(p) + (n - i) * std::log1p(-p));
    return sum;
  };
  const auto [low, high] = interval_over_images(0.882, 1000);
  CHECK(at_least(882, 1000, low) == doctest::Approx(0.025).epsilon(1e-6));
  CHECK(at_least(883, 1000, high) == doctest::Approx(0.975).epsilon(1e-6));
  const auto [none_low, none_high] = interval_over_images(0.0, 30, 0.9);
  CHECK(none_low == 0.0);
  CHECK(std::pow(1 - none_high, 30) == doctest::Approx(0.05).epsilon(1e-9));
  CHECK(interval_over_images(1.0, 30).high == 1.0);
  CHECK_THROWS_AS(interval_over_images(0.5, 0), Error);
  CHECK_THROWS_AS(interval_over_images(0.5, 4, 1.0), Error);
}

TEST_CASE("The median radius is the largest threshold that half of the images reach") {
  for (const auto& records :
       {five, records_of({{true, 0.5}, {true, 0.25}, {false, 0.9}, {true, 0.125}}),
        records_of({{true, 0.5}}), records_of({{true, 1.0}, {true, 2.0}})}) {
    const double median = median_radius(records);
    CHECK(certified_accuracy(records, median) >= 0.5);
    CHECK(certified_accuracy(records, std::nextafter(median, 10.0)) < 0.5);
  }
  CHECK(median_radius(records_of({{true, 0.5}, {false, 0.9}, {false, 0.1}})) == 0.0);
}

TEST_CASE("The statement about the set allows for more failures than happen") {
  // 1 - rho quantile of Binomial(n, alpha), summed term by term: what no bound may fall below.
  const auto quantile = [](int n, double alpha, double rho) {
    double below = 0.0;
    int failures = -1;
    while (below < 1 - rho) {
      ++failures;
      below +=
          std::exp(std::lgamma(n + 1) - std::lgamma(failures + 1) - std::lgamma(n - failures + 1) +
                   failures * std::log(alpha) + (n - failures) * std::log1p(-alpha));
    }
    return failures;
  };
  for (const int n : {50, 1000}) {
    const std::vector<CertificateRecord> all(static_cast<std::size_t>(n),
                                             records_of({{true, 0.3}}).front());
    for (const double alpha : {0.001, 0.05, 0.5}) {
      for (const double rho : {0.001, 0.05}) {
        const double stated = certified_accuracy_of_set(all, 0.3, alpha, rho);
        const double exact = 1.0 - static_cast<double>(quantile(n, alpha, rho)) / n;
        CAPTURE(n);
        CAPTURE(alpha);
        CAPTURE(rho);
        CHECK(stated <= exact);
        CHECK(stated > exact - (n == 1000 ? 0.03 : 0.25));
      }
    }
  }
  CHECK(certified_accuracy_of_set(five, 0.6, 0.05, 0.001) == 0.0);
  CHECK_THROWS_AS(certified_accuracy_of_set(five, 0.0, 0.6, 0.001), Error);
  CHECK_THROWS_AS(certified_accuracy_of_set(five, 0.0, 0.05, 0.0), Error);
}

TEST_CASE("No records, no metrics") {
  const std::vector<CertificateRecord> none;
  CHECK_THROWS_AS(accuracy(none), Error);
  CHECK_THROWS_AS(certified_precision(none, 0.0), Error);
  CHECK_THROWS_AS(certified_curve(none), Error);
  CHECK_THROWS_AS(mean_radius(none), Error);
  CHECK_THROWS_AS(median_radius(none), Error);
  CHECK_THROWS_AS(certified_accuracy_of_set(none, 0.0, 0.05, 0.001), Error);
}

}  // namespace pixeldp
