#include "pixeldp/regression/output_certificate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

#include "kernels/draw_statistics.hpp"
#include "pixeldp/special_functions.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using kernels::OutputKind;
using kernels::RealOutput;

namespace {

/// Values of an output, ascending, and their probabilities.
struct OutputLaw {
  std::vector<double> values, probabilities;

  double mean() const {
    return std::inner_product(values.begin(), values.end(), probabilities.begin(), 0.0);
  }
  /// The largest mean of any output with this law where noise of scale 1 has moved by `size`: by
  /// Neyman and Pearson of the one that rises with the noise.
  double largest_mean(double size, Mechanism noise = Mechanism::gaussian) const {
    double mean = 0.0, below = 0.0, cdf_before = 0.0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      below += probabilities[i];
      const double cdf = i + 1 == values.size() ? 1.0
                         : noise == Mechanism::gaussian
                             ? normal_cdf(kernels::normal_quantile(below) - size)
                             : 1.0 - probability_after(noise, 1.0 - below, size);
      mean += values[i] * (cdf - cdf_before);
      cdf_before = cdf;
    }
    return mean;
  }
  OutputLaw mirrored() const {
    OutputLaw law{{values.rbegin(), values.rend()}, {probabilities.rbegin(), probabilities.rend()}};
    for (double& value : law.values) value = -value;
    return law;
  }
  double smallest_mean(double size, Mechanism noise = Mechanism::gaussian) const {
    return -mirrored().largest_mean(size, noise);
  }
};

/// What draws leave of which so many had each value.
OutputStatistics output_statistics_of(const OutputLaw& law, std::vector<std::uint64_t> draws,
                                      const RealOutput& output) {
  OutputStatistics statistics;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const double value = law.values[i];
    const auto add = [&](double score, std::uint64_t& sum, std::uint64_t& squares) {
      sum += draws[i] * static_cast<std::uint64_t>(std::llrint(score / kernels::score_unit));
      squares +=
          draws[i] * static_cast<std::uint64_t>(std::llrint(score * score / kernels::score_unit));
    };
    auto& totals = statistics.totals;
    if (value > 0) add(value / output.high, totals.positive, totals.positive_squares);
    if (value < 0) add(value / output.low, totals.negative, totals.negative_squares);
    const double place = (value - output.low) / output.width();
    totals.counts[static_cast<std::size_t>(place * kernels::output_steps)] += draws[i];
    statistics.draws += draws[i];
  }
  return statistics;
}

OutputStatistics expected_statistics(const OutputLaw& law, std::uint64_t draws,
                                     const RealOutput& output) {
  std::vector<std::uint64_t> each;
  for (const double p : law.probabilities)
    each.push_back(static_cast<std::uint64_t>(std::llrint(p * static_cast<double>(draws))));
  return output_statistics_of(law, each, output);
}

Calibration output_noise(Mechanism mechanism = Mechanism::gaussian) {
  return {.mechanism = mechanism,
          .attack_norm = mechanism == Mechanism::laplace ? AttackNorm::l1 : AttackNorm::l2,
          .noise_scale = 1.0,
          .sensitivity = 1.0};
}

constexpr RealOutput angle_output{OutputKind::sigmoid, -50.0, 50.0};
const OutputLaw skewed_law{{-2.0, 1.0, 48.0}, {0.6, 0.37, 0.03}};

constexpr std::array<OutputOptions, 6> mean_options = {
    {{Prediction::mean, CertificateKind::pixeldp, Bound::hoeffding, 0.05},
     {Prediction::mean, CertificateKind::pixeldp, Bound::empirical_bernstein, 0.05},
     {Prediction::mean, CertificateKind::pixeldp, Bound::betting, 0.05},
     {Prediction::mean, CertificateKind::exact, Bound::hoeffding, 0.05},
     {Prediction::mean, CertificateKind::exact, Bound::empirical_bernstein, 0.05},
     {Prediction::mean, CertificateKind::exact, Bound::betting, 0.05}}};
constexpr OutputOptions median_options{Prediction::median, CertificateKind::exact,
                                       Bound::clopper_pearson, 0.05};

}  // namespace

