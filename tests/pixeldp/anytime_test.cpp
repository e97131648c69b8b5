#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "engine/philox.hpp"
#include "pixeldp/draw_pool.hpp"
#include "pixeldp/special_functions.hpp"
#include "pixeldp/stopping.hpp"
#include "tests/throws_error.hpp"

// Bounds that hold after every number of draws, what stops by them, and who is drawn when.

namespace pixeldp {
namespace {

constexpr int runs = 10'000, long_runs = 300;

/// The share of runs that an event of this probability exceeds with probability below 1e-4.
double most(double probability, int of = runs) {
  return probability + 3.8 * std::sqrt(probability * (1 - probability) / of);
}

/// ln M_n(p) by its definition.
long double log_evidence(std::uint64_t k, std::uint64_t n, long double p) {
  const auto votes = static_cast<long double>(k), others = static_cast<long double>(n - k);
  return std::lgamma(votes + 0.5L) + std::lgamma(others + 0.5L) - std::lgamma(votes + others + 1) -
         std::log(std::numbers::pi_v<long double>) - (k > 0 ? votes * std::log(p) : 0) -
         (k < n ? others * std::log1p(-p) : 0);
}

TEST_CASE("anytime bounds are where their evidence reaches 1 / alpha") {
  for (const std::uint64_t n : {1, 2, 25, 300, 10'000, 1'000'000})
    for (const std::uint64_t k : {n, n - 1, n * 9 / 10, n / 2, std::uint64_t{1}})
      for (const double failure : {0.5, 0.05, 1e-3, 1e-10}) {
        CAPTURE(n);
        CAPTURE(k);
        CAPTURE(failure);
        const double lower = anytime_lower(k, n, failure), upper = anytime_upper(n - k, n, failure);
        CHECK(upper == doctest::Approx(1.0 - lower).epsilon(1e-12));
        if (k == 0) {
          CHECK(lower == 0.0);
          continue;
        }
        const long double goal = -std::log(static_cast<long double>(failure));
        const long double slack = 1e-16L * (static_cast<long double>(n) + 1000);
        REQUIRE(lower > 0.0);
        REQUIRE(lower < static_cast<double>(k) / static_cast<double>(n));
        CHECK(log_evidence(k, n, lower) >= goal - slack);
        const double above = lower + 1e-6 * std::min(lower, 1.0 - lower);
        CHECK(log_evidence(k, n, above) < goal + slack);
        CHECK(lower < clopper_pearson_lower(k, n, failure));
      }
  CHECK(anytime_lower(0, 10, 0.05) == 0.0);
  CHECK(anytime_upper(10, 10, 0.05) == 1.0);
  CHECK(anytime_lower(5, 10, 0.0) == 0.0);
  CHECK_FAILS(anytime_lower(11, 10, 0.05), "11 successes in only 10 draws");
}

TEST_CASE("as many agreeing draws prove a radius as the martingale needs") {
  // Smallest n with M_n(Phi(r)) >= 1000.
  for (const auto& [radius, draws] :
       {std::pair<double, std::uint64_t>{0.5, 25}, {1.0, 55}, {1.5, 145}, {2.0, 459}}) {
    CAPTURE(radius);
    const double p = normal_cdf(radius);
    CHECK(anytime_lower(draws, draws, 1e-3) >= p);
    CHECK(anytime_lower(draws - 1, draws - 1, 1e-3) < p);
  }
}

/// Uniform numbers of a run.
class Uniform {
 public:
  explicit Uniform(std::uint32_t run) : run_(run) {}
  double next() {
    if (used_ == 4) words_ = Philox::at(11, StreamTag::estimation, run_, block_++, 0), used_ = 0;
    return (words_[used_++] + 0.5) * 0x1p-32;
  }

 private:
  std::uint32_t run_, block_ = 0;
  std::size_t used_ = 4;
  decltype(Philox::at(0, StreamTag::estimation, 0, 0, 0)) words_ = {};
};

using LowerBound = double (*)(std::uint64_t, std::uint64_t, double);

/// For each number of draws, the fewest votes that prove more than p; one more than there are where
/// none do.
std::vector<std::uint64_t> proving_votes(LowerBound bound, double p, double alpha,
                                         std::uint64_t draws) {
  std::vector<std::uint64_t> votes = {1};
  for (std::uint64_t n = 1; n <= draws; ++n) {
    std::uint64_t k = votes.back();  // never fewer than of one draw less
    while (k <= n && bound(k, n, alpha) <= p) ++k;
    votes.push_back(k);
  }
  return votes;
}

TEST_CASE(
    "however often draws are looked at, a false bound comes no more often than alpha allows") {
  constexpr double alpha = 0.05;
  constexpr std::uint64_t horizon = 800;
  const std::vector<std::uint64_t> looks = look_numbers(horizon);
  for (const double p : {0.5, 0.65, 0.95}) {
    CAPTURE(p);
    const auto anytime = proving_votes(anytime_lower, p, alpha, horizon);
    const auto fixed = proving_votes(clopper_pearson_lower, p, alpha, horizon);
    int at_any = 0, at_a_look = 0, at_the_end = 0, fixed_at_a_look = 0;
    for (std::uint32_t run = 0; run < runs; ++run) {
      Uniform uniform(run);
      std::uint64_t votes = 0;
      bool any = false, look = false, fixed_look = false;
      for (std::uint64_t n = 1; n <= horizon; ++n) {
        votes += uniform.next() < p;
        any = any || votes >= anytime[n];
        if (!std::ranges::binary_search(looks, n)) continue;
        look = look || votes >= anytime[n];
        fixed_look = fixed_look || votes >= fixed[n];
      }
      at_any += any, at_a_look += look, at_the_end += votes >= anytime[horizon];
      fixed_at_a_look += fixed_look;
    }
    CHECK(at_any <= most(alpha) * runs);
    CHECK(at_any >= at_a_look);
    CHECK(at_a_look > at_the_end);
    // What holds for one number of draws does not hold for the one that luck chose.
    CHECK(fixed_at_a_look > 1.5 * alpha * runs);
  }
}

const Calibration unit_noise = {
    .mechanism = Mechanism::gaussian, .noise_scale = 1.0, .sensitivity = 1.0};

/// Votes of labels with these probabilities, and where they stop.
class StoppedRuns {
 public:
  StoppedRuns(std::vector<double> p, const Stopping& stopping)
      : sums_(p.size()), stopping_(stopping) {
    std::partial_sum(p.begin(), p.end(), sums_.begin());
  }

  struct End {
    double radius;
    std::uint64_t draws;
  };
  End run(std::uint32_t number) {
    Uniform uniform(number);
    ScoreStatistics statistics = no_draws();
    for (const std::uint64_t look : stopping_.looks) {
      draw(uniform, look, statistics);
      const auto& [enough, radius] = at(statistics);
      if (enough) return {radius, look};
    }
    FAIL("a run did not end at the last look");
    return {};
  }
  /// What all draws of that run prove.
  End at_last(std::uint32_t number) {
    Uniform uniform(number);
    ScoreStatistics statistics = no_draws();
    draw(uniform, stopping_.looks.back(), statistics);
    return {at(statistics).second, stopping_.looks.back()};
  }

 private:
  ScoreStatistics no_draws() const {
    return {.draws = 0,
            .votes = std::vector<std::uint64_t>(sums_.size(), 0),
            .sums = {},
            .squares = {}};
  }
  void draw(Uniform& uniform, std::uint64_t up_to, ScoreStatistics& statistics) const {
    for (; statistics.draws < up_to; ++statistics.draws) {
      const auto label = std::upper_bound(sums_.begin(), sums_.end() - 1, uniform.next());
      ++statistics.votes[static_cast<std::size_t>(label - sums_.begin())];
    }
  }

  /// Computed once for all votes that are alike.
  const std::pair<bool, double>& at(const ScoreStatistics& statistics) {
    const std::uint64_t beside =
        *std::max_element(statistics.votes.begin() + 1, statistics.votes.end());
    const auto [found, is_new] =
        known_.try_emplace({statistics.draws, statistics.votes[0], beside});
    if (is_new) {
      found->second = {has_enough(stopping_, statistics, 0, unit_noise),
                       certify(statistics, unit_noise, stopping_.options(), 0).radius};
    }
    return found->second;
  }

  std::vector<double> sums_;
  Stopping stopping_;
  std::map<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>, std::pair<bool, double>> known_;
};

const std::vector<std::vector<double>> laws = {
    {0.7, 0.3}, {0.6, 0.25, 0.05, 0.05, 0.05}, {0.4, 0.3, 0.3}, {0.97, 0.01, 0.01, 0.01}};

double true_radius(const std::vector<double>& p) {
  return certified_radius(CertificateKind::exact, unit_noise, p[0],
                          *std::max_element(p.begin() + 1, p.end()));
}

TEST_CASE("draws that stop at a radius prove a false one no more often than alpha allows") {
  constexpr double alpha = 0.1;
  for (const std::vector<double>& p : laws) {
    CAPTURE(p[0]);
    const double radius = true_radius(p) * (1 + 1e-9);
    StoppedRuns stopped(p, stop_by(StoppingRule::radius, radius, 1000, {.alpha = alpha}));
    int wrong = 0, early = 0;
    for (std::uint32_t run = 0; run < runs; ++run) {
      const auto end = stopped.run(run);
      wrong += end.radius >= radius, early += end.draws < 1000;
    }
    CHECK(wrong <= most(alpha) * runs);
    CHECK(early > wrong);  // futility saw some of the others
  }
}

TEST_CASE("a radius that is in reach is given up no more often than the rule says") {
  for (const std::vector<double>& p : laws) {
    CAPTURE(p[0]);
    const double radius = 0.7 * true_radius(p);
    const Stopping stopping = stop_by(StoppingRule::radius, radius, 60'000, {.alpha = 0.01});
    CHECK(stopping.futility == 0.01);
    StoppedRuns stopped(p, stopping);
    int given_up = 0;
    double draws = 0.0;
    for (std::uint32_t run = 0; run < long_runs; ++run) {
      const auto end = stopped.run(run);
      given_up += end.radius < radius, draws += static_cast<double>(end.draws) / long_runs;
    }
    CHECK(given_up <= 0.01 * long_runs);
    CHECK(draws < 30'000);
  }
}

TEST_CASE("what a label's votes are at last is taken for too small no more often than is said") {
  constexpr std::uint64_t all = 40;
  for (const double failure : {0.3, 0.1, 0.02}) {
    double largest = 0.0;
    for (std::uint64_t truth = 0; truth <= all; ++truth) {
      CAPTURE(truth);
      // Of all orders of the draws, those by which no look has been wrong, by the votes so far.
      std::vector<double> right(truth + 1, 0.0);
      right[0] = 1.0;
      double wrong = 0.0;
      for (std::uint64_t draws = 0; draws <= all; ++draws) {
        for (std::uint64_t votes = 0; votes <= std::min(draws, truth); ++votes) {
          if (draws - votes > all - truth) continue;
          if (most_votes_at_last(votes, draws, all, failure) >= truth) continue;
          wrong += std::exchange(right[votes], 0.0);
        }
        std::vector<double> next(truth + 1, 0.0);
        for (std::uint64_t votes = 0; votes <= truth && draws < all; ++votes) {
          if (right[votes] == 0.0) continue;
          const double rises =
              static_cast<double>(truth - votes) / static_cast<double>(all - draws);
          if (votes < truth) next[votes + 1] += right[votes] * rises;
          next[votes] += right[votes] * (1.0 - rises);
        }
        if (draws < all) right = std::move(next);
      }
      CHECK(wrong <= failure);
      largest = std::max(largest, wrong);
    }
    CHECK(largest > 0.2 * failure);
  }
  CHECK(most_votes_at_last(0, 0, 100, 0.01) == 100);
  CHECK(most_votes_at_last(30, 100, 100, 0.01) == 30);
  CHECK(most_votes_at_last(0, 90'000, 100'000, 0.01) < 10);
}

TEST_CASE("what all draws would prove is given up no more often than the rule says") {
  // Radii that about half of all runs prove, so that many runs are close.
  for (const std::vector<double>& p : laws) {
    CAPTURE(p[0]);
    constexpr std::uint64_t most_draws = 2000;
    ScoreStatistics middle{.draws = most_draws, .votes = {}, .sums = {}, .squares = {}};
    for (const double share : p)
      middle.votes.push_back(static_cast<std::uint64_t>(std::lround(share * most_draws)));
    const CertificateOptions options{ScoreType::argmax, Bound::anytime, CertificateKind::exact,
                                     0.05};
    const double radius = certify(middle, unit_noise, options, 0).radius;
    const Stopping stopping = stop_by(StoppingRule::radius, radius, most_draws, options);
    StoppedRuns stopped(p, stopping);
    int given_up = 0, lost = 0;
    for (std::uint32_t run = 0; run < long_runs; ++run) {
      const auto end = stopped.run(run);
      if (end.radius >= radius || end.draws == most_draws) continue;
      ++given_up;
      lost += stopped.at_last(run).radius >= radius;
    }
    CHECK(given_up > 0.05 * long_runs);
    CHECK(lost <= most(stopping.futility, long_runs) * long_runs);
  }
}

TEST_CASE("draws that stop at a tolerance know the radius to it") {
  constexpr double alpha = 0.1, tolerance = 0.4;
  for (const std::vector<double>& p : laws) {
    CAPTURE(p[0]);
    const double truth = true_radius(p);
    StoppedRuns stopped(p, stop_by(StoppingRule::tolerance, tolerance, 60'000, {.alpha = alpha}));
    int above = 0, far_below = 0, early = 0;
    for (std::uint32_t run = 0; run < long_runs; ++run) {
      const auto end = stopped.run(run);
      above += end.radius > truth, early += end.draws < 60'000;
      far_below += end.radius < (1 - tolerance) * truth;
    }
    CHECK(above <= most(alpha, long_runs) * long_runs);
    CHECK(far_below <= 0.01 * long_runs);
    CHECK(early > 0.99 * long_runs);
  }
}

TEST_CASE("looks rise by about an eighth, from 32 to the most draws") {
  CHECK(look_numbers(10) == std::vector<std::uint64_t>{10});
  CHECK(look_numbers(32) == std::vector<std::uint64_t>{32});
  CHECK(look_numbers(100) == std::vector<std::uint64_t>{32, 64, 96, 100});
  const std::vector<std::uint64_t> looks = look_numbers(100'000);
  CHECK(looks.back() == 100'000);
  CHECK(looks.size() < 70);
  for (std::size_t i = 0; i + 1 < looks.size(); ++i) {
    CHECK(looks[i] % 32 == 0);
    CHECK(looks[i + 1] > looks[i]);
    CHECK(looks[i + 1] - looks[i] <= std::max<std::uint64_t>(32, looks[i] / 8));
  }
}

TEST_CASE("stopping rules that are none, or can never be met, are refused") {
  const CertificateOptions options{.alpha = 0.001};
  const auto check = [&](StoppingRule rule, double target, std::uint64_t draws) {
    check_stopping(stop_by(rule, target, draws, options), unit_noise, 10, draws);
  };
  for (const double radius : {0.0, -1.0, std::nan(""), HUGE_VAL})
    CHECK_FAILS(check(StoppingRule::radius, radius, 1000), "must be a finite number above 0");
  for (const double tolerance : {0.0, 1.0, -0.5, 2.0, std::nan("")})
    CHECK_FAILS(check(StoppingRule::tolerance, tolerance, 1000), "must lie between 0 and 1");
  check(StoppingRule::radius, 2.2, 1000);
  CHECK_FAILS(check(StoppingRule::radius, 2.3, 1000),
              "no outcome of at most 1000 draws proves a radius of 2.3: where all of them agree");
  check(StoppingRule::tolerance, 0.1, 100);
  CHECK_FAILS(check(StoppingRule::tolerance, 0.1, 5), "at most 5 draws proves any radius");
  Stopping stopping = stop_by(StoppingRule::radius, 1.0, 1000, options);
  CHECK(fault(stopping, 1001));
  stopping.looks[1] = stopping.looks[0];
  CHECK(fault(stopping, 1000));
  CHECK(fault(Stopping(), 7) == std::nullopt);
  CHECK(fault({.target = 0.5}, 7));
}

TEST_CASE("the pool fills its rounds, and takes every image from stage to stage") {
  const std::vector<std::uint32_t> draws = {32, 32, 32, 96, 500};
  constexpr std::size_t images = 1000;
  constexpr std::uint64_t rows = 1024;
  DrawPool pool(images, draws);
  std::vector<std::size_t> stage(images, 0);
  std::size_t begun = 0, short_rounds = 0, finished = 0;
  std::vector<std::size_t> waiting(draws.size(), 0);
  for (DrawPool::Round round; !(round = pool.next(rows)).images.empty();) {
    const std::size_t at = round.stage;
    const std::uint64_t made = round.images.size() * draws[at];
    CHECK(made < rows + draws[at]);
    if (at == 0) {
      begun += round.images.size();
    } else {
      waiting[at] -= round.images.size();
    }
    if (made < rows) {
      ++short_rounds;
      CHECK(begun == images);  // nobody new is left, and no stage would have filled the round
      for (std::size_t s = 0; s < draws.size(); ++s) CHECK(waiting[s] * draws[s] < rows);
    }
    for (const std::size_t image : round.images) {
      REQUIRE(stage[image]++ == at);
      // Few go far, as most images are clear.
      if (at + 1 == draws.size() || (at > 0 && (image * 7919 + at * 104729) % 3 == 0)) {
        ++finished;
      } else {
        pool.put_back(image, at);
        ++waiting[at + 1];
      }
    }
  }
  CHECK(finished == images);
  CHECK(short_rounds <= draws.size());
}

}  // namespace
}  // namespace pixeldp
