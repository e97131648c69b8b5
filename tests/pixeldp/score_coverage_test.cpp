#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "engine/philox.hpp"
#include "pixeldp/cdf_certificate.hpp"
#include "pixeldp/certificate.hpp"

// How often is a certificate of softmax scores wrong, of 10,000 predictions for each law?

namespace pixeldp::score_coverage_test {
namespace {

constexpr int runs = 10'000;
constexpr std::uint32_t draws = 60;
constexpr double alpha = 0.1;
const double most_failures = alpha + 3.8 * std::sqrt(alpha * (1 - alpha) / runs);

/// What a draw can give: scores of the first two labels, the rest shared out to the others.
struct Outcome {
  double probability, first, second;
};

struct Law {
  const char* name;
  std::vector<Outcome> outcomes;
};

const std::vector<Law> laws = {
    {"two means tie", {{0.5, 0.9, 0.1}, {0.5, 0.1, 0.9}}},
    {"two means tie, at little spread", {{0.5, 0.55, 0.45}, {0.5, 0.45, 0.55}}},
    {"a rare outcome ties two means", {{0.98, 0.505, 0.495}, {0.02, 0.255, 0.745}}},
    {"clear", {{0.5, 0.9, 0.1}, {0.3, 0.5, 0.5}, {0.2, 0.4, 0.6}}},
    {"nearly always sure", {{0.95, 0.97, 0.03}, {0.05, 0.3, 0.7}}}};

/// How often each outcome came up.
std::vector<std::uint32_t> sample(const Law& law, std::uint32_t run) {
  std::vector<std::uint32_t> counts(law.outcomes.size(), 0);
  for (std::uint32_t draw = 0; draw < draws; draw += 4)
    for (const std::uint32_t word : Philox::at(7, StreamTag::estimation, run, draw, 0)) {
      double u = (word + 0.5) * 0x1p-32;
      std::size_t i = 0;
      while (i + 1 < counts.size() && u >= law.outcomes[i].probability)
        u -= law.outcomes[i++].probability;
      ++counts[i];
    }
  return counts;
}

std::vector<double> scores_of(const Outcome& o, std::size_t classes) {
  std::vector<double> scores = {o.first, o.second};
  scores.resize(classes,
                classes > 2 ? (1.0 - o.first - o.second) / static_cast<double>(classes - 2) : 0.0);
  return scores;
}

ScoreStatistics statistics_of(const Law& law, const std::vector<std::uint32_t>& counts,
                              std::size_t classes) {
  ScoreStatistics s{.draws = draws,
                    .votes = {},
                    .sums = std::vector<std::uint64_t>(classes, 0),
                    .squares = std::vector<std::uint64_t>(classes, 0)};
  for (std::size_t i = 0; i < counts.size(); ++i)
    for (std::size_t c = 0; const double score : scores_of(law.outcomes[i], classes)) {
      s.sums[c] += counts[i] * static_cast<std::uint64_t>(std::llround(score * 0x1p32));
      s.squares[c++] +=
          counts[i] * static_cast<std::uint64_t>(std::llround(score * score * 0x1p32));
    }
  return s;
}

const Calibration unit_noise = {
    .mechanism = Mechanism::gaussian, .noise_scale = 1.0, .sensitivity = 1.0};

/// How often radius_of a sample, which depends on its counts alone, is above that of the law.
template <class RadiusOf, class TrueRadius>
int failures(const Law& law, RadiusOf&& radius_of, TrueRadius&& true_radius) {
  std::map<std::vector<std::uint32_t>, bool> wrong;
  int total = 0;
  for (std::uint32_t run = 0; run < runs; ++run) {
    const auto counts = sample(law, run);
    const auto [at, is_new] = wrong.try_emplace(counts);
    if (is_new) {
      const auto [label, radius] = radius_of(counts);
      at->second = radius > true_radius(label) * (1 + 1e-9) + 1e-9;
    }
    total += at->second;
  }
  return total;
}

TEST_CASE("certificates of mean scores are wrong no more often than alpha allows, whatever K") {
  for (const std::size_t classes : {2, 10, 100, 1000})
    for (const Law& law : laws) {
      std::vector<double> mean(classes, 0.0);
      for (const Outcome& o : law.outcomes)
        for (std::size_t c = 0; const double score : scores_of(o, classes))
          mean[c++] += o.probability * score;
      const auto true_radius = [&](int label) {
        double rival = 0.0;
        for (std::size_t c = 0; c < classes; ++c)
          if (static_cast<int>(c) != label) rival = std::max(rival, mean[c]);
        return certified_radius(CertificateKind::exact, unit_noise,
                                mean[static_cast<std::size_t>(label)], rival);
      };
      for (const bool separate : {false, true})
        for (const Bound bound : {Bound::hoeffding, Bound::empirical_bernstein, Bound::betting}) {
          CAPTURE(classes);
          CAPTURE(law.name);
          CAPTURE(separate);
          CAPTURE(name(bound));
          const CertificateOptions options = {
              .scores = ScoreType::softmax, .bound = bound, .alpha = alpha};
          const auto radius_of = [&](const std::vector<std::uint32_t>& counts) {
            const Certificate c = certify(statistics_of(law, counts, classes), unit_noise, options,
                                          separate ? std::optional(0) : std::nullopt);
            return std::pair(c.prediction, c.radius);
          };
          CHECK(failures(law, radius_of, true_radius) <= most_failures * runs);
        }
    }
}

const std::vector<double> thresholds = {0.1, 0.25, 0.45, 0.5, 0.7, 0.9};

std::vector<ScoreHistogram> histograms_of(const Law& law, const std::vector<std::uint32_t>& counts,
                                          std::size_t classes) {
  std::vector<ScoreHistogram> all(
      classes, {thresholds, std::vector<std::uint64_t>(thresholds.size(), 0), draws});
  for (std::size_t i = 0; i < counts.size(); ++i)
    for (std::size_t c = 0; const double score : scores_of(law.outcomes[i], classes)) {
      for (std::size_t t = 0; t < thresholds.size(); ++t)
        if (score >= thresholds[t]) all[c].at_least[t] += counts[i];
      ++c;
    }
  return all;
}

TEST_CASE("certificates by the distribution of scores are wrong no more often than alpha allows") {
  for (const std::size_t classes : {2, 10})
    for (const Law& law : laws) {
      const auto true_bounds = [&](std::size_t label) {
        TailBounds bounds{thresholds, std::vector<double>(thresholds.size(), 0.0), {}};
        for (const Outcome& o : law.outcomes)
          for (std::size_t t = 0; t < thresholds.size(); ++t)
            if (scores_of(o, classes)[label] >= thresholds[t]) bounds.lower[t] += o.probability;
        for (double& p : bounds.lower) p = std::min(p, 1.0);
        bounds.upper = bounds.lower;
        return bounds;
      };
      const auto true_size = [&](int label) {
        double size = 64.0;
        for (std::size_t c = 0; c < classes; ++c) {
          if (static_cast<int>(c) == label) continue;
          const TailBounds rival = true_bounds(c);
          size = std::min(
              size, cdf_attack_size(true_bounds(static_cast<std::size_t>(label)), &rival, 0.0));
        }
        return size;
      };
      for (const bool separate : {false, true}) {
        CAPTURE(classes);
        CAPTURE(law.name);
        CAPTURE(separate);
        const auto size_of = [&](const std::vector<std::uint32_t>& counts) {
          const int label =
              separate ? 0 : statistics_of(law, counts, classes).top_label(ScoreType::softmax);
          return std::pair(
              label, cdf_attack_size(histograms_of(law, counts, classes), label, alpha, !separate));
        };
        CHECK(failures(law, size_of, true_size) <= most_failures * runs);
      }
    }
}

}  // namespace
}  // namespace pixeldp::score_coverage_test
