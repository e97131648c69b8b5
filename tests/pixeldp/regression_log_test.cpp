#include "pixeldp/regression/regression_log.hpp"

#include "engine/io/file.hpp"
#include "pixeldp/certificate_log.hpp"
#include "tests/log_text.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::tests;

namespace {

RegressionLogHeader made_regression_header() {
  RegressionLogHeader header{.model_sha256 = std::string(64, 'a'),
                             .dataset = "mnist-angle",
                             .dataset_sha256 = std::string(64, 'b'),
                             .split = "test",
                             .output = {kernels::OutputKind::sigmoid, -50.0, 50.0}};
  header.calibration = {.mechanism = Mechanism::gaussian,
                        .construction = Construction{.bound = 0.1},
                        .noise_scale = 0.25,
                        .sensitivity = 1.0};
  header.seed = 1;
  header.draws = 100;
  header.radius = 0.1;
  header.move = 10.0;
  header.ledger = {header.options};
  return header;
}

RegressionRecord made_regression_record(const RegressionLogHeader& header, std::int64_t image) {
  RegressionRecord record{.image = image, .label = 1.5};
  record.statistics.draws = 100;
  kernels::OutputTotals& totals = record.statistics.totals;
  totals.positive = (60 + static_cast<std::uint64_t>(image)) << 30;
  totals.positive_squares = totals.positive / 4;
  totals.negative = std::uint64_t{3} << 30;
  totals.negative_squares = totals.negative / 4;
  totals.counts[40] = 90;
  totals.counts[28] = 10;
  derive(header, record);
  return record;
}

}  // namespace

TEST_CASE("the log of a regression network comes back as it was written, and goes on") {
  const TemporaryFolder folder;
  const RegressionLogHeader header = made_regression_header();
  const auto path = folder / "certificates.jsonl";
  {
    RegressionLogWriter writer = RegressionLogWriter::create(path, header);
    for (const std::int64_t image : {4, 2}) writer.append(made_regression_record(header, image));
    CHECK_FAILS(writer.append(made_regression_record(header, 2)), "in the certificate log already");
  }
  CHECK(is_regression_log(path));
  CHECK_FAILS(RegressionLogWriter::create(path, header), "--resume");
  // A kill in the middle of a line.
  write_file_atomically(path, text_of(path) + "{\"image\":7,");
  CHECK(read_regression_log(path).cut_short);
  {
    RegressionLogWriter writer = RegressionLogWriter::resume(path, header);
    CHECK(writer.take_records().size() == 2);
    writer.append(made_regression_record(header, 3));
    writer.sort();
  }
  const RegressionLog log = read_regression_log(path);
  CHECK_FALSE(log.cut_short);
  CHECK(log.header.difference(header).empty());
  REQUIRE(log.records.size() == 3);
  CHECK(log.records[0].image == 2);
  CHECK(log.records[2].image == 4);
  CHECK(log.records[1].statistics == made_regression_record(header, 3).statistics);
  CHECK(log.records[1].interval->contains(log.records[1].prediction));
  // The very text that one job would have written.
  write_regression_log(folder / "again", log);
  CHECK(text_of(folder / "again") == text_of(path));
  RegressionLogHeader other = header;
  other.options.alpha = 0.01;
  CHECK_FAILS(RegressionLogWriter::resume(path, other), "alpha: 0.05 and 0.01");
  CHECK_FAILS(read_certificate_log(path), "the log of a regression network");
  // What holds no image is begun anew, and what is no log stays.
  const std::string text = text_of(path);
  write_file_atomically(path, text.substr(0, text.find('\n') + 1));
  RegressionLogWriter::create(path, other);
  CHECK(read_regression_log(path).header.options.alpha == 0.01);
  write_file_atomically(path, std::string_view("mine"));
  CHECK_FAILS(RegressionLogWriter::resume(path, other), "this is not a certificate log");
  CHECK_FAILS(RegressionLogWriter::create(path, other), "there is a certificate log already");
  CHECK(text_of(path) == "mine");
}

