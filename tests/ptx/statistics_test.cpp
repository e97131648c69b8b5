#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "pixeldp/certificate.hpp"
#include "tests/certificate_rules.hpp"
#include "tests/ptx/statistics_on_device.hpp"

/// The statistics and bounds as nvcc compiled them, against the processor's.
namespace pixeldp::kernels::cuda {
namespace {

StatisticsCase statistics_case(std::int64_t rows, std::int64_t width, std::int64_t classes,
                               std::int64_t images) {
  std::mt19937 random(static_cast<unsigned>(rows + width + classes));
  std::normal_distribution<float> normal;
  StatisticsCase problem;
  problem.params = {rows, width, classes};
  const auto fill = [&](std::vector<float>& values, std::int64_t count, float scale) {
    for (std::int64_t i = 0; i < count; ++i) values.push_back(scale * normal(random));
  };
  fill(problem.features, rows * width, 1.0f);
  fill(problem.weight, classes * width, 3.0f / std::sqrt(static_cast<float>(width + 1)));
  fill(problem.bias, classes, 3.0f);
  for (std::int64_t r = 0; r < rows; ++r) problem.row_image.push_back(r * images / rows);
  problem.votes.assign(static_cast<std::size_t>(images * classes), std::uint64_t{1} << 33);
  problem.sums = problem.squares = problem.votes;
  return problem;
}

/// Runs the case, and compares it with the processor.
void check(StatisticsCase problem, std::uint64_t bad_row = no_bad_row) {
  StatisticsCase expected = problem;
  const auto on_processor = [&] {
    kernels::draw_statistics(Stream(), expected.params, expected.features.data(),
                             expected.weight.data(), expected.bias.data(),
                             expected.row_image.data(), expected.votes.data(), expected.sums.data(),
                             expected.squares.data());
  };
  if (bad_row == no_bad_row)
    CHECK_NOTHROW(on_processor());
  else
    CHECK_THROWS_AS(on_processor(), Error);
  problem.run();
  CHECK(problem.bad_row == bad_row);
  CHECK(problem.votes == expected.votes);
  CHECK(problem.sums == expected.sums);
  CHECK(problem.squares == expected.squares);
}

TEST_CASE("compiled draw statistics are the processor's integers") {
  for (const std::int64_t width : {1, 16, 37, 100})
    for (const std::int64_t classes : {1, 2, 10, 16, 17})
      for (const std::int64_t rows : {1, 9, 34}) check(statistics_case(rows, width, classes, 1));
  for (const std::int64_t classes : {128, 1000, 1025, 4096})
    check(statistics_case(6, 20, classes, 2));
}

TEST_CASE("compiled draw statistics of mixed images, padding and bad rows") {
  StatisticsCase problem = statistics_case(75, 40, 10, 4);
  std::shuffle(problem.row_image.begin(), problem.row_image.end(), std::mt19937(3));
  for (std::size_t r = 1; r < 75; r += 3) {
    problem.row_image[r] = -1;
    problem.features[r * 40] = std::numeric_limits<float>::quiet_NaN();
  }
  check(problem);
  for (const std::size_t row : {65, 23, 50})
    problem.features[row * 40] = std::numeric_limits<float>::infinity();
  check(problem, 23);
}

using tests::certificate_rules;
using tests::CertificateRule;
constexpr MeanBound mean_bounds[] = {MeanBound::hoeffding, MeanBound::empirical_bernstein,
                                     MeanBound::betting,   MeanBound::clopper_pearson,
                                     MeanBound::pairwise,  MeanBound::anytime,
                                     MeanBound::one_sided};
constexpr Bound bounds[] = {Bound::hoeffding, Bound::empirical_bernstein,
                            Bound::betting,   Bound::clopper_pearson,
                            Bound::pairwise,  Bound::anytime,
                            Bound::one_sided};

/// How far the device stays behind the processor, at most, and what it certifies.
struct Worst {
  double lower = 0.0, upper = 0.0, radius = 0.0;
  int certified = 0;
};

/// Compares with pixeldp::certify under a bound and all certificates.
Worst compare(BoundsCase& images, std::size_t bound, double alpha) {
  Worst worst;
  BoundsParams& params = images.params;
  params.images = std::ssize(images.draws);
  params.bound = mean_bounds[bound];
  params.alpha = alpha;
  params.scale_per_sensitivity = 0.25 / 2.0;
  for (const CertificateRule& certificate : certificate_rules) {
    Calibration calibration;
    calibration.mechanism = certificate.mechanism;
    calibration.noise_scale = 0.25;
    calibration.sensitivity = 2.0;
    const CertificateOptions options = {params.softmax ? ScoreType::softmax : ScoreType::argmax,
                                        bounds[bound], certificate.kind, alpha};
    params.rule = certificate.rule;
    images.run();
    CHECK(images.bad_image == no_bad_image);
    for (std::size_t i = 0; i < images.draws.size(); ++i) {
      CAPTURE(i);
      CAPTURE(name(options.bound));
      CAPTURE(name(certificate.kind));
      CAPTURE(images.draws[i]);
      const auto part = [&](const std::vector<std::uint64_t>& all) {
        if (all.empty()) return all;
        const auto first = all.begin() + static_cast<std::ptrdiff_t>(i) * params.classes;
        return std::vector<std::uint64_t>(first, first + params.classes);
      };
      std::optional<int> selected;
      if (!images.selected.empty()) selected = static_cast<int>(images.selected[i]);
      const Certificate host =
          certify({images.draws[i], part(images.votes), part(images.sums), part(images.squares)},
                  calibration, options, selected);
      const BoundedPrediction& device = images.results[i];
      REQUIRE(device.prediction == host.prediction);
      REQUIRE(device.lower <= host.lower);
      REQUIRE(device.upper >= host.upper);
      REQUIRE(device.radius <= host.radius);
      worst.lower = std::max(worst.lower, host.lower - device.lower);
      worst.upper = std::max(worst.upper, device.upper - host.upper);
      worst.radius =
          std::max(worst.radius, (host.radius - device.radius) / params.scale_per_sensitivity);
      worst.certified += device.radius > 0.0;
    }
  }
  return worst;
}

TEST_CASE("compiled bounds and radii of votes: never beyond the processor's, and within 1e-9") {
  for (const std::int64_t classes : {2, 10, 100}) {
    for (const bool separate : {false, true}) {
      BoundsCase images;
      images.params.classes = classes;
      std::mt19937_64 random(static_cast<unsigned>(classes));
      for (const std::uint64_t draws : {1, 2, 17, 300, 10000, 1000000}) {
        for (const double share : {0.3, 0.5, 0.51, 0.8, 0.97, 0.9999, 1.0}) {
          const auto label = static_cast<std::int64_t>(random() % 100) % classes;
          std::vector<std::uint64_t> votes(static_cast<std::size_t>(classes));
          std::uint64_t left = draws;
          for (std::int64_t k = 0; k < classes; ++k) {
            const double part = k == 0 ? share : 0.6;
            const auto here = k + 1 < classes
                                  ? static_cast<std::uint64_t>(static_cast<double>(left) * part)
                                  : left;
            votes[static_cast<std::size_t>((label + k) % classes)] = here;
            left -= here;
          }
          images.draws.push_back(draws);
          images.votes.insert(images.votes.end(), votes.begin(), votes.end());
          if (separate) images.selected.push_back(label);
        }
      }
      const std::size_t suitable = separate ? 7 : 6;  // one-sided bounds need selected labels
      for (std::size_t bound = 0; bound < suitable; ++bound) {
        for (const double alpha : {0.05, 1e-9}) {
          const Worst worst = compare(images, bound, alpha);
          CHECK(worst.lower < 1e-10);
          CHECK(worst.upper < 1e-10);
          // Twice as much where the others' bound is what the label's leaves.
          CHECK(worst.radius < (bound < 4 ? 1e-9 : 2e-9));
          CHECK(worst.certified > 30);
        }
      }
    }
  }
}

TEST_CASE("compiled bounds and radii of softmax scores: never beyond, and within 1e-9") {
  for (const std::int64_t classes : {2, 40}) {
    BoundsCase images;
    images.params.classes = classes;
    images.params.softmax = true;
    std::mt19937_64 random(5);
    for (const std::uint64_t draws : {1, 2, 50, 3000, 1000000}) {
      for (const double top : {0.1, 0.5, 0.9, 0.999}) {
        for (std::int64_t c = 0; c < classes; ++c) {
          const double mean = c == 1 ? top : (1.0 - top) / static_cast<double>(classes - 1);
          const double unit = static_cast<double>(draws) * 0x1p32;
          const double spread = static_cast<double>(random() % 1000) * 1e-3;
          images.sums.push_back(static_cast<std::uint64_t>(mean * unit));
          images.squares.push_back(static_cast<std::uint64_t>(
              mean * (mean + (1.0 - mean) * spread * spread * 0.1) * unit));
        }
        images.draws.push_back(draws);
      }
    }
    for (std::size_t bound = 0; bound < 3; ++bound) {
      const Worst worst = compare(images, bound, 0.01);
      CHECK(worst.lower < 1e-10);
      CHECK(worst.upper < 1e-10);
      CHECK(worst.radius < 1e-9);
      CHECK(worst.certified > 10);
    }
  }
}

TEST_CASE("compiled bounds: padding and impossible counts") {
  BoundsCase images;
  images.params.images = 4;
  images.params.classes = 3;
  images.params.scale_per_sensitivity = 1.0;
  images.draws = {10, 0, 10, 10};
  images.votes = {10, 0, 0, 5, 6, 7, 9, 0, 0, 4, 4, 3};
  images.run();
  CHECK(images.bad_image == 2);
  CHECK(images.results[0].prediction == 0);
  for (std::size_t i = 1; i < 4; ++i) CHECK(images.results[i] == BoundedPrediction());
}

}  // namespace
}  // namespace pixeldp::kernels::cuda
