#include "pixeldp/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include <boost/math/distributions/normal.hpp>
#include <doctest/doctest.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

Calibration noise(Mechanism mechanism, double scale, double sensitivity = 1.0) {
  Calibration c;
  c.mechanism = mechanism;
  c.noise_scale = scale;
  c.sensitivity = sensitivity;
  return c;
}

// The noise of construction bound L = 0.1 or 1 at epsilon = 1, delta = 0.05, sensitivity 1.
Calibration gaussian_of(double bound) {
  return noise(Mechanism::gaussian, bound * std::sqrt(2 * std::log(25.0)));
}
Calibration laplace_of(double bound) { return noise(Mechanism::laplace, bound); }

// The printed figures of a table: equal once rounded to its digits.
void check_printed(double value, double printed, double unit) {
  CHECK(std::round(value / unit) * unit == doctest::Approx(printed).epsilon(1e-9));
}

TEST_CASE("names of certificates, mechanisms and norms are read back") {
  for (const CertificateKind k :
       {CertificateKind::pixeldp, CertificateKind::pixeldp_grid, CertificateKind::exact})
    CHECK(parse_certificate_kind(name(k)) == k);
  for (const Mechanism m : {Mechanism::none, Mechanism::gaussian, Mechanism::laplace})
    CHECK(parse_mechanism(name(m)) == m);
  for (const AttackNorm n : {AttackNorm::l1, AttackNorm::l2, AttackNorm::linf})
    CHECK(parse_attack_norm(name(n)) == n);
  for (const ScoreType t : {ScoreType::argmax, ScoreType::softmax})
    CHECK(parse_score_type(name(t)) == t);
  CHECK_THROWS_AS(parse_certificate_kind("cohen"), Error);
  CHECK_THROWS_AS(parse_mechanism("uniform"), Error);
  CHECK_THROWS_AS(parse_attack_norm("l2"), Error);
  CHECK_THROWS_AS(parse_score_type("logits"), Error);
}

TEST_CASE("noise scales of the construction bounds, as floats rounded up") {
  for (const auto& [bound, sigma] :
       {std::pair{0.03, 0.0761}, {0.1, 0.2537}, {0.3, 0.7612}, {1.0, 2.5373}}) {
    const double scale = noise_scale_for(Mechanism::gaussian, bound, 1.0, 0.05, 1.0);
    check_printed(scale, sigma, 1e-4);
    CHECK(scale >= bound * std::sqrt(2 * std::log(25.0)));
    CHECK(static_cast<double>(static_cast<float>(scale)) == scale);
    CHECK(noise_scale_for(Mechanism::laplace, bound, 0.5, 0.0, 2.0) ==
          doctest::Approx(4 * bound).epsilon(2e-7));
  }
  CHECK_THROWS_AS(noise_scale_for(Mechanism::gaussian, 0.1, 1.5, 0.05, 1.0), Error);
  CHECK_THROWS_AS(noise_scale_for(Mechanism::gaussian, 0.1, 1.0, 0.0, 1.0), Error);
  CHECK_THROWS_AS(noise_scale_for(Mechanism::gaussian, 0.0, 1.0, 0.05, 1.0), Error);
  CHECK_THROWS_AS(noise_scale_for(Mechanism::laplace, 0.1, 1.0, 0.0, std::nan("")), Error);
  CHECK_THROWS_AS(noise_scale_for(Mechanism::none, 0.1, 1.0, 0.05, 1.0), Error);
  CHECK_NOTHROW(noise_scale_for(Mechanism::laplace, 0.1, 3.0, 0.0, 1.0));
}

TEST_CASE("certified sizes of six pairs of bounds at L = 0.1") {
  struct Row {
    double lower, upper, grid, maximised, laplace;
  };
  for (const Row& r :
       {Row{0.9, 0.05, 0.121610, 0.121786, 0.144519}, Row{0.8, 0.1, 0.091700, 0.091726, 0.103972},
        Row{0.6, 0.3, 0.026974, 0.026993, 0.034657}, Row{0.99, 0.005, 0.142336, 0.142530, 0.264413},
        Row{0.5, 0.45, 0.003384, 0.003435, 0.005268},
        Row{0.97, 0.02, 0.136164, 0.136320, 0.194078}}) {
    CAPTURE(r.lower);
    const auto radius = [&](CertificateKind kind, const Calibration& c) {
      return certified_radius(kind, c, r.lower, r.upper);
    };
    check_printed(radius(CertificateKind::pixeldp_grid, gaussian_of(0.1)), r.grid, 1e-6);
    check_printed(radius(CertificateKind::pixeldp, gaussian_of(0.1)), r.maximised, 1e-6);
    check_printed(radius(CertificateKind::pixeldp, laplace_of(0.1)), r.laplace, 1e-6);
    check_printed(radius(CertificateKind::pixeldp_grid, laplace_of(0.1)), r.laplace, 1e-6);
  }
}

