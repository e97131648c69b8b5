#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/certificate.hpp"
#include "tests/certificate_rules.hpp"
#include "tests/emulator/device_array.hpp"

namespace pixeldp::kernels::emulated {
namespace {

constexpr double scale = 0.25, sensitivity = 2.0;

using tests::certificate_rules;
using tests::CertificateRule;

struct BoundCase {
  Bound bound;
  MeanBound mean_bound;
};
constexpr BoundCase bounds[] = {{Bound::hoeffding, MeanBound::hoeffding},
                                {Bound::empirical_bernstein, MeanBound::empirical_bernstein},
                                {Bound::betting, MeanBound::betting},
                                {Bound::clopper_pearson, MeanBound::clopper_pearson},
                                {Bound::pairwise, MeanBound::pairwise},
                                {Bound::anytime, MeanBound::anytime},
                                {Bound::one_sided, MeanBound::one_sided}};
/// Those of votes whose label was chosen on separate draws, or on the same.
std::span<const BoundCase> bounds_of_votes(bool separate) {
  return std::span(bounds).first(separate ? 7 : 6);
}

/// What a device's radius may stay behind by: twice as much where the other labels' bound is what
/// the label's own leaves, so that both ends of the radius have its deductions.
double radius_loss(Bound bound) {
  const bool complementary =
      bound == Bound::pairwise || bound == Bound::one_sided || bound == Bound::anytime;
  return complementary ? 2e-9 : 1e-9;
}

/// The statistics of several images.
struct Images {
  std::int64_t classes = 0;
  bool softmax = false;
  std::vector<std::uint64_t> draws, votes, sums, squares;
  std::vector<std::int64_t> selected;  ///< empty: the same draws select

  void add(std::uint64_t image_draws, const std::vector<std::uint64_t>& counts) {
    draws.push_back(image_draws);
    votes.insert(votes.end(), counts.begin(), counts.end());
  }
  void add(std::uint64_t image_draws, const std::vector<std::uint64_t>& image_sums,
           const std::vector<std::uint64_t>& image_squares) {
    draws.push_back(image_draws);
    sums.insert(sums.end(), image_sums.begin(), image_sums.end());
    squares.insert(squares.end(), image_squares.begin(), image_squares.end());
  }
  BoundsParams params() const {
    BoundsParams p;
    p.images = static_cast<std::int64_t>(draws.size());
    p.classes = classes;
    p.softmax = softmax;
    p.scale_per_sensitivity = scale / sensitivity;
    return p;
  }
  ScoreStatistics statistics(std::size_t image) const {
    const auto part = [&](const std::vector<std::uint64_t>& all) {
      if (all.empty()) return all;
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(image) * classes;
      return std::vector<std::uint64_t>(first, first + classes);
    };
    return {draws[image], part(votes), part(sums), part(squares)};
  }

