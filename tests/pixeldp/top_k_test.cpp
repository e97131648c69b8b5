#include "pixeldp/top_k.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <random>

#include <doctest/doctest.h>

#include "engine/philox.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/certificate.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::top_k_test {
namespace {

using kernels::RadiusRule;

std::vector<double> largest(std::vector<double> values, std::size_t count) {
  std::ranges::sort(values, std::greater());
  values.resize(count);
  return values;
}

// ---- Against an attacker who knows the noise, computed from densities alone

/// Noise on a line before and after a shift, in cells of rising likelihood ratio.
class Attacker {
 public:
  Attacker(bool gaussian, double shift) {
    constexpr double width = 0x1p-9, reach = 12.0;
    const auto density = [&](double x) {
      return gaussian ? std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi)
                      : 0.5 * std::exp(-std::abs(x));
    };
    double p = 0.0, q = 0.0;
    for (double x = -reach; x < reach + shift; x += width) {
      p_.push_back(p += width * density(x));
      q_.push_back(q += width * density(x - shift));
    }
  }
  /// What is left of a score that an image had as a share p of its draws, at least.
  double least(double p) const {
    const auto at =
        std::min<std::ptrdiff_t>(std::ranges::lower_bound(p_, p) - p_.begin(), std::ssize(p_) - 1);
    const auto i = static_cast<std::size_t>(at);
    if (i == 0) return q_[0];
    const double part = std::min(1.0, (p - p_[i - 1]) / (p_[i] - p_[i - 1]));
    return q_[i - 1] + part * (q_[i] - q_[i - 1]);
  }
  /// The score that each of several labels can get at once. They play for cells: who has the least
  /// so far is served first, with all cells that its share before the attack buys.
  double each(const std::vector<double>& shares) const {
    constexpr int rounds = 4000;
    std::vector<double> totals(shares.size(), 0.0);
    std::vector<std::size_t> order(shares.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (int round = 0; round < rounds; ++round) {
      std::ranges::stable_sort(order, {}, [&](std::size_t j) { return totals[j]; });
      double below = 1.0;  // of the draws before the attack
      for (const std::size_t j : order) {
        totals[j] += least(below) - least(below - shares[j]);
        below -= shares[j];
      }
    }
    return std::ranges::min(totals) / rounds;
  }

 private:
  std::vector<double> p_, q_;  // shares of all cells up to each
};

TEST_CASE("top-k sizes are those at which an attacker of known scores begins to win") {
  struct Scores {
    double label;
    std::vector<double> others;
  };
  for (const Scores& scores : {Scores{0.5, {0.3, 0.15, 0.05}},
                               {0.4, {0.35, 0.15, 0.06, 0.04}},
                               {0.3, {0.2, 0.2, 0.2, 0.1}},
                               {0.45, {0.25, 0.25, 0.05}},
                               {0.25, {0.5, 0.15, 0.06, 0.04}},
                               {0.9, {0.08, 0.01, 0.01}}})
    for (std::size_t top = 1; top < scores.others.size(); ++top)
      for (const bool gaussian : {true, false}) {
        CAPTURE(scores.label);
        CAPTURE(top);
        CAPTURE(gaussian);
        const std::vector<double> others = largest(scores.others, top);
        double safe = 0.0, lost = 4.0;
        while (lost - safe > 0x1p-10) {
          const double middle = 0.5 * (safe + lost);
          const Attacker attacker(gaussian, middle);
          (attacker.least(scores.label) > attacker.each(others) ? safe : lost) = middle;
        }
        const auto classes = static_cast<std::int64_t>(scores.others.size()) + 1;
        const auto size = [&](RadiusRule rule) {
          return top_k_attack_size(rule, scores.label, others, classes, false);
        };
        const double exact =
            size(gaussian ? RadiusRule::gaussian_exact : RadiusRule::laplace_exact);
        const double papers = size(gaussian ? RadiusRule::gaussian : RadiusRule::laplace);
        CHECK(exact == doctest::Approx(safe).epsilon(0.004));
        CHECK(papers <= exact * (1.0 + 1e-9));  // the same below one half, but for margins
        CHECK((papers > 0.0) == (exact > 0.0));
      }
}

TEST_CASE("the first of one is the certificate of the first label") {
  for (const RadiusRule rule : {RadiusRule::gaussian_exact, RadiusRule::laplace_exact,
                                RadiusRule::gaussian, RadiusRule::laplace})
    for (const auto& [lower, upper] : {std::pair{0.9, 0.05},
                                       {0.6, 0.4},
                                       {0.45, 0.2},
                                       {0.2, 0.3},
                                       {0.5, 0.5},
                                       {0.999, 1e-6},
                                       {0.7, 0.6}}) {
      CAPTURE(static_cast<int>(rule));
      CAPTURE(lower);
      const double one = kernels::attack_size(
          rule, lower, kernels::upper_beside(lower, upper, 10, false), kernels::InTurn());
      const double size = top_k_attack_size(rule, lower, {{upper}}, 10, false);
      CHECK(size == doctest::Approx(std::max(one, 0.0)).epsilon(1e-9));
    }
}

// ---- Certificates of votes

const Calibration unit_noise = {
    .mechanism = Mechanism::gaussian, .noise_scale = 1.0, .sensitivity = 1.0};

TEST_CASE(
    "a label is among the more the farther, and other labels beyond the K first cost nothing") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 60; ++round) {
    std::vector<double> weights(6);
    for (double& w : weights) w = std::exp(2.0 * std::normal_distribution<double>()(random));
    std::discrete_distribution<std::size_t> law(weights.begin(), weights.end());
    ScoreStatistics statistics = statistics_of_votes(std::vector<std::uint64_t>(6, 0));
    for (; statistics.draws < 300; ++statistics.draws) ++statistics.votes[law(random)];
    for (const Mechanism mechanism : noise_mechanisms)
      for (const CertificateKind kind : {CertificateKind::exact, CertificateKind::pixeldp})
        for (const Bound bound : {Bound::clopper_pearson, Bound::anytime, Bound::betting}) {
          Calibration calibration = unit_noise;
          calibration.mechanism = mechanism;
          double before = 0.0;
          for (int top = 1; top < 6; ++top) {
            CAPTURE(top);
            const Certificate c =
                certify(statistics, calibration, {.bound = bound, .kind = kind, .top = top});
            CHECK(c.radius >= before * (1.0 - 1e-9) - 1e-12);
            CHECK(c.radius == doctest::Approx(c.size));
            before = c.radius;
          }
        }
  }
  // Nine tenths of the votes for two labels: neither is first for sure, both are among two.
  const ScoreStatistics two = statistics_of_votes({140, 130, 20, 10});
  CHECK(certify(two, unit_noise, {}).radius == 0.0);
  CHECK(certify(two, unit_noise, {.top = 2}).radius > 0.4);
  CHECK(certify(two, unit_noise, {.top = 2}, 1).radius > 0.4);
  CHECK(certify(two, unit_noise, {.top = 2}, 2).radius == 0.0);
}