TEST_CASE("no output that is private leaves the interval of the lemma, and one goes near") {
  // A(z) of z with Gaussian noise of scale 1, moved by s: (epsilon, delta) by Balle and Wang.
  for (const double s : {0.05, 0.3, 1.0})
    for (const double epsilon : {0.01, 0.3, 1.0, 2.0}) {
      const double delta =
          normal_cdf(s / 2 - epsilon / s) - std::exp(epsilon) * normal_cdf(-s / 2 - epsilon / s);
      for (const OutputLaw& law : {skewed_law, skewed_law.mirrored(),
                                   OutputLaw{{-50.0, 50.0}, {0.3, 0.7}}, OutputLaw{{0.0}, {1.0}}}) {
        double positive = 0.0, negative = 0.0;
        for (std::size_t i = 0; i < law.values.size(); ++i)
          (law.values[i] > 0 ? positive : negative) +=
              std::abs(law.values[i]) * law.probabilities[i];
        const OutputInterval range{-50.0, 50.0};
        const auto interval =
            stable_interval({positive, positive}, {negative, negative}, range, epsilon, delta);
        CHECK(interval.high >= law.largest_mean(s) - 1e-12);
        CHECK(interval.low <= law.smallest_mean(s) + 1e-12);
        const double move = stable_move(positive, negative, range, epsilon, delta);
        CHECK(move >= law.largest_mean(s) - law.mean() - 1e-12);
        CHECK(move >= law.mean() - law.smallest_mean(s) - 1e-12);
      }
    }
  // Laplace noise multiplies a probability below one half by e^s: the lemma is tight there, and an
  // infinite range does no harm.
  const double infinite = std::numeric_limits<double>::infinity();
  const auto tight = stable_interval({0.2, 0.2}, {0.0, 0.0}, {-infinite, infinite}, 0.5, 0.0);
  CHECK(tight.high == doctest::Approx(probability_after(Mechanism::laplace, 0.2, 0.5)));
  CHECK(tight.low == doctest::Approx(0.2 * std::exp(-0.5)));
}

TEST_CASE("what an attack makes of a probability is what Neyman and Pearson find on a fine grid") {
  for (const Mechanism noise : {Mechanism::gaussian, Mechanism::laplace})
    for (const double size : {0.2, 1.0, 2.5}) {
      struct Cell {
        double now, then;
      };
      std::vector<Cell> cells;
      constexpr double width = 1e-3;
      for (double z = -30.0; z < 30.0; z += width) {
        const auto density = [&](double at) {
          return width * (noise == Mechanism::laplace
                              ? 0.5 * std::exp(-std::abs(at))
                              : std::exp(-0.5 * at * at) / std::sqrt(2.0 * std::numbers::pi));
        };
        cells.push_back({density(z), density(z - size)});
      }
      std::ranges::sort(
          cells, [](const Cell& a, const Cell& b) { return a.then * b.now > b.then * a.now; });
      double now = 0.0, then = 0.0;
      double next = 0.02;
      for (const Cell& cell : cells) {
        now += cell.now, then += cell.then;
        if (now < next) continue;
        CHECK(probability_after(noise, now, size) == doctest::Approx(then).epsilon(2e-3));
        next = now + 0.07;
      }
    }
}