  /// What the emulated kernel makes of them; checks that it writes nothing else.
  std::vector<BoundedPrediction> run(const BoundsParams& params, std::uint64_t& bad_image) const {
    const DeviceArray<std::uint64_t> d(draws), v(votes), s(sums), q(squares);
    const DeviceArray<std::int64_t> chosen(selected);
    constexpr std::size_t fence = 3;
    const BoundedPrediction sentinel = {77, 7.0, 77.0, 777.0};
    const DeviceArray<BoundedPrediction> results(
        std::vector<BoundedPrediction>(draws.size() + 2 * fence, sentinel));
    const DeviceArray<std::uint64_t> status(std::vector<std::uint64_t>{no_bad_image});
    kernels::bound_predictions(
        test_stream(), params,
        {d.data(), v.data(), s.data(), q.data(), selected.empty() ? nullptr : chosen.data()},
        results.data() + fence, status.data());
    bad_image = status.values()[0];
    const std::vector<BoundedPrediction> all = results.values();
    for (std::size_t i = 0; i < fence; ++i) {
      REQUIRE(all[i] == sentinel);
      REQUIRE(all[all.size() - 1 - i] == sentinel);
    }
    return {all.begin() + fence, all.end() - fence};
  }
  std::vector<BoundedPrediction> run(const BoundsParams& params) const {
    std::uint64_t bad_image = 0;
    const std::vector<BoundedPrediction> results = run(params, bad_image);
    CHECK(bad_image == no_bad_image);
    return results;
  }
};

Calibration calibration_of(Mechanism mechanism) {
  Calibration calibration;
  calibration.mechanism = mechanism;
  calibration.attack_norm = mechanism == Mechanism::gaussian ? AttackNorm::l2 : AttackNorm::l1;
  calibration.noise_scale = scale;
  calibration.sensitivity = sensitivity;
  return calibration;
}

/// Compares all images with pixeldp::certify under one bound and certificate. Returns how many are
/// certified.
int compare(const Images& images, const BoundCase& bound, const CertificateRule& certificate,
            double alpha) {
  BoundsParams params = images.params();
  params.bound = bound.mean_bound;
  params.rule = certificate.rule;
  params.alpha = alpha;
  const std::vector<BoundedPrediction> results = images.run(params);
  const CertificateOptions options = {images.softmax ? ScoreType::softmax : ScoreType::argmax,
                                      bound.bound, certificate.kind, alpha};
  const Calibration calibration = calibration_of(certificate.mechanism);
  int certified = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    CAPTURE(i);
    CAPTURE(name(bound.bound));
    CAPTURE(name(certificate.kind));
    CAPTURE(name(certificate.mechanism));
    CAPTURE(images.draws[i]);
    std::optional<int> selected;
    if (!images.selected.empty()) selected = static_cast<int>(images.selected[i]);
    const Certificate host = certify(images.statistics(i), calibration, options, selected);
    const BoundedPrediction& device = results[i];
    REQUIRE(device.prediction == host.prediction);
    REQUIRE(device.lower <= host.lower);
    REQUIRE(device.lower >= host.lower - 1e-10);
    REQUIRE(device.upper >= host.upper);
    REQUIRE(device.upper <= host.upper + 1e-10);
    REQUIRE(device.radius <= host.radius);
    REQUIRE(device.radius >= host.radius - radius_loss(bound.bound) * params.scale_per_sensitivity);
    // With one library of functions for both, more can be said.
    REQUIRE(device.lower == device_lower(host.lower));
    const double size = attack_size(params.rule, device.lower, device.upper, InTurn());
    REQUIRE(device.radius == radius_of(device_size(size), params.scale_per_sensitivity));
    certified += device.radius > 0.0;
  }
  return certified;
}

/// Votes of `draws` draws: `share` of them for one label, the rest falling off quickly.
std::vector<std::uint64_t> votes_of(std::uint64_t draws, double share, std::int64_t classes,
                                    std::int64_t label) {
  std::vector<std::uint64_t> votes(static_cast<std::size_t>(classes));
  std::uint64_t left = draws;
  for (std::int64_t i = 0; i < classes; ++i) {
    auto& here = votes[static_cast<std::size_t>((label + i) % classes)];
    here = i + 1 < classes ? static_cast<std::uint64_t>(static_cast<double>(left) * share) : left;
    left -= here;
    if (i > 0) share = 0.6;
  }
  return votes;
}

Images argmax_grid(std::int64_t classes, bool separate) {
  Images images;
  images.classes = classes;
  for (const std::uint64_t draws : {1, 2, 10, 300, 10000, 1000000}) {
    for (const double share : {0.0, 0.3, 0.5, 0.51, 0.8, 0.97, 0.9999, 1.0}) {
      const std::int64_t label = static_cast<std::int64_t>(images.draws.size()) * 7 % classes;
      images.add(draws, votes_of(draws, share, classes, label));
      if (separate)
        images.selected.push_back(images.draws.size() % 5 ? label : (label + 1) % classes);
    }
  }
  return images;
}

TEST_CASE("emulated bounds and radii of votes are the processor's, and never beyond them") {
  for (const std::int64_t classes : {2, 3, 10, 33}) {
    for (const bool separate : {false, true}) {
      const Images images = argmax_grid(classes, separate);
      for (const BoundCase& bound : bounds_of_votes(separate))
        for (const CertificateRule& certificate : certificate_rules)
          CHECK(compare(images, bound, certificate, classes == 3 ? 1e-9 : 0.05) >= 10);
    }
  }
}

TEST_CASE("emulated bounds of a thousand classes") {
  Images images;
  images.classes = 1000;
  for (const double share : {0.2, 0.7, 1.0})
    images.add(1000, votes_of(1000, share, 1000, static_cast<std::int64_t>(999 * share)));
  for (const BoundCase& bound : bounds_of_votes(false))
    CHECK(compare(images, bound, certificate_rules[0], 0.001) >= 2);
}

Images softmax_grid(std::int64_t classes) {
  Images images;
  images.classes = classes;
  images.softmax = true;
  std::mt19937_64 random(11);
  for (const std::uint64_t draws : {1, 2, 50, 3000, 1000000}) {
    for (const double sharpness : {0.0, 1.0, 4.0, 9.0}) {
      std::vector<double> weight(static_cast<std::size_t>(classes));
      for (double& w : weight)
        w = std::exp(sharpness * static_cast<double>(random() % 1000) * 1e-3);
      const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
      std::vector<std::uint64_t> sums, squares;
      for (const double w : weight) {
        const double mean = w / total;
        const double n = static_cast<double>(draws);
        sums.push_back(static_cast<std::uint64_t>(mean * n * 0x1p32));
        squares.push_back(static_cast<std::uint64_t>(mean * (0.8 * mean + 0.2) * n * 0x1p32));
      }
      images.add(draws, sums, squares);
    }
  }
  return images;
}

TEST_CASE("emulated bounds and radii of softmax scores are the processor's, never beyond them") {
  for (const std::int64_t classes : {2, 10, 40}) {
    Images images = softmax_grid(classes);
    for (const bool separate : {false, true}) {
      if (separate) {
        for (std::size_t i = 0; i < images.draws.size(); ++i)
          images.selected.push_back(static_cast<std::int64_t>(i) % classes);
      }
      for (const CertificateRule& certificate : certificate_rules) {
        const int certified = compare(images, bounds[0], certificate, 0.01) +
                              compare(images, bounds[1], certificate, 0.01) +
                              compare(images, bounds[2], certificate, 0.01);
        if (!separate) CHECK(certified >= 6);
      }
    }
  }
}

TEST_CASE("emulated bounds under every schedule") {
  const Images images = argmax_grid(10, true);
  std::vector<BoundedPrediction> expected;
  for (const Schedule& schedule : adversarial_schedules) {
    CAPTURE(schedule.name());
    const WithSettings with(schedule);
    for (const RadiusRule rule : {RadiusRule::gaussian, RadiusRule::gaussian_grid}) {
      BoundsParams params = images.params();
      params.rule = rule;
      const std::vector<BoundedPrediction> results = images.run(params);
      if (rule == RadiusRule::gaussian) {
        if (expected.empty()) expected = results;
        CHECK(results == expected);
      }
    }
    for (const std::size_t bound : {2, 3, 4, 5, 6})
      CHECK(compare(images, bounds[bound], certificate_rules[0], 0.05) >= 10);
  }
}

TEST_CASE("emulated bounds: the lowest index wins a tie, and is not certified") {
  Images images;
  images.classes = 70;
  for (const std::size_t second : {3, 34, 35, 69}) {
    std::vector<std::uint64_t> votes(70);
    votes[2] = votes[second] = 50;
    images.add(100, votes);
  }
  images.add(100, [] {
    std::vector<std::uint64_t> votes(70);
    votes[69] = 60, votes[0] = 40;
    return votes;
  }());
  const std::vector<BoundedPrediction> results = images.run(images.params());
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(results[i].prediction == 2);
    CHECK(results[i].radius == 0.0);
  }
  CHECK(results[4].prediction == 69);
}