TEST_CASE("a label that other draws chose pays for its own bound and those of K others") {
  const ScoreStatistics statistics = statistics_of_votes({60, 20, 12, 8});
  const auto bounds = [&](Bound bound, Selection selection, int top) {
    return score_bounds(statistics, ScoreType::argmax, bound, 0.1, selection, top);
  };
  const Selection separate = Selection::separate_draws, same = Selection::same_draws;
  CHECK(bounds(Bound::clopper_pearson, separate, 3).upper[1] ==
        doctest::Approx(clopper_pearson_upper(20, 100, 0.1 / 4)));
  CHECK(bounds(Bound::clopper_pearson, separate, 3).lower[0] ==
        doctest::Approx(clopper_pearson_lower(60, 100, 0.1 / 4)));
  CHECK(bounds(Bound::pairwise, separate, 2).lower[0] ==
        doctest::Approx(clopper_pearson_lower(60, 100, 0.08)));
  CHECK(bounds(Bound::pairwise, separate, 2).upper[1] ==
        doctest::Approx(clopper_pearson_upper(20, 100, 0.01)));
  CHECK(bounds(Bound::pairwise, same, 3).upper[1] ==
        doctest::Approx(clopper_pearson_upper(20, 100, 0.01)));
  CHECK(bounds(Bound::anytime, separate, 2).upper[1] ==
        doctest::Approx(anytime_upper(20, 100, 0.01)));
  // On the same draws all bounds hold together already.
  CHECK(bounds(Bound::clopper_pearson, same, 3).upper ==
        bounds(Bound::clopper_pearson, same, 1).upper);
}