TEST_CASE("ceilings of the Gaussian certificate") {
  check_printed(certified_radius(CertificateKind::pixeldp, gaussian_of(1.0), 1.0, 0.0), 1.44744,
                1e-5);
  check_printed(certified_radius(CertificateKind::pixeldp_grid, gaussian_of(1.0), 1.0, 0.0),
                1.44612, 1e-5);
}

TEST_CASE("sizes when all draws agree, by the one-sided bounds at a / K") {
  struct Row {
    std::uint64_t draws;
    double hoeffding, bernstein, clopper_pearson, laplace;
  };
  constexpr double a = 0.05 / 10;
  for (const Row& r :
       {Row{25, 0.2886, 0, 0.6240, 0.7218}, Row{100, 0.7186, 0.8001, 1.2355, 1.4556},
        Row{300, 1.0232, 1.2564, 1.3758, 2.0138}, Row{500, 1.1389, 1.3335, 1.4040, 2.2710},
        Row{1000, 1.2367, 1.3900, 1.4251, 2.6189}, Row{2000, 1.3004, 1.4181, 1.4356, 2.9661}}) {
    CAPTURE(r.draws);
    const auto size = [](const Calibration& c, double lower, double upper) {
      return certified_radius(CertificateKind::pixeldp_grid, c, std::max(lower, 0.0),
                              std::min(upper, 1.0));
    };
    const double h = hoeffding_half_width(r.draws, a);
    check_printed(size(gaussian_of(1.0), 1 - h, h), r.hoeffding, 1e-4);
    const double b = empirical_bernstein_half_width(r.draws, 0.0, a);
    check_printed(size(gaussian_of(1.0), 1 - b, b), r.bernstein, 1e-4);
    const double lower = clopper_pearson_lower(r.draws, r.draws, a);
    const double upper = clopper_pearson_upper(0, r.draws, a);
    check_printed(size(gaussian_of(1.0), lower, upper), r.clopper_pearson, 1e-4);
    check_printed(size(laplace_of(1.0), lower, upper), r.laplace, 1e-4);
  }
}

TEST_CASE(
    "the maximised size is a maximum, at least the grid's, and meets the condition strictly") {
  for (const auto& [lower, upper] : std::vector<std::pair<double, double>>{
           {0.9, 0.05}, {0.8, 0.1}, {0.51, 0.49}, {0.3, 0.299}, {1.0, 0.0}, {0.05, 0.001}}) {
    CAPTURE(lower);
    const Calibration unit = noise(Mechanism::gaussian, 1.0);
    const double radius = certified_radius(CertificateKind::pixeldp, unit, lower, upper);
    CHECK(radius >= certified_radius(CertificateKind::pixeldp_grid, unit, lower, upper));
    double best = 0.0;
    const double largest = upper > 0.0 ? std::min(1.0, std::log(lower / upper) / 2) : 1.0;
    for (int i = 1; i <= 200000; ++i) {
      const double epsilon = i / 200000.0 * largest;
      const double delta = (lower - std::exp(2 * epsilon) * upper) / (1 + std::exp(epsilon));
      if (delta > 0) best = std::max(best, epsilon / std::sqrt(2 * std::log(1.25 / delta)));
    }
    CHECK(radius == doctest::Approx(best).epsilon(1e-6));
    CHECK(radius <= best * (1 + 1e-9));
  }
}

