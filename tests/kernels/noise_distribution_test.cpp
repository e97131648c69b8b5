#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/noise.hpp"

/// Whether the noise has the distribution that a certificate relies on. Seeds are fixed, so each
/// test either always passes or always fails; limits are such that correct noise would fail about
/// one choice of the seed in 10^4.
namespace pixeldp::kernels {
namespace {

constexpr double z_limit = 4.0;
constexpr std::size_t images = 8, draws = 16, elements = 16384, row_count = images * draws;

std::vector<float> sample(NoiseDistribution distribution) {
  NoiseParams params;
  params.distribution = distribution;
  params.scale = 1.0f;
  params.seed = 20240229;
  std::vector<NoiseRow> rows;
  for (std::uint32_t i = 0; i < row_count; ++i)
    rows.push_back({0, i / std::uint32_t{draws}, i % std::uint32_t{draws}});
  const std::vector<float> prefix(elements);
  std::vector<float> z(row_count * elements);
  add_noise(Stream(), params, rows.data(), row_count, elements, prefix.data(), z.data());
  return z;
}

/// Standard score of the sample mean of f, whose mean and variance are known.
double score(const std::vector<float>& z, double mean, double variance,
             const std::function<double(double)>& f) {
  double sum = 0.0;
  for (const float value : z) sum += f(static_cast<double>(value)) - mean;
  return sum / std::sqrt(variance * static_cast<double>(z.size()));
}

/// Standard score of the number of values beyond +-limit.
double tail_score(const std::vector<float>& z, double limit, double probability) {
  return score(z, probability, probability * (1.0 - probability),
               [limit](double x) { return std::abs(x) > limit ? 1.0 : 0.0; });
}

/// Kolmogorov-Smirnov distance times sqrt(n): above 2.3 once in 2 * 10^4.
double kolmogorov_smirnov(std::vector<float> z, const std::function<double(double)>& cumulative) {
  std::sort(z.begin(), z.end());
  const auto n = static_cast<double>(z.size());
  double distance = 0.0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double p = cumulative(static_cast<double>(z[i])), below = static_cast<double>(i) / n;
    distance = std::max({distance, p - below, below + 1.0 / n - p});
  }
  return distance * std::sqrt(n);
}

/// Standard score of the correlation of f(z[i]) and f(z[i + lag]).
double correlation_score(const std::vector<float>& z, std::size_t lag,
                         const std::function<double(double)>& f) {
  double xy = 0.0, xx = 0.0;
  for (std::size_t i = 0; i + lag < z.size(); ++i) {
    const double x = f(static_cast<double>(z[i])), y = f(static_cast<double>(z[i + lag]));
    xy += x * y;
    xx += x * x;
  }
  return xy / xx * std::sqrt(static_cast<double>(z.size() - lag));
}

double power(double x, int n) { return n == 0 ? 1.0 : x * power(x, n - 1); }

void check_independence(const std::vector<float>& z, double variance) {
  // Neighbours, the halves of a Box-Muller pair, blocks, groups; draws and images.
  for (const std::size_t lag :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{4}, std::size_t{8},
        std::size_t{16}, std::size_t{32}, std::size_t{192}, elements, draws * elements}) {
    CAPTURE(lag);
    CHECK(std::abs(correlation_score(z, lag, [](double x) { return x; })) < z_limit);
    CHECK(std::abs(correlation_score(z, lag, [&](double x) { return x * x - variance; })) <
          z_limit);
    CHECK(std::abs(correlation_score(z, lag, [](double x) { return x < 0.0 ? -1.0 : 1.0; })) <
          z_limit);
  }
}

TEST_CASE("the Gaussian is a Gaussian") {
  const std::vector<float> z = sample(NoiseDistribution::gaussian);
  REQUIRE(z.size() >= 2'000'000);
  // E z^n and Var z^n: 0 and 1, 1 and 2, 0 and 15, 3 and 96.
  CHECK(std::abs(score(z, 0, 1, [](double x) { return x; })) < z_limit);
  CHECK(std::abs(score(z, 1, 2, [](double x) { return x * x; })) < z_limit);
  CHECK(std::abs(score(z, 0, 15, [](double x) { return power(x, 3); })) < z_limit);
  CHECK(std::abs(score(z, 3, 96, [](double x) { return power(x, 4); })) < z_limit);
  for (const double limit : {0.01, 1.0, 2.0, 3.0, 4.0}) {
    CAPTURE(limit);
    CHECK(std::abs(tail_score(z, limit, std::erfc(limit / std::sqrt(2.0)))) < z_limit);
  }
  CHECK(kolmogorov_smirnov(z, [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }) < 2.3);
  check_independence(z, 1.0);
  CHECK(*std::max_element(z.begin(), z.end()) < 6.764f);
}

TEST_CASE("the Laplace is a Laplace") {
  const std::vector<float> z = sample(NoiseDistribution::laplace);
  // E z^2 = 2, E z^4 = 24, E z^6 = 720, E z^8 = 40320.
  CHECK(std::abs(score(z, 0, 2, [](double x) { return x; })) < z_limit);
  CHECK(std::abs(score(z, 2, 24 - 4, [](double x) { return x * x; })) < z_limit);
  CHECK(std::abs(score(z, 0, 720, [](double x) { return power(x, 3); })) < z_limit);
  CHECK(std::abs(score(z, 24, 40320 - 576, [](double x) { return power(x, 4); })) < z_limit);
  for (const double limit : {0.01, 1.0, 3.0, 4.0, 8.0}) {
    CAPTURE(limit);
    CHECK(std::abs(tail_score(z, limit, std::exp(-limit))) < z_limit);
  }
  CHECK(kolmogorov_smirnov(z, [](double x) {
          return x < 0.0 ? 0.5 * std::exp(x) : 1.0 - 0.5 * std::exp(-x);
        }) < 2.3);
  check_independence(z, 2.0);
  CHECK(*std::max_element(z.begin(), z.end()) < 22.19f);
}

}  // namespace
}  // namespace pixeldp::kernels
