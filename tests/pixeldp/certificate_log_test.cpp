#include "pixeldp/certificate_log.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <random>
#include <set>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/file_size_limit.hpp"
#include "tests/log_text.hpp"
#include "tests/pixeldp/made_log.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {

using namespace tests;
namespace fs = std::filesystem;

TEST_CASE("A log of histograms reads back, and takes none that its sums contradict") {
  TemporaryFolder folder;
  CertificateLogHeader header = argmax_header();
  header.statistics.histogram = true;
  CertificateRecord record = argmax_record(7);
  // Scores of 0 and 1, but for one of 1/2 and two of 1/4.
  const std::uint64_t one = std::uint64_t{1} << 32;
  record.statistics.sums = {40 * one - one / 2, 250 * one, 10 * one + one / 2};
  std::vector<std::uint64_t>& histogram = record.statistics.histogram;
  for (const std::uint64_t whole : {39, 250, 10})
    for (int j = 1; j <= 32; ++j)
      histogram.push_back(whole + (whole == 39 && j <= 16) + (whole == 10 && j <= 8 ? 2 : 0));
  {
    CertificateLogWriter writer = CertificateLogWriter::create(folder / "log", header);
    writer.append(record);
  }
  const std::string text = text_of(folder / "log");
  CHECK(contains(text, "\"statistics\":[\"votes\",\"sums\",\"squares\",\"histogram\"]"));
  const CertificateLog log = parse_certificate_log(text, "log");
  CHECK(log.header.difference(header) == "");
  CHECK(log.records[0].statistics.histogram == histogram);
  const auto refused = [&](std::ptrdiff_t place, int places, std::uint64_t count) {
    CertificateRecord changed = record;
    std::fill_n(changed.statistics.histogram.begin() + place, places, count);
    return message_of([&] { certificate_line(header, changed); });
  };
  CHECK(contains(refused(5, 1, 41), "the histogram of class 0 rises"));
  CHECK(contains(refused(0, 1, 301), "the histogram of class 0 rises"));
  CHECK(contains(refused(32, 32, 251), "the histogram of class 1 does not match its sum"));
  CHECK(contains(refused(33, 31, 3), "the histogram of class 1 does not match its sum"));
  histogram.pop_back();
  CHECK(contains(message_of([&] { certificate_line(header, record); }),
                 "95 counts of a histogram, but 3 classes"));
}

TEST_CASE("A log reads back as it was written") {
  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";

  SUBCASE("argmax scores") {
    CertificateLogWriter writer = CertificateLogWriter::create(path, argmax_header());
    CertificateRecord record = argmax_record(7, 0.1 + 0.2);
    writer.append(record);
    const CertificateLog log = parse_certificate_log(text_of(path), "log");
    CHECK(log.header.difference(argmax_header()) == "");
    REQUIRE(log.records.size() == 1);
    CHECK(log.records[0].image == 7);
    CHECK(log.records[0].label == 2);
    CHECK(log.records[0].prediction == 1);
    CHECK(log.records[0].selection_draws == 0);
    CHECK(log.records[0].statistics.draws == 300);
    CHECK(log.records[0].statistics.votes == record.statistics.votes);
    CHECK(log.records[0].statistics.sums == record.statistics.sums);
    CHECK(log.records[0].statistics.squares == record.statistics.squares);
    CHECK(log.records[0].radius == 0.1 + 0.2);
  }
  SUBCASE("softmax scores and separate draws, with the largest integers") {
    CertificateLogHeader header = argmax_header();
    header.options.scores = ScoreType::softmax;
    header.options.bound = Bound::empirical_bernstein;
    header.options.kind = CertificateKind::exact;
    header.selection_draws = 100;
    header.selected_by = ScoreType::argmax;
    header.draws = (std::uint64_t{1} << 32) - 1;
    header.statistics = {.votes = false, .sums = true};
    header.ledger = reserve_alpha(
        {{.draws = 300, .scores = ScoreType::softmax, .bound = Bound::empirical_bernstein},
         {.draws = header.draws, .bound = Bound::hoeffding}},
        0.05);
    CertificateLogWriter writer = CertificateLogWriter::create(path, header);
    CertificateRecord record;
    record.image = std::numeric_limits<std::int64_t>::max();
    record.label = record.prediction = 0;
    record.selection_draws = 100;
    record.statistics.draws = (std::uint64_t{1} << 32) - 1;
    record.statistics.sums = {1, (std::uint64_t{1} << 63) + 1, (std::uint64_t{1} << 63) - 3};
    record.statistics.squares = {1, (std::uint64_t{1} << 63) - 1, 12345678901234567};
    writer.append(record);
    const CertificateLog log = parse_certificate_log(text_of(path), "log");
    CHECK(log.header.difference(header) == "");
    REQUIRE(log.records.size() == 1);
    CHECK(log.records[0].image == record.image);
    CHECK(log.records[0].statistics.sums == record.statistics.sums);
    CHECK(log.records[0].statistics.squares == record.statistics.squares);
    CHECK(log.records[0].statistics.votes.empty());
  }
}