TEST_CASE("the header says what certificates of a regression network are charged, or nothing") {
  const TemporaryFolder folder;
  const RegressionLogHeader real = made_regression_header();
  RegressionLogHeader charged = real;
  charged.calibration.variation = 1e-6, charged.calibration.prefix_error = 0.001;
  write_regression_log(folder / "charged",
                       {.header = charged, .records = {made_regression_record(charged, 1)}});
  write_regression_log(folder / "real",
                       {.header = real, .records = {made_regression_record(real, 1)}});
  const RegressionLog log = read_regression_log(folder / "charged");
  CHECK(log.header.calibration.variation == 1e-6);
  CHECK(log.header.calibration.prefix_error == 0.001);
  CHECK(text_of(folder / "real").find("variation") == std::string::npos);
  CHECK(log.header.difference(real).find("variation: 1e-06 and null") != std::string::npos);
  CHECK(real.difference(charged).find("prefix_error: null and 0.001") != std::string::npos);
  CHECK(log.records[0].radius < read_regression_log(folder / "real").records[0].radius);
  // The deductions cannot be left out.
  std::string claimed = text_of(folder / "charged");
  claimed.erase(claimed.find("\"prefix_error\""), std::string("\"prefix_error\":0.001,").size());
  write_file_atomically(folder / "claimed", rechained(claimed));
  CHECK_FAILS(read_regression_log(folder / "claimed"), "does not follow");
}

TEST_CASE("a changed log of a regression network is refused with the place") {
  const TemporaryFolder folder;
  const RegressionLogHeader header = made_regression_header();
  const auto path = folder / "certificates.jsonl";
  {
    RegressionLogWriter writer = RegressionLogWriter::create(path, header);
    for (const std::int64_t image : {0, 1}) writer.append(made_regression_record(header, image));
  }
  const std::string text = text_of(path);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    const auto at = other.find(from);
    REQUIRE(at != std::string::npos);
    other.replace(at, from.size(), to);
    return other;
  };
  CHECK_NOTHROW(parse_regression_log(text, "log"));
  CHECK_FAILS(parse_regression_log(changed("\"label\":1.5", "\"label\":2.5"), "log"),
              "log:2: not a line of the log of a regression network: the chain breaks here");
  CHECK_FAILS(parse_regression_log(
                  changed("\"draws\":100,\"positive\"", "\"draws\":99,\"positive\""), "log"),
              "99 draws, but the header says 100");
  CHECK_FAILS(parse_regression_log(changed("\"label\"", "\"lable\""), "log"), "log:2:");
  CHECK_FAILS(parse_regression_log(changed("{\"image\":0", "{\"image\":0,\"more\":1"), "log"),
              "too many");
  CHECK_FAILS(parse_regression_log(changed("\"alpha\":0.05", "\"alpha\":1.5"), "log"), "log:1:");
  CHECK_FAILS(parse_regression_log("", "log"), "the header, is missing");
  CHECK_FAILS(parse_regression_log(changed("\"regression_log\":2", "\"regression_log\":1"), "log"),
              "it is of format 1, this program knows 2: certify anew");
  const std::string look =
      "{\"prediction\":\"mean\",\"certificate\":\"exact\",\"bound\":\"betting\",\"alpha\":0.05}";
  CHECK_FAILS(parse_regression_log(changed("[" + look, "["), "log"), "the ledger reserves nothing");
  CHECK_FAILS(parse_regression_log(changed(look, look + "," + look), "log"), "a look twice");
  // A line with a right chain, but a narrower interval than its counts give.
  RegressionLog log = parse_regression_log(text, "log");
  log.records[1].interval->high -= 1.0;
  write_regression_log(folder / "narrow", log);
  CHECK_FAILS(read_regression_log(folder / "narrow"), "does not follow from its integers");
  log.records[1] = log.records[0];
  write_regression_log(folder / "twice", log);
  CHECK_FAILS(read_regression_log(folder / "twice"), "image 0 is on line 2 already");
}

