#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "engine/philox.hpp"
#include "pixeldp/certificate.hpp"

// How often is a certificate of votes wrong, of 10,000 predictions for each law of the votes?

namespace pixeldp::vote_coverage_test {
namespace {

constexpr int runs = 10'000;
constexpr std::uint32_t draws = 100, selection_draws = 10;
constexpr double alpha = 0.1;

/// The failure rate that a valid certificate exceeds with probability below 1e-4.
const double most_failures = alpha + 3.8 * std::sqrt(alpha * (1 - alpha) / runs);

/// Probabilities of the labels: some given, the rest shared out equally.
struct Law {
  const char* name;
  std::vector<double> p;

  Law(const char* law_name, std::size_t classes, const std::vector<double>& first)
      : name(law_name), p(first) {
    const double rest = 1.0 - std::accumulate(first.begin(), first.end(), 0.0);
    p.resize(classes, rest / std::max(1.0, static_cast<double>(classes - first.size())));
  }
};

std::vector<Law> laws(std::size_t classes) {
  std::vector<Law> all = {{"two tie", classes, {0.5, 0.5}},
                          {"all tie", classes, {}},
                          {"near a tie", classes, {0.52, 0.48}},
                          {"clear", classes, {0.2, 0.8}},
                          {"nearly all agree", classes, {0.97}}};
  if (classes > 2) {
    all.emplace_back("two tie at the top", classes, std::vector{0.3, 0.3});
    all.emplace_back("three tie", classes, std::vector{0.32, 0.32, 0.32});
    all.emplace_back("the second tie", classes, std::vector{0.4, 0.3, 0.3});
  }
  return all;
}

std::vector<std::uint64_t> sample(const std::vector<double>& sums, std::uint32_t run, StreamTag tag,
                                  std::uint32_t count) {
  std::vector<std::uint64_t> votes(sums.size(), 0);
  for (std::uint32_t draw = 0; draw < count; draw += 4)
    for (std::uint32_t i = 0; const std::uint32_t word : Philox::at(7, tag, run, draw, 0)) {
      if (draw + i++ >= count) break;
      const double u = (word + 0.5) * 0x1p-32;
      const auto label = std::upper_bound(sums.begin(), sums.end() - 1, u) - sums.begin();
      ++votes[static_cast<std::size_t>(label)];
    }
  return votes;
}

std::size_t top(const std::vector<std::uint64_t>& votes) {
  return static_cast<std::size_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
}

template <class T>
T most_beside(const std::vector<T>& values, std::size_t label) {
  T most = 0;
  for (std::size_t c = 0; c < values.size(); ++c)
    if (c != label) most = std::max(most, values[c]);
  return most;
}

const Calibration unit_noise = {
    .mechanism = Mechanism::gaussian, .noise_scale = 1.0, .sensitivity = 1.0};

/// All of a prediction that its certificate depends on.
struct Prediction {
  std::size_t label;
  std::uint64_t votes, beside;  ///< its votes, and the most of any other label

  static Prediction of(const std::vector<std::uint64_t>& votes, std::size_t label) {
    return {label, votes[label], most_beside(votes, label)};
  }
};

/// The radii of predictions, each computed once.
class Radii {
 public:
  Radii(std::size_t classes, Bound bound, bool separate) : classes_(classes), separate_(separate) {
    options_.bound = bound;
    options_.alpha = alpha;
  }
  double of(const Prediction& p) {
    const auto [at, is_new] = radii_.try_emplace({p.votes, p.beside});
    if (is_new) {
      ScoreStatistics statistics{.draws = draws, .votes = {p.votes}, .sums = {}, .squares = {}};
      std::uint64_t left = draws - p.votes;
      while (statistics.votes.size() < classes_) {
        statistics.votes.push_back(std::min(left, p.beside));
        left -= statistics.votes.back();
      }
      at->second =
          certify(statistics, unit_noise, options_, separate_ ? std::optional(0) : std::nullopt)
              .radius;
    }
    return at->second;
  }

 private:
  std::size_t classes_;
  bool separate_;
  CertificateOptions options_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, double> radii_;
};

TEST_CASE("certificates of votes are wrong no more often than alpha allows, whatever K") {
  for (const std::size_t classes : {2, 10, 100, 1000})
    for (const Law& law : laws(classes)) {
      CAPTURE(classes);
      CAPTURE(law.name);
      std::vector<double> sums(classes), radius(classes);
      std::partial_sum(law.p.begin(), law.p.end(), sums.begin());
      for (std::size_t c = 0; c < classes; ++c) {
        // A sum of shares of 1 that is rounded must not make a tie into a certificate.
        const double rival = most_beside(law.p, c);
        radius[c] = law.p[c] > rival * (1 + 1e-12)
                        ? certified_radius(CertificateKind::exact, unit_noise, law.p[c], rival)
                        : 0.0;
      }
      std::vector<Prediction> predictions[2];  // of the same draws, and of separate ones
      for (std::uint32_t run = 0; run < runs; ++run) {
        const auto votes = sample(sums, run, StreamTag::estimation, draws);
        const auto others = sample(sums, run, StreamTag::selection, selection_draws);
        predictions[0].push_back(Prediction::of(votes, top(votes)));
        predictions[1].push_back(Prediction::of(votes, top(others)));
      }
      for (const bool separate : {false, true})
        for (const Bound bound : all_bounds) {
          if (bound == Bound::one_sided && !separate) continue;
          CAPTURE(separate);
          CAPTURE(name(bound));
          Radii radii(classes, bound, separate);
          int failures = 0;
          for (const Prediction& p : predictions[separate])
            failures += radii.of(p) > radius[p.label] * (1 + 1e-9);
          CHECK(failures <= most_failures * runs);
        }
    }
}

TEST_CASE("without the pairwise test its bounds would fail more often than alpha allows") {
  // Two labels that tie, of a thousand draws: both 0.6 alpha may be lost.
  constexpr std::uint64_t n = 1000;
  double untested = 0.0, tested = 0.0, pmf = std::exp2(-1000.0);
  for (std::uint64_t k = 0; k <= n; ++k) {
    const std::uint64_t most = std::max(k, n - k);
    if (clopper_pearson_lower(most, n, 0.6 * alpha) > 0.5) untested += pmf;
    if (clopper_pearson_lower(most, n, 0.05 * alpha) >= 0.5) tested += pmf;
    pmf *= static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
  CHECK(untested > alpha);
  CHECK(tested <= 0.1 * alpha);
  CHECK(tested > 0.08 * alpha);
}

}  // namespace
}  // namespace pixeldp::vote_coverage_test