TEST_CASE("emulated bounds: padding, and statistics that no draws can have left") {
  const BoundedPrediction padding;
  Images images;
  images.classes = 3;
  images.add(10, {10, 0, 0});
  images.add(0, {5, 6, 7});  // padding, whatever it holds
  images.add(10, {9, 0, 0});
  images.add(10, {9, 1, 1});
  images.add(10, {0, 11, 0});
  images.add(std::uint64_t{1} << 32, {std::uint64_t{1} << 32, 0, 0});
  // Adds up to 10 modulo 2^64.
  images.add(10, {std::uint64_t{1} << 63, (std::uint64_t{1} << 63) + 10, 0});
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    std::uint64_t bad_image = 0;
    const std::vector<BoundedPrediction> results = images.run(images.params(), bad_image);
    CHECK(bad_image == 2);
    CHECK(results[0].prediction == 0);
    for (std::size_t i = 1; i < results.size(); ++i) CHECK(results[i] == padding);
  }
  Images selected;
  selected.classes = 2;
  for (const std::int64_t label : {1, 2, -1}) {
    selected.add(10, {3, 7});
    selected.selected.push_back(label);
  }
  std::uint64_t bad_image = 0;
  CHECK(selected.run(selected.params(), bad_image)[0].prediction == 1);
  CHECK(bad_image == 1);

  Images softmax;
  softmax.classes = 2;
  softmax.softmax = true;
  const std::uint64_t one = std::uint64_t{1} << 32;
  softmax.add(2, {2 * one, 0}, {2 * one + 2, 2});  // just possible
  softmax.add(2, {2 * one, 0}, {2 * one + 2, 3});
  softmax.add(2, {2 * one + 1, 0}, {0, 0});
  BoundsParams params = softmax.params();
  params.bound = MeanBound::hoeffding;
  const std::vector<BoundedPrediction> results = softmax.run(params, bad_image);
  CHECK(bad_image == 1);
  CHECK(results[0].prediction == 0);
  CHECK(results[1] == padding);
  CHECK(results[2] == padding);

  std::string text;
  try {
    check_bad_image(bad_image, params);
  } catch (const Error& error) {
    text = error.what();
  }
  CHECK(text.find("image 1 of 3: its sums of scores and of squares") != std::string::npos);
  CHECK_NOTHROW(check_bad_image(no_bad_image, params));
}