TEST_CASE("with many draws the exact interval is the least possible, but for the steps") {
  for (const OutputLaw& law : {skewed_law, skewed_law.mirrored()}) {
    const OutputStatistics statistics = expected_statistics(law, 1'000'000'000, angle_output);
    const OutputCertificate exact(statistics, angle_output, output_noise(),
                                  {Prediction::mean, CertificateKind::exact, Bound::betting, 0.05});
    for (const double radius : {0.1, 0.5, 1.0, 2.0}) {
      const OutputInterval interval = exact.interval(radius);
      const double step = angle_output.width() / kernels::output_steps;
      CHECK(interval.high >= law.largest_mean(radius));
      CHECK(interval.high <= law.largest_mean(radius) + step + 0.1);
      CHECK(interval.low <= law.smallest_mean(radius));
      CHECK(interval.low >= law.smallest_mean(radius) - step - 0.1);
      CHECK(exact.move(radius) >= law.largest_mean(radius) - law.mean());
      CHECK(exact.move(radius) <= interval.width());
      const OutputCertificate lemma(
          statistics, angle_output, output_noise(),
          {Prediction::mean, CertificateKind::pixeldp, Bound::betting, 0.05});
      CHECK(lemma.interval(radius).width() > interval.width());
      CHECK(lemma.move(radius) > exact.move(radius));
    }
    CHECK(exact.interval(0.0).width() < 0.1);
  }
}

TEST_CASE("with many draws the median's interval is that of the quantiles") {
  // 0.2 at -20, 0.6 at 0, 0.2 at 30.
  const OutputLaw law{{-20.0, 0.5, 30.0}, {0.2, 0.6, 0.2}};
  const OutputStatistics statistics = expected_statistics(law, 1'000'000'000, angle_output);
  const OutputCertificate median(statistics, angle_output, output_noise(), median_options);
  const double reach = -kernels::normal_quantile(0.2);  // Phi(-reach) = 0.2
  const auto near = median.interval(reach - 0.01), far = median.interval(reach + 0.01);
  CHECK(near.contains(0.5));
  CHECK(near.width() <= angle_output.width() / kernels::output_steps + 1e-9);
  CHECK(far.contains(-20.0));
  CHECK(far.contains(30.0));
  CHECK(median.move(reach - 0.01) <= angle_output.width() / kernels::output_steps + 1e-9);
  // Nothing limits it beyond the outermost step of an unbounded output.
  const RealOutput unbounded{OutputKind::unbounded, -50.0, 50.0};
  const OutputCertificate open(statistics, unbounded, output_noise(), median_options);
  CHECK(open.interval(reach - 0.01).contains(0.5));
  CHECK(std::isinf(open.interval(60.0).high));
  CHECK(std::isinf(open.move(60.0)));
}

TEST_CASE("10,000 certifications of skewed outputs fail no more often than alpha") {
  std::mt19937_64 random(5);
  constexpr double radius = 0.4;
  constexpr int runs = 10'000, draws = 60;
  for (const auto& [law, noise] :
       std::vector<std::pair<OutputLaw, Mechanism>>{{skewed_law, Mechanism::gaussian},
                                                    {skewed_law.mirrored(), Mechanism::gaussian},
                                                    {skewed_law, Mechanism::laplace}}) {
    const double high = law.largest_mean(radius, noise), low = law.smallest_mean(radius, noise);
    const double move = std::max(high - law.mean(), law.mean() - low);
    for (const OutputOptions& options : mean_options) {
      CAPTURE(name(noise));
      CAPTURE(name(options.kind));
      CAPTURE(name(options.bound));
      // Whether it fails depends on two counts only.
      std::map<std::array<std::uint64_t, 2>, bool> known;
      std::binomial_distribution<std::uint64_t> rare(draws, law.probabilities[2]);
      int failures = 0;
      for (int run = 0; run < runs; ++run) {
        const std::uint64_t last = rare(random);
        std::binomial_distribution<std::uint64_t> of_rest(
            draws - last, law.probabilities[0] / (1.0 - law.probabilities[2]));
        const std::uint64_t first = of_rest(random);
        const auto [at, is_new] = known.try_emplace({first, last});
        if (is_new) {
          const OutputStatistics statistics =
              output_statistics_of(law, {first, draws - first - last, last}, angle_output);
          const OutputCertificate certificate(statistics, angle_output, output_noise(noise),
                                              options);
          const OutputInterval interval = certificate.interval(radius);
          at->second = interval.high < high || interval.low > low ||
                       certificate.move(radius) < move ||
                       !certificate.interval(0.0).contains(law.mean());
        }
        failures += at->second;
      }
      CHECK(failures <= runs * options.alpha);
    }
  }
}

TEST_CASE("the bounds of the median fail no more often than alpha") {
  // P(u >= middle) is .5 + a hair, so that the median lies just above it.
  const OutputLaw law{{-10.0, 10.0}, {0.4999, 0.5001}};
  std::mt19937_64 random(6);
  std::binomial_distribution<std::uint64_t> of_first(100, law.probabilities[0]);
  std::map<std::uint64_t, bool> known;
  int failures = 0;
  for (int run = 0; run < 10'000; ++run) {
    const std::uint64_t first = of_first(random);
    const auto [at, is_new] = known.try_emplace(first);
    if (is_new) {
      const OutputStatistics statistics =
          output_statistics_of(law, {first, 100 - first}, angle_output);
      at->second = !OutputCertificate(statistics, angle_output, output_noise(), median_options)
                        .interval(0.0)
                        .contains(10.0);
    }
    failures += at->second;
  }
  CHECK(failures <= 500);
}

TEST_CASE("the interval of the median loses an attacked median no more often than alpha") {
  // An attack of 0.3 makes of P(A = 30) = .4 just over one half, so that the median moves to 30.
  const OutputLaw law{{-20.0, 0.5, 30.0}, {0.3, 0.3, 0.4}};
  constexpr double size = 0.3;
  REQUIRE(probability_after(Mechanism::gaussian, 0.4, size) > 0.5);
  REQUIRE(probability_after(Mechanism::gaussian, 0.3, size) < 0.5);
  std::mt19937_64 random(8);
  std::binomial_distribution<std::uint64_t> rare(100, law.probabilities[2]);
  std::map<std::array<std::uint64_t, 2>, bool> known;
  int failures = 0, tight = 0;
  for (int run = 0; run < 10'000; ++run) {
    const std::uint64_t last = rare(random);
    std::binomial_distribution<std::uint64_t> of_rest(100 - last, 0.5);
    const std::uint64_t first = of_rest(random);
    const auto [at, is_new] = known.try_emplace({first, last});
    if (is_new) {
      const OutputCertificate certificate(
          output_statistics_of(law, {first, 100 - first - last, last}, angle_output), angle_output,
          output_noise(), median_options);
      const OutputInterval interval = certificate.interval(size);
      at->second = !interval.contains(30.0) || !interval.contains(0.5) ||
                   certificate.move(size) < 30.0 - 0.5;
      tight += certificate.interval(0.0).low > -20.0;
    }
    failures += at->second;
  }
  CHECK(failures <= 500);
  CHECK(tight > 0);  // or it would say nothing
}

TEST_CASE("intervals and moves grow with the radius and with the range") {
  for (const Mechanism noise : {Mechanism::gaussian, Mechanism::laplace}) {
    std::vector<OutputOptions> all(mean_options.begin(), mean_options.end());
    all.push_back(median_options);
    for (const OutputOptions& options : all) {
      CAPTURE(name(options.kind));
      CAPTURE(name(options.bound));
      const auto certificate = [&](const RealOutput& output) {
        return OutputCertificate(expected_statistics(skewed_law, 1000, output), output,
                                 output_noise(noise), options);
      };
      const OutputCertificate own = certificate(angle_output);
      const OutputCertificate wider = certificate({OutputKind::sigmoid, -100.0, 100.0});
      double before = 0.0, move_before = 0.0;
      for (const double radius : {0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 20.0}) {
        const OutputInterval interval = own.interval(radius);
        CHECK(interval.width() >= before);
        CHECK(own.move(radius) >= move_before);
        before = interval.width(), move_before = own.move(radius);
        CHECK(interval.low >= -50.0);
        CHECK(interval.high <= 50.0);
        // Bets are placed on guesses of the spread, which may be better for another range.
        if (options.bound != Bound::betting)
          CHECK(wider.interval(radius).width() >= interval.width() - 1e-9);
      }
      const double far = own.radius_of(20.0);
      CHECK(own.move(far) <= 20.0);
      CHECK(own.move(far * 1.01 + 1e-6) > 20.0 - 1e-9);
      CHECK(own.radius_of(30.0) >= far);
    }
  }
}

TEST_CASE("charged intervals hold where the law drawn from is only near the theorem's, twice") {
  constexpr double v = 0.02, size = 0.5;
  Calibration charged = output_noise();
  charged.variation = v;
  // At the image what is drawn from has less of the largest value, and at the attack more of it.
  const OutputLaw drawn{skewed_law.values, {0.6 + v, 0.37, 0.03 - v}};
  const double width = skewed_law.values.back() - skewed_law.values.front();
  const double attacked = skewed_law.largest_mean(size) + v * width;
  for (const OutputOptions& options : mean_options) {
    CAPTURE(name(options.kind));
    CAPTURE(name(options.bound));
    const auto statistics = expected_statistics(drawn, 100'000'000, angle_output);
    const OutputCertificate own(statistics, angle_output, output_noise(), options);
    const OutputCertificate careful(statistics, angle_output, charged, options);
    CHECK(careful.interval(size).high >= attacked);
    CHECK(careful.move(size) >= attacked - drawn.mean());
    if (options.kind == CertificateKind::exact) {
      CHECK(own.interval(size).high < attacked);  // or the test would say nothing
      CHECK(own.move(size) < attacked - drawn.mean());
      CHECK(careful.interval(size).low <= own.interval(size).low - v * width);
    }
    CHECK(careful.radius_of(40.0) < own.radius_of(40.0));
    CHECK(careful.move(0.0) == 0.0);
  }
  // The median of a law that is v away on either side of 1/2.
  const OutputLaw halves{{-30.0, 30.0}, {0.49, 0.51}};
  const auto counted = expected_statistics(halves, 100'000'000, angle_output);
  CHECK(OutputCertificate(counted, angle_output, output_noise(), median_options).interval(0.0).low >
        0.0);
  CHECK(OutputCertificate(counted, angle_output, charged, median_options).interval(0.0).low < 0.0);
}

TEST_CASE("rounding before the noise makes attacks on a regression network longer") {
  Calibration rounded = output_noise();
  rounded.prefix_error = 0.05, rounded.sensitivity = 0.8;
  Calibration real = rounded;
  real.prefix_error = 0.0;
  const auto statistics = expected_statistics(skewed_law, 1000, angle_output);
  for (const OutputOptions& options : mean_options) {
    const OutputCertificate careful(statistics, angle_output, rounded, options),
        own(statistics, angle_output, real, options);
    for (const double radius : {0.1, 0.4}) {
      const double longer = radius + 2.0 * rounded.prefix_error / rounded.sensitivity;
      CHECK(careful.interval(radius).high ==
            doctest::Approx(own.interval(longer).high).epsilon(1e-12));
      CHECK(careful.move(radius) == doctest::Approx(own.move(longer)).epsilon(1e-12));
    }
    CHECK(careful.radius_of(1e-3) == 0.0);
  }
}

TEST_CASE("what no lemma and no bound covers is refused with the reason") {
  const Calibration gaussian = output_noise(), laplace = output_noise(Mechanism::laplace);
  const auto check = [](const OutputOptions& options, const RealOutput& output,
                        const Calibration& noise) { check_output_options(options, output, noise); };
  const OutputOptions lemma{Prediction::mean, CertificateKind::pixeldp, Bound::betting, 0.05};
  const OutputOptions exact{Prediction::mean, CertificateKind::exact, Bound::betting, 0.05};
  const RealOutput unbounded{OutputKind::unbounded, -50.0, 50.0};
  CHECK_NOTHROW(check(lemma, angle_output, gaussian));
  CHECK_FAILS(check(lemma, {OutputKind::sigmoid, 10.0, 50.0}, gaussian), "contains 0");
  CHECK_NOTHROW(check(exact, {OutputKind::sigmoid, 10.0, 50.0}, gaussian));
  CHECK_FAILS(check(lemma, unbounded, gaussian), "only Laplace noise has delta = 0");
  CHECK_FAILS(check(lemma, unbounded, laplace), "no number of draws bounds the expectation");
  CHECK_FAILS(check(exact, unbounded, laplace), "a rare draw may be as large");
  CHECK_NOTHROW(check(median_options, unbounded, gaussian));
  OutputOptions wrong = median_options;
  wrong.kind = CertificateKind::pixeldp;
  CHECK_FAILS(check(wrong, angle_output, gaussian), "speaks of expectations");
  wrong = median_options;
  wrong.bound = Bound::betting;
  CHECK_FAILS(check(wrong, angle_output, gaussian), "--prediction median takes clopper-pearson");
  wrong = exact;
  wrong.bound = Bound::clopper_pearson;
  CHECK_FAILS(check(wrong, angle_output, gaussian), "are of votes");
  wrong = exact;
  wrong.kind = CertificateKind::pixeldp_grid;
  CHECK_FAILS(check(wrong, angle_output, gaussian), "pixeldp-grid is for classifiers");
  CHECK_FAILS(check(exact, angle_output, {}), "without noise");
  wrong = exact;
  wrong.alpha = 1.0;
  CHECK_FAILS(check(wrong, angle_output, gaussian), "between 0 and 1");

  const OutputCertificate certificate(expected_statistics(skewed_law, 100, angle_output),
                                      angle_output, gaussian, exact);
  CHECK_FAILS(certificate.interval(-1.0), "from 0 up");
  CHECK_FAILS(certificate.radius_of(0.0), "above 0");
  CHECK_FAILS(OutputCertificate({}, angle_output, gaussian, exact), "at least 1");
}

TEST_CASE("the mean and the median of what was drawn") {
  const OutputStatistics statistics = expected_statistics(skewed_law, 1000, angle_output);
  CHECK(statistics.mean(angle_output) == doctest::Approx(skewed_law.mean()).epsilon(1e-8));
  CHECK(std::abs(statistics.median(angle_output) - -2.0) <=
        angle_output.width() / kernels::output_steps / 2 + 1e-9);
}