TEST_CASE("parts of the log of a regression network become one, and contradictions are refused") {
  const RegressionLogHeader header = made_regression_header();
  std::vector<RegressionLogPart> parts(2);
  parts[0] = {"a", {.header = header}};
  parts[1] = {"b", {.header = header}};
  for (const std::int64_t image : {0, 2, 3})
    parts[0].log.records.push_back(made_regression_record(header, image));
  for (const std::int64_t image : {1, 2})
    parts[1].log.records.push_back(made_regression_record(header, image));
  std::size_t repeated = 0;
  const RegressionLog merged = merge_regression_logs(parts, repeated);
  CHECK(repeated == 1);
  REQUIRE(merged.records.size() == 4);
  for (std::int64_t image = 0; image < 4; ++image)
    CHECK(merged.records[static_cast<std::size_t>(image)].image == image);
  // The sensitivity that another processor rounds up is everybody's.
  parts[1].log.header.calibration.sensitivity *= 1.0 + 1e-12;
  for (RegressionRecord& record : parts[1].log.records) derive(parts[1].log.header, record);
  const RegressionLog larger = merge_regression_logs(parts, repeated);
  CHECK(repeated == 1);
  CHECK(larger.header.calibration.sensitivity > header.calibration.sensitivity);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(larger.records[i].interval->width() >= merged.records[i].interval->width());
  parts[1].log.records[1].label = 7.0;
  CHECK_FAILS(merge_regression_logs(parts, repeated), "b: image 2 has another line");
  parts[1].log.header.seed = 2;
  CHECK_FAILS(merge_regression_logs(parts, repeated), "seed: 1 and 2");
}

TEST_CASE("a log of a regression network is certified anew, and says whether that was reserved") {
  const RegressionLogHeader header = made_regression_header();
  RegressionLog log{.header = header};
  for (const std::int64_t image : {2, 0})
    log.records.push_back(made_regression_record(header, image));
  const RegressionLog wider = recertified(log, header.options, 0.3, std::nullopt);
  CHECK(wider.header.reserved());  // all radii of a certificate hold together
  CHECK(wider.records[0].image == 0);
  CHECK_FALSE(wider.records[0].radius.has_value());
  CHECK(wider.records[0].interval->width() > log.records[1].interval->width());
  CHECK(wider.records[0].statistics == log.records[1].statistics);
  const OutputOptions median{Prediction::median, CertificateKind::exact, Bound::clopper_pearson,
                             0.05};
  OutputOptions surer = header.options;
  surer.alpha = 0.01;
  for (const OutputOptions& other : {median, surer}) {
    const RegressionLog explored = recertified(log, other, 0.1, 10.0);
    CHECK_FALSE(explored.header.reserved());
    CHECK(explored.header.ledger == header.ledger);
    CHECK(recertified(explored, header.options, 0.1, 10.0).header.reserved());
  }
  CHECK_FAILS(recertified(log, {Prediction::median, CertificateKind::pixeldp, Bound::betting, 0.05},
                          0.1, 10.0),
              "speaks of expectations");
}

TEST_CASE("parts of the log of a regression network are collected, and none is left") {
  const TemporaryFolder folder;
  const RegressionLogHeader header = made_regression_header();
  const auto path = folder / "log";
  const auto write = [&](const std::filesystem::path& part, std::vector<std::int64_t> images) {
    RegressionLogWriter writer = RegressionLogWriter::create(part, header);
    for (const std::int64_t image : images) writer.append(made_regression_record(header, image));
  };
  write(folder / "whole", {0, 1, 2, 3});
  write(folder / "log.part-0", {0, 2});
  write(folder / "log.part-1", {3, 2});
  write_file_atomically(folder / "log.part-2", "{\"regression_log\":2,\"mod");  // killed at once
  {
    RegressionLogWriter writer = RegressionLogWriter::create(path, header);
    writer.append(made_regression_record(header, 1));
    collect_parts(writer, path);
    CHECK(writer.take_records().size() == 4);
    CHECK_FAILS(writer.append(made_regression_record(header, 3)), "in the certificate log already");
  }
  CHECK(text_of(path) == text_of(folder / "whole"));
  for (const char* part : {"log.part-0", "log.part-1", "log.part-2"})
    CHECK_FALSE(std::filesystem::exists(folder / part));
}
