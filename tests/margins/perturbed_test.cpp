#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/bounds.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/certificate.hpp"
#include "tests/certificate_rules.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/margins/check_margin.hpp"
#include "tests/margins/exact.hpp"
#include "tests/margins/perturbed_functions.hpp"

/// Bounds and radii where log, exp, expm1 and erfc err by as much as a GPU's may, to either side:
/// still never beyond the true ones, and, less what a device deducts, never beyond the processor's.

namespace pixeldp::margins {
namespace {

using kernels::MeanBound;
using kernels::RadiusRule;

/// The least and the largest value that errors of the functions make of something.
struct Spread {
  double least = std::numeric_limits<double>::infinity();
  double largest = -std::numeric_limits<double>::infinity();
};

template <class F>
Spread spread_of(const F& evaluate) {
  Spread spread;
  const auto add = [&](double value) {
    spread.least = std::min(spread.least, value);
    spread.largest = std::max(spread.largest, value);
  };
  add(evaluate());
  for (int i = 0; i < Perturbed::count; ++i) {
    const Perturbed functions(i);
    add(evaluate());
  }
  return spread;
}

TEST_CASE("the functions of this program err as told, and only then") {
  volatile double three = 3.0;
  const double log = std::log(three), erfc = std::erfc(three);
  const Spread logs = spread_of([&] { return std::log(three); });
  CHECK(logs.largest - logs.least == std::nextafter(log, 2.0) - log);
  const Spread tails = spread_of([&] { return std::erfc(three); });
  const double unit_of_tail = std::nextafter(erfc, 1.0) - erfc;
  CHECK(tails.largest - tails.least >= 9 * unit_of_tail);
  CHECK(tails.largest - tails.least <= 10 * unit_of_tail);
  for (const Spread& s :
       {spread_of([&] { return std::exp(three); }), spread_of([&] { return std::expm1(three); })})
    CHECK(s.largest == std::nextafter(s.least, 30.0));
  CHECK(std::log(three) == log);
  CHECK(std::erfc(three) == erfc);
}

TEST_CASE("perturbed: Clopper-Pearson bounds, and what a device deducts from them") {
  for (const double failure : {0.5, 0.05, 2.5e-5, 1e-10, 1e-300})
    for (const auto& [k, n] : {std::pair<std::uint64_t, std::uint64_t>{1, 2},
                               {1, 300},
                               {150, 300},
                               {290, 300},
                               {299, 300},
                               {1, 10'000},
                               {9'999, 10'000},
                               {6'000, 10'000},
                               {700'000, 1'000'000},
                               {kernels::most_draws - 1, kernels::most_draws}}) {
      CAPTURE(k);
      CAPTURE(n);
      CAPTURE(failure);
      const Spread lower =
          spread_of([&] { return kernels::clopper_pearson(false, k, n, failure); });
      const Spread upper = spread_of([&] { return kernels::clopper_pearson(true, k, n, failure); });
      CHECK(exact::clopper_pearson_excess(k, n, lower.largest, failure) <= 0.0);
      CHECK(exact::clopper_pearson_excess(n - k, n, upper.least, failure, true) <= 0.0);
      CHECK(kernels::device_lower(lower.largest) <= lower.least);
      CHECK(kernels::device_upper(upper.least) >= upper.largest);
    }
  for (const double failure : {0.5, 0.05, 1e-10, 1e-300})
    for (const std::uint64_t n : {1ull, 2ull, 300ull, 1'000'000ull, 4'294'967'295ull}) {
      CAPTURE(n);
      CAPTURE(failure);
      const Spread all = spread_of([&] { return kernels::clopper_pearson(false, n, n, failure); });
      const Spread none = spread_of([&] { return kernels::clopper_pearson(true, 0, n, failure); });
      CHECK(all.largest <= exact::all_agree(n, failure).below);
      CHECK(none.least >= std::min(1.0, exact::none_agree(n, failure).above));
      CHECK(kernels::device_lower(all.largest) <= all.least);
      CHECK(kernels::device_upper(none.least) >= none.largest);
    }
}

TEST_CASE("perturbed: anytime bounds, and what a device deducts from them") {
  const auto bound = [](bool upper, std::uint64_t votes, std::uint64_t draws, double failure) {
    return kernels::bound_of_votes(MeanBound::anytime, upper, votes, draws, failure);
  };
  for (const double failure : {0.5, 0.05, 2.5e-5, 1e-10, 1e-300})
    for (const std::uint64_t n :
         {1ull, 2ull, 17ull, 300ull, 10'000ull, 1'000'000ull, 4'294'967'295ull})
      for (const std::uint64_t k : {std::uint64_t{1}, n / 2, n / 10 * 9, n - 1, n}) {
        if (k == 0) continue;
        CAPTURE(k);
        CAPTURE(n);
        CAPTURE(failure);
        const Spread lower = spread_of([&] { return bound(false, k, n, failure); });
        const Spread upper = spread_of([&] { return bound(true, n - k, n, failure); });
        CHECK(exact::anytime_excess(k, n, lower.largest, failure) <= 0.0);
        CHECK(exact::anytime_excess(k, n, upper.least, failure, true) <= 0.0);
        // As tight as double precision has the probability and its complement.
        const double above = lower.least + 1e-11 * lower.least * (1.0 - lower.least) + 0x1p-48;
        if (k < n && above < 1.0 && lower.least > 1e-280)
          CHECK(exact::anytime_excess(k, n, above, failure) > 0.0);
        CHECK(kernels::device_lower(lower.largest) <= lower.least);
        CHECK(kernels::device_upper(upper.least) >= upper.largest);
      }
}

TEST_CASE("perturbed: bounds by the mean, and what a device deducts from them") {
  constexpr std::uint64_t one = std::uint64_t{1} << 32;
  for (const exact::Scores& scores :
       {exact::votes(2, 2), exact::votes(300, 290), exact::votes(10'000, 6'000),
        exact::votes(kernels::most_draws, kernels::most_draws / 3),
        exact::sums(300, 290 * one, 285 * one), exact::sums(10'000, 12'345, 0),
        exact::sums(kernels::most_draws, kernels::most_draws * (one / 2),
                    kernels::most_draws * (one / 4))})
    for (const MeanBound bound : {MeanBound::hoeffding, MeanBound::empirical_bernstein})
      for (const double failure : {0.5, 0.05, 1e-10, 1e-300}) {
        CAPTURE(scores.draws);
        CAPTURE(failure);
        const auto interval = [&] {
          const kernels::MeanAndVariance m =
              scores.fixed_point ? kernels::mean_of_sums(scores.sum, scores.squares, scores.draws)
                                 : kernels::mean_of_votes(scores.sum, scores.draws);
          return kernels::mean_bounds(bound, m, scores.draws, failure);
        };
        const Spread lower = spread_of([&] { return interval().lower; });
        const Spread upper = spread_of([&] { return interval().upper; });
        CHECK(lower.largest <= std::max(0.0, exact::lower_bound(bound, scores, failure).below));
        CHECK(upper.least >= std::min(1.0, exact::upper_bound(bound, scores, failure).above));
        CHECK(kernels::device_lower(lower.largest) <= lower.least);
        CHECK(kernels::device_upper(upper.least) >= upper.largest);
      }
}

constexpr RadiusRule rules[] = {RadiusRule::gaussian, RadiusRule::gaussian_grid,
                                RadiusRule::gaussian_exact, RadiusRule::laplace,
                                RadiusRule::laplace_exact};

std::vector<std::pair<double, double>> pairs() {
  std::vector<std::pair<double, double>> all = {
      {1 - 0x1p-53, 1e-10}, {0.9999, 0.0001}, {0.9, 0.05}, {0.6, 0.4},
      {0.5, 0.2},           {0.7, 0.6},       {0.45, 0.3}, {0.5 + 0x1p-20, 0.5 - 0x1p-20},
      {1e-5, 1e-9}};
  for (int i = 1; i < 20; ++i) all.emplace_back(1 - 0.5 * std::exp(-i), 0.5 * std::exp(-i));
  return all;
}

TEST_CASE("perturbed: attack sizes, and what a device deducts from them") {
  for (const auto& [lower, upper] : pairs())
    for (const RadiusRule rule : rules) {
      CAPTURE(lower);
      CAPTURE(upper);
      CAPTURE(static_cast<int>(rule));
      const auto size_of = [&](double low, double up) {
        return spread_of([&] { return kernels::attack_size(rule, low, up, kernels::InTurn()); });
      };
      const Spread size = size_of(lower, upper);
      const double truth = exact::attack_size(rule, lower, upper).below;
      CHECK(kernels::radius_of(size.largest, 1.0) <= truth);
      if (rule == RadiusRule::gaussian_exact || rule == RadiusRule::laplace ||
          rule == RadiusRule::laplace_exact) {
        CHECK(size.largest <= truth);
        CHECK(kernels::device_size(size.largest) <= size.least);
      }
      // All that a device deducts together.
      const double low = kernels::device_lower(lower);
      const Spread device = size_of(low, std::max(upper, kernels::device_upper(upper)));
      CHECK(kernels::device_size(device.largest) <= std::max(0.0, size.least));
    }
}

TEST_CASE("perturbed: the bounds kernel, beside the processor and beside the truth") {
  using kernels::emulated::DeviceArray;
  constexpr std::int64_t classes = 3;
  const std::vector<std::vector<std::uint64_t>> images = {
      {300, 0, 0}, {299, 1, 0},       {170, 120, 10},  {151, 149, 0},      {9'000, 600, 400},
      {2, 0, 0},   {5'100, 0, 4'900}, {100, 100, 100}, {999'000, 900, 100}};
  std::vector<std::uint64_t> draws, votes, sums;
  for (const auto& counts : images) {
    draws.push_back(counts[0] + counts[1] + counts[2]);
    for (const std::uint64_t count : counts) votes.push_back(count), sums.push_back(count << 32);
  }
  const DeviceArray<std::uint64_t> d(draws), v(votes), s(sums);
  for (const tests::CertificateRule& rule : tests::certificate_rules)
    for (const Bound bound : {Bound::hoeffding, Bound::empirical_bernstein, Bound::betting,
                              Bound::clopper_pearson, Bound::pairwise}) {
      Calibration calibration;
      calibration.mechanism = rule.mechanism;
      calibration.noise_scale = 0.25;
      calibration.sensitivity = 3.0;
      CertificateOptions options;
      const bool soft = bound == Bound::empirical_bernstein || bound == Bound::betting;
      options.scores = soft ? ScoreType::softmax : ScoreType::argmax;
      options.bound = bound;
      options.kind = rule.kind;
      const kernels::BoundsParams params =
          bounds_params(calibration, options, static_cast<std::int64_t>(images.size()), classes);
      const Stream emulated(Device::parse("emulated"));
      for (const int way : {0, 3, 5, 9, 15, 16, 17}) {
        std::vector<kernels::BoundedPrediction> results;
        {
          const Perturbed functions(way);
          const DeviceArray<kernels::BoundedPrediction> out(images.size());
          const DeviceArray<std::uint64_t> status(
              std::vector<std::uint64_t>{kernels::no_bad_image});
          kernels::bound_predictions(emulated, params,
                                     {d.data(), v.data(), s.data(), s.data(), nullptr}, out.data(),
                                     status.data());
          results = out.values();
        }
        for (std::size_t i = 0; i < images.size(); ++i) {
          CAPTURE(name(rule.kind));
          CAPTURE(name(rule.mechanism));
          CAPTURE(name(bound));
          CAPTURE(way);
          CAPTURE(i);
          ScoreStatistics statistics{.draws = draws[i], .votes = {}, .sums = {}, .squares = {}};
          if (options.scores == ScoreType::argmax) {
            statistics.votes = images[i];
          } else {
            for (const std::uint64_t count : images[i]) statistics.sums.push_back(count << 32);
            statistics.squares = statistics.sums;
          }
          const Certificate host = certify(statistics, calibration, options);
          const kernels::BoundedPrediction& device = results[i];
          REQUIRE(device.prediction == host.prediction);
          CHECK(device.lower <= host.lower);
          CHECK(device.upper >= host.upper);
          CHECK(device.radius <= host.radius);
          if (device.radius == 0.0) continue;
          CHECK(device.radius <
                exact::radius(params.rule, device.lower, device.upper, 0.25, 3.0).below);
          if (bound == Bound::betting) continue;  // betting_test.cpp has the truth
          const double failure = bound == Bound::pairwise
                                     ? exact::share(options.alpha, 10, 6).below
                                     : exact::share(options.alpha, 2 * classes).below;
          if (kernels::is_of_votes(bound))
            CHECK(exact::clopper_pearson_excess(images[i][0], draws[i], device.lower, failure) <=
                  0);
          else
            CHECK(device.lower <= exact::lower_bound(bound,
                                                     options.scores == ScoreType::argmax
                                                         ? exact::votes(draws[i], images[i][0])
                                                         : exact::sums(draws[i], images[i][0] << 32,
                                                                       images[i][0] << 32),
                                                     failure)
                                      .below);
        }
      }
    }
}

}  // namespace
}  // namespace pixeldp::margins