TEST_CASE("what no label can be among, or is not derived, is refused by name") {
  const ScoreStatistics statistics = statistics_of_votes({60, 30, 10});
  CHECK_FAILS(certify(statistics, unit_noise, {.top = 3}), "top 3 of 3 classes");
  CHECK_FAILS(certify(statistics, unit_noise, {.top = 0}), "top 0");
  CHECK_FAILS(certify(statistics, unit_noise, {.kind = CertificateKind::pixeldp_grid, .top = 2}),
              "pixeldp-grid");
  CHECK_FAILS(bounds_params(unit_noise, {.top = 2}, 1, 3), "among the 2 first");
}

// ---- Coverage: of 10,000 predictions for each law

constexpr int runs = 10'000;
constexpr std::uint32_t draws = 60;
constexpr double alpha = 0.1;
const double most_failures = alpha + 3.8 * std::sqrt(alpha * (1 - alpha) / runs);

struct Law {
  const char* name;
  std::vector<double> p;

  Law(const char* law_name, std::size_t classes, std::vector<double> first)
      : name(law_name), p(std::move(first)) {
    const double rest = 1.0 - std::accumulate(p.begin(), p.end(), 0.0);
    const double others = std::max(1.0, static_cast<double>(classes - p.size()));
    p.resize(classes, std::max(0.0, rest) / others);
  }
};

/// The size within which a label with these expected scores stays among the first.
double true_size(const std::vector<double>& p, std::size_t label, int top) {
  std::vector<double> others = p;
  others.erase(others.begin() + static_cast<std::ptrdiff_t>(label));
  return top_k_attack_size(RadiusRule::gaussian_exact, p[label],
                           largest(std::move(others), static_cast<std::size_t>(top)), std::ssize(p),
                           false);
}

std::vector<std::uint64_t> sample(const std::vector<double>& p, std::uint32_t run, StreamTag tag,
                                  std::uint32_t count) {
  std::vector<double> sums(p.size());
  std::partial_sum(p.begin(), p.end(), sums.begin());
  std::vector<std::uint64_t> votes(p.size(), 0);
  for (std::uint32_t draw = 0; draw < count; draw += 4)
    for (const std::uint32_t word : Philox::at(11, tag, run, draw, 0)) {
      const double u = (word + 0.5) * 0x1p-32;
      ++votes[static_cast<std::size_t>(std::upper_bound(sums.begin(), sums.end() - 1, u) -
                                       sums.begin())];
    }
  return votes;
}

/// Who chose the label that is certified.
enum class Chosen { same_draws, other_draws, beforehand };