TEST_CASE("the classical Gaussian noise is (epsilon, delta)-DP wherever the certificate uses it") {
  const boost::math::normal normal;
  for (double delta = 1e-30; delta <= 0.5; delta *= 1.5)
    for (const double epsilon : {1e-6, 0.01, 0.3, 0.7, 1.0}) {
      const double mu = epsilon / std::sqrt(2 * std::log(1.25 / delta));
      const double exact = cdf(normal, mu / 2 - epsilon / mu) -
                           std::exp(epsilon) * cdf(normal, -mu / 2 - epsilon / mu);
      CHECK(exact <= delta);
    }
}

TEST_CASE("exact certificates against published values") {
  for (const auto& [lower, upper, printed] : {std::tuple{0.55, 0.45, 0.126},
                                              {0.7, 0.3, 0.524},
                                              {0.8, 0.1, 1.062},
                                              {0.9, 0.1, 1.282},
                                              {0.99, 0.01, 2.326},
                                              {0.9999, 0.0001, 3.719}})
    check_printed(
        certified_radius(CertificateKind::exact, noise(Mechanism::gaussian, 1.0), lower, upper),
        printed, 1e-3);
  for (const auto& [lower, upper, printed] :
       {std::tuple{0.6, 0.2, 0.570}, {0.8, 0.1, 1.263}, {0.9, 0.05, 1.956}, {0.99, 0.005, 4.259}})
    check_printed(
        certified_radius(CertificateKind::exact, noise(Mechanism::laplace, 1.0), lower, upper),
        printed, 1e-3);
}

// Least probability, under noise shifted by the cells' second masses, of any event that has
// probability p under the first: cells taken in the order of their likelihood ratio (Neyman and
// Pearson), the last one in part.
double least_probability(std::vector<std::pair<double, double>> cells, double p) {
  std::sort(cells.begin(), cells.end(),
            [](const auto& a, const auto& b) { return a.second * b.first < b.second * a.first; });
  double shifted = 0.0;
  for (const auto& [mass, shifted_mass] : cells) {
    if (mass >= p) return shifted + (mass > 0 ? shifted_mass * p / mass : 0.0);
    p -= mass;
    shifted += shifted_mass;
  }
  return shifted;
}

double laplace_cdf(double z) { return z < 0 ? 0.5 * std::exp(z) : 1 - 0.5 * std::exp(-z); }

std::vector<double> laplace_masses(double shift, double width, int count) {
  std::vector<double> masses;
  double before = 0.0;
  for (int i = 0; i < count; ++i) {
    const double edge = i + 1 < count ? laplace_cdf((i + 1 - count / 2) * width - shift) : 1.0;
    masses.push_back(edge - before);
    before = edge;
  }
  return masses;
}

TEST_CASE("the exact Laplace size is where the Neyman-Pearson bounds cross") {
  for (const auto& [lower, upper] : std::vector<std::pair<double, double>>{{0.6, 0.2},
                                                                           {0.9, 0.05},
                                                                           {0.9, 0.1},
                                                                           {0.45, 0.3},
                                                                           {0.5, 0.2},
                                                                           {0.55, 0.44},
                                                                           {0.999, 0.0005},
                                                                           {0.7, 0.6},
                                                                           {0.6, 0.45}}) {
    CAPTURE(lower);
    CAPTURE(upper);
    const double size =
        certified_radius(CertificateKind::exact, noise(Mechanism::laplace, 1.0), lower, upper);
    const auto margin = [&](double shift) {
      const auto at = laplace_masses(0.0, 0.001, 60000);
      const auto shifted = laplace_masses(shift, 0.001, 60000);
      std::vector<std::pair<double, double>> cells;
      for (std::size_t i = 0; i < at.size(); ++i) cells.emplace_back(at[i], shifted[i]);
      // The largest probability of the runner-up is the complement of a least one.
      return least_probability(cells, lower) - (1 - least_probability(cells, 1 - upper));
    };
    CHECK(margin(size - 0.003) > 0);
    CHECK(margin(size + 0.003) < 0);
    const double plain =
        certified_radius(CertificateKind::pixeldp, noise(Mechanism::laplace, 1.0), lower, upper);
    CHECK(size >= plain * (1 - 1e-12));
  }
}