TEST_CASE("emulated bounds: empty work, and what is refused") {
  const auto call = [](auto change) {
    BoundsParams params;
    params.classes = 10;
    params.scale_per_sensitivity = 1.0;
    change(params);
    kernels::bound_predictions(test_stream(), params, {}, nullptr, nullptr);
  };
  CHECK_NOTHROW(call([](BoundsParams&) {}));
  CHECK_THROWS_AS(call([](BoundsParams& p) { p.images = -1; }), Error);
  CHECK_THROWS_AS(call([](BoundsParams& p) { p.images = std::int64_t{1} << 40; }), Error);
  CHECK_THROWS_AS(call([](BoundsParams& p) { p.classes = 1; }), Error);
  CHECK_THROWS_AS(call([](BoundsParams& p) { p.alpha = 0.0; }), Error);
  CHECK_THROWS_AS(call([](BoundsParams& p) { p.alpha = std::nan(""); }), Error);
  CHECK_THROWS_AS(call([](BoundsParams& p) { p.scale_per_sensitivity = 0.0; }), Error);
  for (const MeanBound bound :
       {MeanBound::clopper_pearson, MeanBound::pairwise, MeanBound::one_sided, MeanBound::anytime})
    CHECK_THROWS_WITH_AS(
        call([&](BoundsParams& p) { p.softmax = true, p.bound = bound; }),
        "this bound needs argmax scores: use hoeffding, empirical-bernstein or betting", Error);
  CHECK_THROWS_WITH_AS(call([](BoundsParams& p) { p.images = 1, p.bound = MeanBound::one_sided; }),
                       "one-sided bounds need labels that other draws have selected", Error);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
