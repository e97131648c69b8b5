#include "pixeldp/recertification.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

#include "pixeldp/merge.hpp"
#include "pixeldp/metrics.hpp"
#include "tests/log_text.hpp"
#include "tests/pixeldp/made_run.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

using tests::MadeRun;

/// A log of a few images in a file of its own.
struct LogFile {
  TemporaryFolder folder;
  std::filesystem::path path = folder / "run" / "certificates.jsonl";

  explicit LogFile(const MadeRun& made) { tests::write_made_run(folder / "run", made); }

  /// Puts another radius onto a line, counted from 1.
  void edit_radius(int line, const std::string& radius) const {
    std::istringstream text(tests::text_of(path));
    std::string each, edited;
    for (int number = 1; std::getline(text, each); ++number) {
      if (number == line) {
        const std::size_t at = each.find("\"radius\": ") + 10;
        each.replace(at, each.find(',', at) - at, radius);
      }
      edited += each + '\n';
    }
    std::ofstream(path) << tests::rechained(edited);
  }
};

TEST_CASE("radii are derived from the counts, and a larger one is refused by file and line") {
  const LogFile log({.kind = CertificateKind::exact, .skill = 3, .images = 6});
  const CertificateLog whole = read_certificate_log(log.path);
  const double third = whole.records[2].radius;
  REQUIRE(third > 0.0);

  log.edit_radius(4, "0.9");
  CHECK_FAILS(read_certificate_log(log.path),
              "certificates.jsonl:4: image 2: the radius is 0.9, but its counts prove only 0.");
  log.edit_radius(4, fmt::format("{}", third * (1 + 3e-12)));
  CHECK_FAILS(read_certificate_log(log.path), "certificates.jsonl:4: ");
  log.edit_radius(4, fmt::format("{}", third * (1 + 3e-13)));
  CHECK(read_certificate_log(log.path).records[2].radius == third);

  // A smaller one is proved as well; what the counts prove is shown.
  log.edit_radius(4, "0.001");
  CHECK(read_certificate_log(log.path).records[2].radius == third);
  // The parser alone takes it as it stands.
  CHECK(parse_certificate_log(tests::text_of(log.path), "log").records[2].radius == 0.001);
}

TEST_CASE("a log's counts are certified for the K first labels, as a condition like any other") {
  const LogFile file({.kind = CertificateKind::exact, .skill = 1.5, .images = 40});
  const CertificateLog first = read_certificate_log(file.path);
  CHECK(tests::text_of(file.path).find("\"top\"") == std::string::npos);
  CertificateOptions options = first.header.options;
  options.top = 3;
  const CertificateLog log = recertified(first, options);
  CHECK(log.header.standing() == Standing::reserved);  // another function of the same bounds
  CHECK(log.header.difference(first.header) == "top: 3 and null");
  CHECK_FAILS(merge_logs(std::vector<LogPart>{{"three", log}, {"one", first}}), "top: 3 and null");
  for (std::size_t i = 0; i < log.records.size(); ++i)
    CHECK(log.records[i].radius >= first.records[i].radius - 1e-9);

  const std::filesystem::path path = file.folder / "three";
  write_certificate_log(path, log);
  const std::string text = tests::text_of(path);
  CHECK(text.find("\"certificate\":\"exact\",\"top\":3,") != std::string::npos);
  const CertificateLog read = read_certificate_log(path);
  CHECK(read.header.difference(log.header) == "");
  CHECK(read.records[5].radius == log.records[5].radius);
  const auto with_top = [&](const std::string& top) {
    std::string edited = text;
    edited.replace(edited.find("\"top\":3"), 7, "\"top\":" + top);
    std::ofstream(path) << tests::rechained(edited);
    return read_certificate_log(path);
  };
  CHECK_FAILS(with_top("2"), "its counts prove only");
  CHECK_FAILS(with_top("1"), "three:1: top is 1");
  CHECK_FAILS(with_top("10"), "three:2: top 10 of 10 classes");
  CHECK_FAILS(with_top("\"3\""), "top must hold integers");

  options.top = 10;
  CHECK_FAILS(recertified(first, options), "top 10 of 10 classes");
  options.top = 2;
  CertificateLog smoothing = first;
  smoothing.header.source = CountSource::smoothing_log;
  CHECK_FAILS(recertified(smoothing, options), "how the votes of other labels were shared out");
}