TEST_CASE("A header names the classifier behind an auto-encoder, where there is one") {
  TemporaryFolder folder;
  CertificateLogHeader header = argmax_header();
  header.classifier_sha256 = std::string(64, 'c');
  CertificateLogWriter::create(folder / "log", header).append(argmax_record(0));
  const std::string text = text_of(folder / "log");
  const CertificateLog log = read_certificate_log(folder / "log");
  CHECK(log.header.classifier_sha256 == header.classifier_sha256);
  CHECK(log.header.difference(header) == "");
  CHECK(contains(log.header.difference(argmax_header()), "classifier_sha256: \"ccc"));
  CHECK(contains(argmax_header().difference(header), "classifier_sha256: null and \"ccc"));
  CHECK_FAILS(parse_certificate_log(
                  with(text, "\"classifier_sha256\":\"cc", "\"classifier_sha256\":\"cC"), "log"),
              "classifier_sha256 must be 64");
}

TEST_CASE("A header without a construction says null, never a number") {
  TemporaryFolder folder;
  CertificateLogHeader header = argmax_header();
  header.calibration.construction.reset();
  header.noise_at_certification = true;
  CertificateLogWriter::create(folder / "log", header).append(argmax_record(0));
  const std::string text = text_of(folder / "log");
  for (const char* key : {"epsilon", "delta", "construction_bound"})
    CHECK(contains(text, fmt::format("\"{}\":null", key)));
  CHECK(contains(text, "\"noise_at_certification\":true"));
  const CertificateLog log = read_certificate_log(folder / "log");
  CHECK(!log.header.calibration.construction);
  CHECK(log.header.noise_at_certification);
  CHECK(contains(log.header.difference(argmax_header()), "construction_bound: null and 0.1"));
  CHECK(contains(log.header.difference(argmax_header()), "noise_at_certification: true and false"));

  const auto refused = [&](const std::string& changed, const char* part) {
    CHECK_FAILS(parse_certificate_log(changed, "log"), part);
  };
  refused(with(text, "\"delta\":null", "\"delta\":0.05"), "must all be numbers or all be null");
  refused(with(text, "\"noise_at_certification\":true", "\"noise_at_certification\":1"),
          "must be true or false");
  refused(with(text, "\"noise_scale\":0.25372725", "\"noise_scale\":null"), "must be a number");

  // Older logs know no such noise, and give numbers for models without any.
  const std::string first = tests::in_format_1(valid_log());
  const CertificateLog old =
      parse_certificate_log(with(first, "\"noise_at_certification\":false,", ""), "old");
  CHECK(!old.header.noise_at_certification);
  refused(with(text, "\"noise_at_certification\":true,", ""), "noise_at_certification is missing");
  std::string none = with(first, "\"mechanism\":\"gaussian\"", "\"mechanism\":\"none\"");
  none.resize(none.find('\n') + 1);
  CHECK(!parse_certificate_log(none, "old").header.calibration.construction);
  header.calibration = {};
  CHECK_FAILS(CertificateLogWriter::create(folder / "none", header), "the mechanism is none");
}

TEST_CASE("A record is one line of the documented form") {
  const std::string text = valid_log();
  const std::size_t second_line = text.find('\n') + 1;
  CHECK(text.substr(second_line, text.find('\n', second_line) - second_line) ==
        R"({"image": 0, "label": 2, "prediction": 1, "selection_draws": 0, "draws": 300, )"
        R"("votes": [40, 250, 10], "sums": [171798691840, 1073741824000, 42949672960], )"
        R"("squares": [7, 1030792151040, 5], "radius": 0.1, "chain": )"
        R"(")" +
            sha256_hex(as_bytes(sha256_hex(as_bytes(text.substr(0, second_line - 1))) +
                                text.substr(second_line, text.find(", \"chain") - second_line))) +
            R"("})");
  CHECK(text == tests::rechained(text));
  CHECK(contains(text, R"("ledger":[{"alpha":0.05,"draws":300,"score_type":"argmax",)"
                       R"("bound":"clopper-pearson"}]})"));
  CHECK(contains(text, R"("noise_scale":0.25372725,)"));
  CHECK(contains(text, R"("sensitivity":1.0000000000000002,)"));
}