TEST_CASE("top-k certificates of votes are wrong no more often than alpha allows") {
  for (const auto& [classes, top] :
       {std::pair<std::size_t, int>{3, 2}, {10, 2}, {10, 4}, {100, 3}}) {
    std::vector<Law> laws = {{"all tie", classes, {}},
                             {"three tie", classes, {0.32, 0.32, 0.32}},
                             {"the second tie", classes, {0.4, 0.3, 0.3}},
                             {"near a tie", classes, {0.52, 0.25, 0.23}}};
    if (classes > 5) {
      laws.emplace_back("one and four tie", classes, std::vector{0.5, 0.12, 0.12, 0.12, 0.12});
      laws.emplace_back("five tie", classes, std::vector(5, 0.19));
    }
    for (const Law& law : laws) {
      std::vector<double> sizes(classes);
      for (std::size_t c = 0; c < classes; ++c) sizes[c] = true_size(law.p, c, top);
      std::vector<ScoreStatistics> samples;
      std::vector<int> labels;  // by other draws
      for (std::uint32_t run = 0; run < runs; ++run) {
        samples.push_back(statistics_of_votes(sample(law.p, run, StreamTag::estimation, draws)));
        labels.push_back(statistics_of_votes(sample(law.p, run, StreamTag::selection, 8))
                             .top_label(ScoreType::argmax));
      }
      for (const Chosen chosen : {Chosen::same_draws, Chosen::other_draws, Chosen::beforehand})
        for (const Bound bound :
             {Bound::clopper_pearson, Bound::pairwise, Bound::one_sided, Bound::anytime}) {
          if (bound == Bound::one_sided && chosen == Chosen::same_draws) continue;
          CAPTURE(classes);
          CAPTURE(top);
          CAPTURE(law.name);
          CAPTURE(static_cast<int>(chosen));
          CAPTURE(name(bound));
          // A certificate knows the label's votes and the most of the others'.
          std::map<std::vector<std::uint64_t>, double> known;
          int failures = 0;
          for (std::size_t run = 0; run < runs; ++run) {
            const ScoreStatistics& s = samples[run];
            std::optional<int> label;
            if (chosen == Chosen::beforehand) label = 1;
            if (chosen == Chosen::other_draws) label = labels[run];
            const auto of =
                static_cast<std::size_t>(label ? *label : s.top_label(ScoreType::argmax));
            std::vector<std::uint64_t> key = s.votes;
            key.erase(key.begin() + static_cast<std::ptrdiff_t>(of));
            std::ranges::sort(key, std::greater());
            key.resize(static_cast<std::size_t>(top));
            key.push_back(s.votes[of]);
            const auto [at, is_new] = known.try_emplace(key);
            if (is_new)
              at->second =
                  certify(s, unit_noise, {.bound = bound, .alpha = alpha, .top = top}, label)
                      .radius;
            failures += at->second > sizes[of] * (1 + 1e-9) + 1e-9;
          }
          CHECK(failures <= most_failures * runs);
        }
    }
  }
}

TEST_CASE("top-k certificates of mean scores are wrong no more often than alpha allows") {
  // Means .3, .3, .3, .1: no label is among the two first for sure.
  const std::vector<std::vector<double>> outcomes = {{0.5, 0.3, 0.1, 0.1}, {0.1, 0.3, 0.5, 0.1}};
  for (const bool separate : {false, true})
    for (const Bound bound : {Bound::hoeffding, Bound::empirical_bernstein, Bound::betting}) {
      std::map<std::uint64_t, bool> known;
      int failures = 0;
      for (std::uint32_t run = 0; run < runs; ++run) {
        const std::uint64_t first = sample({0.5, 0.5}, run, StreamTag::estimation, draws)[0];
        const auto [at, is_new] = known.try_emplace(first);
        if (is_new) {
          ScoreStatistics s{.draws = draws, .votes = {}, .sums = {}, .squares = {}};
          for (std::size_t c = 0; c < 4; ++c) {
            double sum = 0.0, square = 0.0;
            for (const std::size_t i : {0, 1}) {
              const auto count = static_cast<double>(i == 0 ? first : draws - first);
              sum += count * outcomes[i][c];
              square += count * outcomes[i][c] * outcomes[i][c];
            }
            s.sums.push_back(static_cast<std::uint64_t>(std::llround(sum * 0x1p32)));
            s.squares.push_back(static_cast<std::uint64_t>(std::llround(square * 0x1p32)));
          }
          at->second =
              certify(s, unit_noise,
                      {.scores = ScoreType::softmax, .bound = bound, .alpha = alpha, .top = 2},
                      separate ? std::optional(0) : std::nullopt)
                  .radius > 0.0;
        }
        failures += at->second;
      }
      CHECK(failures <= most_failures * runs);
    }
}

}  // namespace
}  // namespace pixeldp::top_k_test