TEST_CASE("a Laplace shift split over two axes is never worse than along one") {
  constexpr int count = 240;
  constexpr double width = 0.125;
  const auto cells = [&](double along_x, double along_y) {
    const auto at = laplace_masses(0.0, width, count);
    const auto x = laplace_masses(along_x, width, count), y = laplace_masses(along_y, width, count);
    std::vector<std::pair<double, double>> product;
    for (std::size_t i = 0; i < at.size(); ++i)
      for (std::size_t j = 0; j < at.size(); ++j) product.emplace_back(at[i] * at[j], x[i] * y[j]);
    return product;
  };
  for (const double shift : {0.5, 1.5}) {
    const auto axis = cells(shift, 0.0);
    for (const double part : {0.25, 0.5}) {
      const auto split = cells(shift * (1 - part), shift * part);
      for (const double p : {0.02, 0.1, 0.5, 0.8, 0.95, 0.999})
        CHECK(least_probability(split, p) >= least_probability(axis, p) - 1e-12);
      CHECK(least_probability(split, 0.5) > least_probability(axis, 0.5) + 1e-4);
    }
  }
}

TEST_CASE("the exact Gaussian size is where the Neyman-Pearson bounds cross") {
  const boost::math::normal normal;
  for (const auto& [lower, upper] :
       std::vector<std::pair<double, double>>{{0.6, 0.2}, {0.9, 0.05}, {0.45, 0.3}}) {
    const double size =
        certified_radius(CertificateKind::exact, noise(Mechanism::gaussian, 1.0), lower, upper);
    const auto margin = [&](double shift) {
      std::vector<std::pair<double, double>> cells;
      double at = 0.0, shifted = 0.0;
      for (int i = 0; i < 40000; ++i) {
        const double edge = -10 + (i + 1) * 0.0005 + 0.0005;
        const double next = cdf(normal, edge), next_shifted = cdf(normal, edge - shift);
        cells.emplace_back(next - at, next_shifted - shifted);
        at = next;
        shifted = next_shifted;
      }
      return least_probability(cells, lower) - (1 - least_probability(cells, 1 - upper));
    };
    CHECK(margin(size - 0.002) > 0);
    CHECK(margin(size + 0.002) < 0);
  }
}

TEST_CASE("radii scale with noise over sensitivity, order by certificate, and are never negative") {
  for (const Mechanism mechanism : {Mechanism::gaussian, Mechanism::laplace})
    for (double lower = 0.0; lower <= 1.0; lower += 0.05)
      for (double upper = 0.0; upper <= 1.0; upper += 0.05) {
        CAPTURE(lower);
        CAPTURE(upper);
        const auto radius = [&](CertificateKind kind, double scale, double sensitivity) {
          return certified_radius(kind, noise(mechanism, scale, sensitivity), lower, upper);
        };
        const double plain = radius(CertificateKind::pixeldp, 1.0, 1.0);
        const double exact = radius(CertificateKind::exact, 1.0, 1.0);
        CHECK(plain >= 0.0);
        CHECK(std::isfinite(exact));
        CHECK((exact > 0.0) == (lower > upper + 1e-9));
        CHECK(exact >= plain * (1 - 1e-12));
        CHECK(radius(CertificateKind::pixeldp, 3.0, 1.5) == doctest::Approx(2 * plain));
        CHECK(radius(CertificateKind::exact, 3.0, 1.5) == doctest::Approx(2 * exact));
      }
}

TEST_CASE("no certificate without noise, sensitivity or valid bounds") {
  const auto radius = [](const Calibration& c, double lower = 0.9, double upper = 0.1) {
    return certified_radius(CertificateKind::pixeldp, c, lower, upper);
  };
  CHECK_THROWS_AS(radius(Calibration{}), Error);
  for (const double bad : {0.0, -1.0, std::nan(""), infinity}) {
    CHECK_THROWS_WITH_AS(radius(noise(Mechanism::gaussian, 1.0, bad)),
                         doctest::Contains("sensitivity"), Error);
    CHECK_THROWS_WITH_AS(radius(noise(Mechanism::laplace, bad)), doctest::Contains("noise scale"),
                         Error);
  }
  Calibration c = noise(Mechanism::gaussian, 1.0);
  const double without_construction = radius(c);
  c.construction = Construction{.bound = 0.1};
  CHECK(radius(c) == without_construction);
  c.construction->delta = 0.0;
  CHECK_THROWS_AS(radius(c), Error);
  c = noise(Mechanism::laplace, 1.0);
  c.construction = Construction{.bound = 0.1, .delta = 0.0};
  CHECK_NOTHROW(radius(c));
  c.construction->epsilon = std::nan("");
  CHECK_THROWS_AS(radius(c), Error);
  c = noise(Mechanism::gaussian, 1.0);
  for (const double bad : {-0.1, 1.1, std::nan("")}) {
    CHECK_THROWS_AS(radius(c, bad, 0.1), Error);
    CHECK_THROWS_AS(radius(c, 0.9, bad), Error);
  }
}