TEST_CASE("A log that was cut anywhere keeps its complete lines and can be continued") {
  const std::string text = valid_log();
  const CertificateLogHeader header = argmax_header();
  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const auto lines = static_cast<std::size_t>(
        std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length), '\n'));
    write_text(path, text.substr(0, length));
    std::set<std::int64_t> there;
    if (lines == 0) {
      CHECK_THROWS_AS(read_certificate_log(path), Error);
    } else {
      for (const CertificateRecord& record : read_certificate_log(path).records)
        there.insert(record.image);
      CHECK(there.size() == lines - 1);
    }
    CertificateLogWriter writer = CertificateLogWriter::resume(path, header);
    for (const std::int64_t image : {0, 1, 5}) {
      if (!there.contains(image)) writer.append(argmax_record(image));
    }
    CHECK(text_of(path) == text);
  }
}

TEST_CASE("A log is continued only under its own conditions, and never overwritten") {
  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";
  write_text(path, valid_log());
  CertificateLogHeader other = argmax_header();
  other.calibration.noise_scale = 0.5;
  other.draws = 301;
  other.ledger = only_look(other.options, other.draws);
  const std::string message = message_of([&] { CertificateLogWriter::resume(path, other); });
  CHECK(contains(message, "noise_scale: 0.25372725 and 0.5\ndraws: 300 and 301"));
  CHECK(contains(message_of([&] { CertificateLogWriter::create(path, argmax_header()); }),
                 "already"));
  CHECK(text_of(path) == valid_log());
  const std::string begun = valid_log().substr(0, valid_log().find('\n') + 1);
  for (const std::string& text : {begun + "{\"ima", begun, begun + begun, std::string("mine\n")}) {
    CAPTURE(text);
    write_text(path, text);
    if (text.starts_with(begun + "{\"f") || text == "mine\n") {
      CHECK_FAILS(CertificateLogWriter::create(path, other), "already");
      CHECK(text_of(path) == text);
    } else {  // it holds no image, whatever its conditions
      CertificateLogWriter::create(path, other);
      CHECK(read_certificate_log(path).header.draws == 301);
    }
  }
  write_text(path, "mine");  // no log that was killed at its first line
  CHECK_FAILS(CertificateLogWriter::resume(path, other), "this is not a certificate log");
  CHECK(text_of(path) == "mine");
  CHECK_THROWS_AS(CertificateLogWriter::resume(folder / "missing", other), Error);
  CHECK_THROWS_AS(CertificateLogWriter::create(folder / "missing" / "log", other), Error);
  CHECK_THROWS_AS(read_certificate_log(folder.path()), Error);
}

TEST_CASE("The writer refuses what the reader would refuse") {
  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";
  CertificateLogWriter writer = CertificateLogWriter::create(path, argmax_header());
  writer.append(argmax_record(3));
  const std::string before = text_of(path);
  CHECK_THROWS_AS(writer.append(argmax_record(3)), Error);
  CertificateRecord wrong_sum = argmax_record(4);
  wrong_sum.statistics.draws = 299;
  CHECK_THROWS_AS(writer.append(wrong_sum), Error);
  CHECK_THROWS_AS(writer.append(argmax_record(4, std::nan(""))), Error);
  CHECK_THROWS_AS(writer.append(argmax_record(4, -0.1)), Error);
  CHECK(text_of(path) == before);
  CertificateLogHeader bad = argmax_header();
  bad.calibration.noise_scale = std::nan("");
  CHECK_THROWS_AS(CertificateLogWriter::create(folder / "bad", bad), Error);
  CHECK_FALSE(fs::exists(folder / "bad"));
}

TEST_CASE("A full disk is an error, and what was written before stays a good log") {
  CHECK(contains(message_of([] { CertificateLogWriter::create("/dev/full", argmax_header()); }),
                 "disk full"));

  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";
  {
    const FileSizeLimit limit(20);  // nor is a piece of a header left, to be taken for a log
    CHECK_FAILS(CertificateLogWriter::create(path, argmax_header()), "disk full");
  }
  CHECK(fs::file_size(path) == 0);
  std::optional<CertificateLogWriter> writer = CertificateLogWriter::create(path, argmax_header());
  writer->append(argmax_record(0));
  // A limit inside the next line: the file ends in the middle of it, as on a full disk.
  const std::uintmax_t most = fs::file_size(path) + 20;
  std::string message;
  {
    const FileSizeLimit limit(most);
    message = message_of([&] { writer->append(argmax_record(1)); });
  }
  CHECK(contains(message, "disk full"));
  CHECK(fs::file_size(path) == most);
  // Going on would glue the next line to the torn one.
  CHECK_THROWS_AS(writer->append(argmax_record(2)), Error);
  CHECK(read_certificate_log(path).records.size() == 1);
  writer.reset();
  CertificateLogWriter::resume(path, argmax_header()).append(argmax_record(1));
  CHECK(read_certificate_log(path).records.size() == 2);
}

