#include <string>

#include <doctest/doctest.h>

#include "engine/io/file.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/recertification.hpp"
#include "tests/log_text.hpp"
#include "tests/pixeldp/made_run.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

// Logs of images that stopped by their counts.

namespace pixeldp {
namespace {

CertificateLogHeader stopped_header() {
  CertificateLogHeader header =
      tests::made_header({.kind = CertificateKind::exact, .selection_draws = 32});
  header.options.bound = Bound::anytime;
  header.draws = 1000;
  header.stopping = stop_by(StoppingRule::radius, 0.3, 1000, header.options);
  header.ledger = only_look(header.options, 1000);
  header.statistics.sums = false;
  return header;
}

CertificateRecord stopped_record(std::int64_t image, std::vector<std::uint64_t> votes) {
  CertificateRecord record{
      .image = image, .label = 1, .prediction = 1, .selection_draws = 32, .statistics = {}};
  for (const std::uint64_t count : votes) record.statistics.draws += count;
  record.statistics.votes = std::move(votes);
  record.radius = certify(stopped_header(), record).radius;
  return record;
}

CertificateLog stopped_log() {
  return {.header = stopped_header(),
          .records = {stopped_record(0, {0, 128, 0}), stopped_record(1, {20, 40, 4}),
                      stopped_record(4, {90, 900, 10})}};
}

std::string text_of(const CertificateLog& log) {
  const TemporaryFolder folder;
  write_certificate_log(folder / "log", log);
  return std::string(as_text(read_file(folder / "log")));
}

std::string with(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("a log whose images stopped names the rule, and every line has its draws") {
  const CertificateLog log = stopped_log();
  CHECK(log.records[0].radius >= 0.3);
  CHECK(log.records[1].radius < 0.3);
  const std::string text = text_of(log);
  CHECK(
      text.find(R"("stopping":"radius","target":0.3,"futility_at_last":0.01,"looks":[32,64,96,)") !=
      std::string::npos);
  CHECK(text.find(R"("stopping_certificate":"exact","stopping_alpha":0.05,"ledger":[{)") !=
        std::string::npos);
  CertificateLog read = parse_certificate_log(text, "log");
  CHECK(read.header.difference(log.header).empty());
  CHECK(read.header.stopping == log.header.stopping);
  CHECK(read.header.standing() == Standing::reserved);
  derive_radii(read, "log");
  CHECK(text_of(read) == text);
  CHECK(mean_draws(read.records) == doctest::Approx((128 + 64 + 1000) / 3.0 + 32));
  CHECK(median_draws(read.records) == 128 + 32);
  CHECK(conditions_text(read.header)
            .find("alpha 0.05 per prediction, at most 1000 draws, until a radius of 0.3 is proved "
                  "or out "
                  "of reach (wrongly with probability 0.01 at most), and 32 others for the label, "
                  "fp32") != std::string::npos);

  const auto refused = [&](std::string_view from, std::string_view to, const char* part) {
    CAPTURE(from);
    CHECK_FAILS(parse_certificate_log(tests::rechained(with(text, from, to)), "log"), part);
  };
  refused("\"draws\": 128, \"votes\": [0, 128, 0]", "\"draws\": 129, \"votes\": [0, 129, 0]",
          "log:2: 129 draws are at none of the header's looks");
  refused("\"selection_draws\": 32", "\"selection_draws\": 33", "the header says 32");
  refused(
      "\"bound\":\"anytime\",\"certificate\"", "\"bound\":\"pairwise\",\"certificate\"",
      "log:1: the draws of each image stopped by its counts (radius): pairwise bounds of argmax "
      "scores say nothing of such counts");
  refused("\"target\":0.3", "\"target\":0", "log:1: the radius to prove must be");
  refused("\"target\":0.3,", "", "log:1: target is missing");
  refused("\"futility_at_last\":0.01", "\"futility_at_last\":1",
          "log:1: futility must lie between 0 and 1");
  refused("\"looks\":[32,64,", "\"looks\":[64,64,", "log:1: the looks must rise");
  refused("\"looks\":[32,", "\"looks\":[0,", "log:1: the looks must rise");
  refused("\"draws\":1000,\"selection_draws\"", "\"draws\":1001,\"selection_draws\"",
          "log:1: the looks must rise from above 0 to the 1001 draws");
  refused("\"stopping\":\"radius\"", "\"stopping\":\"tolerance\",\"x\":0", "unknown key \"x\"");
  refused("\"stopping\":\"radius\"", "\"stopping\":\"fixed\"", "log:1: unknown key");
  refused("\"stopping\":\"radius\"", "\"stopping\":\"luck\"", "unknown stopping rule 'luck'");
  refused("\"stopping_alpha\":0.05", "\"stopping_alpha\":0", "the alpha to stop by must lie");
}

TEST_CASE("a log that went by what infinitely many draws would prove keeps that rule") {
  const std::string older = tests::rechained(
      with(text_of(stopped_log()), "\"futility_at_last\":0.01", "\"futility\":0.01"));
  const CertificateLog log = parse_certificate_log(older, "log");
  CHECK_FALSE(log.header.stopping.at_last);
  CHECK(log.header.stopping != stopped_header().stopping);
  CHECK(text_of(log) == older);
  CHECK_FAILS(
      parse_certificate_log(tests::rechained(with(text_of(stopped_log()), "\"radius\",\"target\"",
                                                  "\"tolerance\",\"target\"")),
                            "log"),
      "a tolerance is of what infinitely many draws would prove");
}

TEST_CASE("counts that stopped their draws are certified anew by anytime bounds alone") {
  const CertificateLog log = stopped_log();
  CertificateOptions options = log.header.options;
  options.kind = CertificateKind::pixeldp;
  const CertificateLog other = recertified(log, options);
  CHECK(other.header.standing() == Standing::reserved);
  CHECK(other.header.stopping == log.header.stopping);
  CHECK(other.records[0].radius > 0.0);
  CHECK(other.records[0].radius < log.records[0].radius);
  CHECK(parse_certificate_log(text_of(other), "log").records.size() == 3);
  options.alpha = 0.001;
  CHECK(recertified(log, options).header.standing() == Standing::exploration);
  options.bound = Bound::one_sided;
  CHECK_FAILS(recertified(log, options), "one-sided bounds of argmax scores say nothing of such");
}

}  // namespace
}  // namespace pixeldp