TEST_CASE("certify takes the top label, or the one selected on separate draws") {
  const Calibration c = noise(Mechanism::gaussian, 1.0);
  const CertificateOptions options;
  const ScoreStatistics s = statistics_of_votes({10, 280, 6, 4});
  const Certificate same = certify(s, c, options);
  CHECK(same.prediction == 1);
  CHECK(same.lower == doctest::Approx(clopper_pearson_lower(280, 300, 0.05 / 8)));
  CHECK(same.upper == doctest::Approx(clopper_pearson_upper(10, 300, 0.05 / 8)));
  CHECK(options.kind == CertificateKind::exact);
  CHECK(same.radius == certified_radius(CertificateKind::exact, c, same.lower, same.upper));
  const Certificate separate = certify(s, c, options, 1);
  CHECK(separate.lower == doctest::Approx(clopper_pearson_lower(280, 300, 0.025)));
  CHECK(separate.radius > same.radius);
  // A label that the estimation draws do not favour is simply not certified.
  const Certificate wrong = certify(s, c, options, 2);
  CHECK(wrong.prediction == 2);
  CHECK(wrong.radius == 0.0);
  CHECK_THROWS_AS(certify(s, c, options, 4), Error);
  CHECK_THROWS_AS(certify(s, c, options, -1), Error);
  CHECK_THROWS_AS(certify(s, Calibration{}, options), Error);
  // The lowest index wins a tie.
  CHECK(certify(statistics_of_votes({5, 9, 9}), c, options).prediction == 1);
}

TEST_CASE("two classes with a label chosen beforehand have the radii of Cohen et al.") {
  CertificateOptions options;
  options.alpha = 0.001;
  const auto radius = [&](std::uint64_t draws, double sigma) {
    return certify(statistics_of_votes({draws, 0}), noise(Mechanism::gaussian, sigma), options, 0)
        .radius;
  };
  // sigma Phi^-1(alpha^(1/n))
  CHECK(radius(14, 0.5) == doctest::Approx(0.140364).epsilon(1e-5));
  CHECK(radius(10, 0.5) == doctest::Approx(0.001488).epsilon(1e-3));
  CHECK(radius(100000, 0.25) == doctest::Approx(0.952864).epsilon(1e-6));
}

TEST_CASE("the runner-up's bound is the largest over all labels and at most 1 - lower") {
  const Calibration c = noise(Mechanism::gaussian, 1.0);
  CertificateOptions options;
  options.bound = Bound::hoeffding;
  const Certificate two = certify(statistics_of_votes({290, 10}), c, options);
  CHECK(two.upper == doctest::Approx(1 - two.lower).epsilon(1e-12));
  CHECK(two.upper <= 1 - two.lower + 0x1p-52);
  // Empirical Bernstein: a smaller mean with a larger variance can have the larger bound. Class 1
  // always scores 1/8, class 2 scores 1/2 in every fifth draw and else 0.
  options.bound = Bound::empirical_bernstein;
  options.scores = ScoreType::softmax;
  ScoreStatistics s;
  s.draws = 10000;
  const double unit = 0x1p32;
  const auto sum = [&](double per_draw) {
    return static_cast<std::uint64_t>(per_draw * 10000 * unit);
  };
  s.sums = {sum(1 - 0.125 - 0.1), sum(0.125), sum(0.1)};
  s.squares = {sum(0.7 * 0.7), sum(0.125 * 0.125), sum(0.05)};
  const ScoreBounds bounds =
      score_bounds(s, ScoreType::softmax, Bound::empirical_bernstein, 1e-90, Selection::same_draws);
  options.alpha = 1e-90;
  CHECK(bounds.upper[2] > bounds.upper[1]);
  CHECK(certify(s, c, options).upper == bounds.upper[2]);
}

}  // namespace
}  // namespace pixeldp