TEST_CASE("Two writers on one log are refused, and so is one on a log that was replaced") {
  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";
  {
    CertificateLogWriter writer = CertificateLogWriter::create(path, argmax_header());
    writer.append(argmax_record(3));
    for (int i = 0; i < 2; ++i) {
      CHECK_FAILS(CertificateLogWriter::resume(path, argmax_header()),
                  "log.jsonl: another process is writing to it");
      CHECK_FAILS(CertificateLogWriter::create(path, argmax_header()), "another process");
      writer.append(argmax_record(1 + i));
      writer.sort();  // replaces the file: its lock goes along
    }
  }
  CertificateLogWriter writer = CertificateLogWriter::resume(path, argmax_header());
  writer.append(argmax_record(0));
  CHECK(writer.take_records().size() == 3);
  writer.sort();
  writer.append(argmax_record(9));
  std::vector<std::int64_t> images;
  for (const CertificateRecord& record : read_certificate_log(path).records)
    images.push_back(record.image);
  CHECK(images == std::vector<std::int64_t>{0, 1, 2, 3, 9});
}

TEST_CASE("A log of format 1 is read by its own rules, and not continued") {
  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";
  const std::string first = tests::in_format_1(valid_log());
  write_text(path, first);
  const CertificateLog log = read_certificate_log(path);
  REQUIRE(log.records.size() == 3);
  CHECK(log.header.source == CountSource::format_1);
  CHECK(log.header.standing() == Standing::unrecorded);
  CHECK(log.records[2].statistics.votes == argmax_record(5).statistics.votes);
  CHECK(log.records[2].statistics.sums.empty());
  CHECK_FAILS(CertificateLogWriter::resume(path, argmax_header()),
              "(format-1) cannot be continued");
  CHECK(text_of(path) == first);
  // What is written of it says where it is from, and is chained from here on.
  write_certificate_log(folder / "second", log);
  const std::string second = text_of(folder / "second");
  CHECK(contains(second, "\"source\":\"format-1\""));
  CHECK(contains(second, "\"statistics\":[\"votes\"]"));
  CHECK(read_certificate_log(folder / "second").header.difference(log.header) == "");
  CHECK_FAILS(
      parse_certificate_log(with(first, "\"radius\":", "\"chain\":\"\",\"radius\":"), "log"),
      "log:2: unknown key \"chain\"");
}

TEST_CASE("A radius is printed as a decimal that names it and is not above it") {
  CHECK(format_radius_down(0.0) == "0");
  CHECK(format_radius_down(-0.0) == "0");
  CHECK(format_radius_down(0.5) == "0.5");
  CHECK(format_radius_down(3.0) == "3");
  CHECK(format_radius_down(1e-9).substr(0, 10) == "0.00000000");
  // The double 0.1 lies above one tenth, the double 0.3 below three tenths.
  CHECK(format_radius_down(0.1) == "0.1");
  CHECK(format_radius_down(0.3) == "0.29999999999999998");
  CHECK_THROWS_AS(format_radius_down(std::numeric_limits<double>::infinity()), Error);
  CHECK_THROWS_AS(format_radius_down(-1e-300), Error);

  std::mt19937_64 random(2);
  for (int trial = 0; trial < 2000; ++trial) {
    double radius = static_cast<double>(random() >> 11) * 0x1p-53;
    if (trial % 4 == 0) radius = std::abs(std::bit_cast<double>(random()));  // any exponent
    if (!std::isfinite(radius)) continue;
    const std::string text = format_radius_down(radius);
    CHECK(std::strtod(text.c_str(), nullptr) == radius);
    // The exact decimal expansion starts with what was printed: nothing was rounded up.
    char exact[1500];
    std::snprintf(exact, sizeof exact, "%.1074f", radius);
    CHECK(std::string_view(exact).substr(0, text.size()) == text);
  }
}

}  // namespace pixeldp
