#include "pixeldp/report/stability.hpp"

#include <cmath>

#include <doctest/doctest.h>

#include "pixeldp/recertification.hpp"
#include "pixeldp/report/report.hpp"
#include "tests/pixeldp/made_page.hpp"

/// The third figure of the report: what of a label's score an attack of the certified radius
/// leaves.

namespace pixeldp::report {

TEST_CASE("At the certified radius the prediction's worst case meets the best case of all others") {
  for (const Mechanism mechanism : {Mechanism::gaussian, Mechanism::laplace}) {
    for (const CertificateKind kind : {CertificateKind::pixeldp, CertificateKind::exact}) {
      for (const ScoreType scores : {ScoreType::argmax, ScoreType::softmax}) {
        for (const std::uint64_t selection_draws : {0, 50}) {
          CAPTURE(name(mechanism));
          CAPTURE(name(kind));
          CAPTURE(name(scores));
          CAPTURE(selection_draws);
          const Run run = made("run", {.mechanism = mechanism,
                                       .kind = kind,
                                       .scores = scores,
                                       .skill = 3,
                                       .images = 60,
                                       .draws = 1000,
                                       .selection_draws = selection_draws});
          int certified = 0;
          for (const CertificateRecord& record : run.log.records) {
            const Stability picture = stability(run.log.header, record);
            REQUIRE(picture.labels.size() == 10);
            CHECK(picture.labels[0].label == record.prediction);
            CHECK(picture.attack == record.radius);
            for (const LabelScore& score : picture.labels) {
              CHECK(score.attacked_lower <= score.lower);
              CHECK(score.lower <= score.observed);
              CHECK(score.observed <= score.upper + 1e-9);
              CHECK(score.upper <= score.attacked_upper);
            }
            double rival = 0.0;
            for (std::size_t i = 1; i < picture.labels.size(); ++i) {
              rival = std::max(rival, picture.labels[i].attacked_upper);
            }
            CHECK(rival == picture.labels[1].attacked_upper);
            if (record.radius == 0) continue;
            ++certified;
            CHECK(std::abs(picture.labels[0].attacked_lower - rival) < 1e-4);
          }
          CHECK(certified > 20);
        }
      }
    }
  }
}

TEST_CASE("A label leaves the K first at its radius, where K others can overtake it together") {
  for (const Mechanism mechanism : {Mechanism::gaussian, Mechanism::laplace}) {
    for (const CertificateKind kind : {CertificateKind::pixeldp, CertificateKind::exact}) {
      for (const ScoreType scores : {ScoreType::argmax, ScoreType::softmax}) {
        CAPTURE(name(mechanism));
        CAPTURE(name(kind));
        CAPTURE(name(scores));
        Run run = made("run", {.mechanism = mechanism,
                               .kind = kind,
                               .scores = scores,
                               .skill = 1.5,
                               .images = 60,
                               .draws = 1000});
        CertificateOptions options = run.log.header.options;
        options.top = 3;
        run.log = recertified(std::move(run.log), options);
        run.log.records = records_of_labels(run.log.header, std::move(run.log.records));
        run.others.clear();
        int certified = 0;
        for (const CertificateRecord& record : run.log.records) {
          if (record.radius == 0 || record.label != record.prediction) continue;
          const Stability picture = stability(run.log.header, record);
          CHECK(picture.labels[0].label == record.prediction);
          ++certified;
          CHECK(std::abs(picture.labels[0].attacked_lower - picture.rival) < 1e-4);
        }
        CHECK(certified > 20);
        const std::string page = report_page({run});
        CHECK(markup_fault(page) == "");
        CHECK(contains(page, "<h3>run: image"));
        CHECK(contains(page, "leaves the 3 first only if 3 others overtake it"));
        CHECK(contains(page, "Top-3 accuracy"));
        CHECK(contains(page, "Certified top-3 accuracy at T = 0.05"));
      }
    }
  }
}

TEST_CASE("By the distribution of the scores, too, the lines meet at the certified radius") {
  Run run = made("run", {.scores = ScoreType::softmax, .skill = 3, .images = 40, .draws = 1000});
  run.log.header.statistics.histogram = true;
  for (CertificateRecord& record : run.log.records) {
    // Scores of .95 for the vote, and so little for others that they reach no threshold.
    for (const std::uint64_t votes : record.statistics.votes)
      for (std::uint64_t i = 0; i < score_thresholds; ++i)
        record.statistics.histogram.push_back(i < 30 ? votes : 0);
  }
  CertificateOptions options = run.log.header.options;
  options.kind = CertificateKind::cdf;
  options.bound = Bound::clopper_pearson;
  run.log = recertified(std::move(run.log), options);
  run.others.clear();
  int certified = 0;
  for (const CertificateRecord& record : run.log.records) {
    const Stability picture = stability(run.log.header, record);
    for (const LabelScore& score : picture.labels) {
      CHECK(score.attacked_lower <= score.lower);
      CHECK(score.lower <= score.observed);
      CHECK(score.upper <= score.attacked_upper);
    }
    if (record.radius == 0) continue;
    ++certified;
    CHECK(std::abs(picture.labels[0].attacked_lower - picture.rival) < 1e-4);
  }
  CHECK(certified > 10);
  const std::string page = report_page({run});
  CHECK(markup_fault(page) == "");
  CHECK(contains(page, "<h3>run: image"));
  CHECK(contains(page, "at each of 32 thresholds"));
}

TEST_CASE("Without an attack the scores do not move") {
  Run run = made("run", {.images = 1});
  run.log.records[0].radius = 0;
  for (const LabelScore& score : stability(run.log.header, run.log.records[0]).labels) {
    CHECK(score.attacked_lower == score.lower);
    CHECK(score.attacked_upper == score.upper);
  }
}

}  // namespace pixeldp::report