TEST_CASE("metrics of the K first labels are of the labels, not of the predictions") {
  CertificateLogHeader header = tests::made_header({.kind = CertificateKind::exact});
  CertificateRecord record{.label = 1,
                           .prediction = 0,
                           .statistics = statistics_of_votes({150, 130, 10, 10, 0}),
                           .radius = 0.25};
  CertificateRecord wrong = record;
  wrong.label = 4;
  CHECK(records_of_labels(header, {record})[0].prediction == 0);
  header.options.top = 2;
  const auto records = records_of_labels(header, {record, wrong});
  CHECK(records[0].prediction == 1);
  CHECK(records[0].radius ==
        certify(record.statistics, header.calibration, header.options, 1).radius);
  CHECK(records[0].radius > 0.0);
  CHECK(records[1].prediction == 0);
  CHECK(records[1].radius == 0.25);
  CHECK(accuracy(records) == 0.5);
  CHECK(certified_accuracy(records, records[0].radius) == 0.5);
  CHECK(certified_accuracy(records, records[0].radius + 0.01) == 0.0);
  record.statistics = statistics_of_votes({0, 300, 0, 0, 0});
  CHECK(records_of_labels(header, {record})[0].radius == largest_possible_radius(header, 5));
  // A tie goes to the lower label, as for predictions.
  const ScoreStatistics tie = statistics_of_votes({3, 5, 3, 3});
  CHECK(tie.rank(ScoreType::argmax, 1) == 1);
  CHECK(tie.rank(ScoreType::argmax, 0) == 2);
  CHECK(tie.rank(ScoreType::argmax, 3) == 4);
}

TEST_CASE("a header that was changed no longer fits the radii") {
  const LogFile log({.kind = CertificateKind::exact, .skill = 3, .images = 6});
  const std::string text = tests::text_of(log.path);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"sensitivity\":1.0", "\"sensitivity\":1.001"},
           {"\"alpha\":0.05", "\"alpha\":0.04"},
           {"\"certificate\":\"exact\"", "\"certificate\":\"pixeldp\""},
           {"\"bound\":\"clopper-pearson\"", "\"bound\":\"hoeffding\""}}) {
    CAPTURE(to);
    std::string edited = text;
    const auto at = edited.find(from);
    REQUIRE(at != std::string::npos);
    edited.replace(at, from.size(), to);
    std::ofstream(log.path) << edited;
    CHECK_FAILS(read_certificate_log(log.path), "certificates.jsonl:2: image 0: the chain breaks");
    std::ofstream(log.path) << tests::rechained(edited);
    CHECK_FAILS(read_certificate_log(log.path), "but its counts prove only");
  }
}

TEST_CASE(
    "a log is continued on a processor whose sensitivity differs by rounding, with the larger") {
  MadeRun made{.kind = CertificateKind::exact, .skill = 3, .images = 6};
  const LogFile log(made);
  const std::string text = tests::text_of(log.path);
  CertificateLogHeader header = tests::made_header(made);
  const auto resumed = [&](double sensitivity) {
    header.calibration.sensitivity = sensitivity;
    return CertificateLogWriter::resume(log.path, header).header().calibration.sensitivity;
  };
  std::mt19937_64 random(9);
  const CertificateRecord more = tests::made_record(made, header, 6, random);

  // The log's is the larger one: nothing changes.
  CHECK(resumed(1.0 - 1e-12) == 1.0);
  CHECK(tests::text_of(log.path) == text);

  const CertificateLog before = read_certificate_log(log.path);
  const double larger = 1.0 + 4e-10;
  CHECK(resumed(larger) == larger);
  const CertificateLog after = read_certificate_log(log.path);
  CHECK(after.header.calibration.sensitivity == larger);
  bool smaller = false;
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(after.records[i].statistics.votes == before.records[i].statistics.votes);
    CHECK(after.records[i].radius <= before.records[i].radius);
    smaller |= after.records[i].radius < before.records[i].radius;
  }
  CHECK(smaller);
  // The first processor goes on with it, and whoever reads it agrees.
  header.calibration.sensitivity = 1.0;
  {
    CertificateLogWriter writer = CertificateLogWriter::resume(log.path, header);
    CertificateRecord last = more;
    last.radius = certify(writer.header(), last).radius;
    writer.append(last);
  }
  CHECK(read_certificate_log(log.path).records.size() == 7);
  CHECK(read_certificate_log(log.path).header.calibration.sensitivity == larger);

  // Beyond rounding the weights are others.
  for (const double other : {1.0 - 1e-8, 1.0 + 1e-8})
    CHECK_FAILS(resumed(other), fmt::format("sensitivity: {} and {}", larger, other));
  // A radius that was never proved is not made good by the way.
  log.edit_radius(4, "0.9");
  const std::string edited = tests::text_of(log.path);
  CHECK_FAILS(resumed(larger + 1e-10), "certificates.jsonl:4: image 2: the radius is 0.9");
  CHECK(tests::text_of(log.path) == edited);
}

TEST_CASE("a header's numbers are compared as numbers, however they are written") {
  const MadeRun made{.images = 2};
  const LogFile log(made);
  std::string text = tests::text_of(log.path);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"alpha\":0.05,", "\"alpha\":0.050,"},
           {"\"epsilon\":1.0,", "\"epsilon\":1,"},
           {"\"construction_bound\":0.1,", "\"construction_bound\":1e-1,"}}) {
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  }
  text = tests::rechained(text);
  std::ofstream(log.path) << text;
  CHECK_NOTHROW(CertificateLogWriter::resume(log.path, tests::made_header(made)));
  CHECK(tests::text_of(log.path) == text);
}

TEST_CASE("the same counts under other rules give what those rules would have given") {
  for (const ScoreType scores : {ScoreType::argmax, ScoreType::softmax})
    for (const std::uint64_t selection_draws : {0, 50}) {
      const MadeRun paper{.kind = CertificateKind::pixeldp,
                          .scores = scores,
                          .images = 20,
                          .selection_draws = selection_draws};
      MadeRun exact = paper;
      exact.kind = CertificateKind::exact;
      const LogFile one(paper), other(exact);
      const CertificateLog given = read_certificate_log(one.path);
      const CertificateLog expected = read_certificate_log(other.path);
      const CertificateLog made = recertified(given, expected.header.options);
      CHECK(made.header.difference(expected.header) == "");
      for (std::size_t i = 0; i < 20; ++i) {
        CHECK(made.records[i].radius == expected.records[i].radius);
        CHECK(made.records[i].prediction == given.records[i].prediction);
        CHECK(made.records[i].radius >= given.records[i].radius);
      }
      // And under the other scores, which are in the same lines.
      MadeRun other_scores = paper;
      other_scores.scores = scores == ScoreType::argmax ? ScoreType::softmax : ScoreType::argmax;
      const LogFile third(other_scores);
      const CertificateLog wanted = read_certificate_log(third.path);
      const CertificateLog turned = recertified(given, wanted.header.options);
      CHECK(turned.header.standing() == Standing::exploration);
      for (std::size_t i = 0; i < 20; ++i) {
        CHECK(turned.records[i].radius == wanted.records[i].radius);
        CHECK(turned.records[i].prediction == wanted.records[i].prediction);
      }
      CertificateLog votes_only = given;
      votes_only.header.statistics = {.votes = scores == ScoreType::argmax,
                                      .sums = scores == ScoreType::softmax};
      CHECK_FAILS(recertified(votes_only, wanted.header.options), "the log holds no");
    }
}

TEST_CASE("the largest possible radius is that of an image on which all draws agree") {
  MadeRun sure{.kind = CertificateKind::exact, .skill = 40, .images = 20};
  const LogFile log(sure);
  const CertificateLog read = read_certificate_log(log.path);
  double largest = 0.0;
  for (const CertificateRecord& record : read.records) largest = std::max(largest, record.radius);
  CHECK(largest == largest_possible_radius(read.header, 10));
  CertificateLogHeader none = read.header;
  none.calibration.mechanism = Mechanism::none;
  CHECK(largest_possible_radius(none, 10) == 0.0);
}

}  // namespace
}  // namespace pixeldp
