#include "pixeldp/certificate_log.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <set>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "tests/fuzz/certificate_log.hpp"
#include "tests/fuzz/replay.hpp"
#include "tests/log_text.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

CertificateLogHeader argmax_header() {
  CertificateLogHeader header;
  header.model_sha256 = std::string(64, 'a');
  header.dataset = "mnist \"quoted\"\n";
  header.dataset_sha256 = std::string(64, '7');
  header.split = "test";
  header.calibration = {.mechanism = Mechanism::gaussian,
                        .attack_norm = AttackNorm::l2,
                        .construction = Construction{.bound = 0.1},
                        .noise_scale = 0.25372725,
                        .sensitivity = 1.0000000000000002};
  header.draws = 300;
  header.seed = std::numeric_limits<std::uint64_t>::max();
  header.ledger = only_look(header.options, header.draws);
  return header;
}

CertificateRecord argmax_record(std::int64_t image, double radius = 0.1) {
  CertificateRecord record;
  record.image = image;
  record.label = 2;
  record.prediction = 1;
  record.statistics.draws = 300;
  record.statistics.votes = {40, 250, 10};
  record.statistics.sums = {std::uint64_t{40} << 32, std::uint64_t{250} << 32,
                            std::uint64_t{10} << 32};
  record.statistics.squares = {7, std::uint64_t{240} << 32, 5};
  record.radius = radius;
  return record;
}

std::string read(const fs::path& path) { return std::string(as_text(read_file(path))); }

void write(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// A log of three images as text.
std::string valid_log() {
  TemporaryFolder folder;
  CertificateLogWriter writer = CertificateLogWriter::create(folder / "log.jsonl", argmax_header());
  for (const std::int64_t image : {0, 1, 5}) writer.append(argmax_record(image));
  return read(folder / "log.jsonl");
}

std::string with(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

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
  const std::string text = read(folder / "log");
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
    const CertificateLog log = parse_certificate_log(read(path), "log");
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
    const CertificateLog log = parse_certificate_log(read(path), "log");
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
  const std::string text = read(folder / "log");
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
  const std::string text = read(folder / "log");
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
    write(path, text.substr(0, length));
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
    CHECK(read(path) == text);
  }
}

TEST_CASE("A log is continued only under its own conditions, and never overwritten") {
  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";
  write(path, valid_log());
  CertificateLogHeader other = argmax_header();
  other.calibration.noise_scale = 0.5;
  other.draws = 301;
  const std::string message = message_of([&] { CertificateLogWriter::resume(path, other); });
  CHECK(contains(message, "noise_scale: 0.25372725 and 0.5\ndraws: 300 and 301"));
  CHECK(contains(message_of([&] { CertificateLogWriter::create(path, argmax_header()); }),
                 "already"));
  CHECK(read(path) == valid_log());
  CHECK_THROWS_AS(CertificateLogWriter::resume(folder / "missing", other), Error);
  CHECK_THROWS_AS(CertificateLogWriter::create(folder / "missing" / "log", other), Error);
  CHECK_THROWS_AS(read_certificate_log(folder.path()), Error);
}

TEST_CASE("The writer refuses what the reader would refuse") {
  TemporaryFolder folder;
  const fs::path path = folder / "log.jsonl";
  CertificateLogWriter writer = CertificateLogWriter::create(path, argmax_header());
  writer.append(argmax_record(3));
  const std::string before = read(path);
  CHECK_THROWS_AS(writer.append(argmax_record(3)), Error);
  CertificateRecord wrong_sum = argmax_record(4);
  wrong_sum.statistics.draws = 299;
  CHECK_THROWS_AS(writer.append(wrong_sum), Error);
  CHECK_THROWS_AS(writer.append(argmax_record(4, std::nan(""))), Error);
  CHECK_THROWS_AS(writer.append(argmax_record(4, -0.1)), Error);
  CHECK(read(path) == before);
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
  std::optional<CertificateLogWriter> writer = CertificateLogWriter::create(path, argmax_header());
  writer->append(argmax_record(0));
  // A limit inside the next line: the file ends in the middle of it, as on a full disk.
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  rlimit tight = old;
  tight.rlim_cur = fs::file_size(path) + 20;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  const std::string message = message_of([&] { writer->append(argmax_record(1)); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &old) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(contains(message, "disk full"));
  CHECK(fs::file_size(path) == tight.rlim_cur);
  // Going on would glue the next line to the torn one.
  CHECK_THROWS_AS(writer->append(argmax_record(2)), Error);
  CHECK(read_certificate_log(path).records.size() == 1);
  writer.reset();
  CertificateLogWriter::resume(path, argmax_header()).append(argmax_record(1));
  CHECK(read_certificate_log(path).records.size() == 2);
}

TEST_CASE("Damage is an error that names file and line") {
  const std::string text = valid_log();
  struct Case {
    std::string from, to, message;
  };
  const std::string deep(100000, '[');
  const Case cases[] = {
      {"\"image\": 1,", "\"image\": 0,", "log:3: image 0 is on line 2 already"},
      {"\"image\": 1,", "\"image\": -1,", "log:3: image must hold integers from 0"},
      {"\"image\": 1,", "\"image\": 9223372036854775808,", "log:3: image is 9223372036854775808"},
      {"\"image\": 1,", "\"image\": 1, \"image\": 2,", "log:3: the key \"image\" appears twice"},
      {"\"image\": 1,", "", "log:3: image is missing"},
      {"\"image\": 1,", "\"image\": 1, \"extra\": 1,", "log:3: unknown key \"extra\""},
      {"\"image\": 5, \"label\": 2", "\"image\": 5, \"label\": 3", "log:4: label 3 is not one of"},
      {"\"prediction\": 1", "\"prediction\": 4294967297", "log:2: prediction is 4294967297"},
      {"\"prediction\": 1", "\"prediction\": 0", "log:2: prediction 0 is not the label with"},
      {"\"draws\": 300,", "\"draws\": 301,", "log:2: the votes do not sum to the 301 draws"},
      {"[40, 250, 10]", "[40, 250, 9, 1]", "log:2: votes of 4 classes, but sums of 3"},
      {"[40, 250, 10]", "[40, 18446744073709551615, 11]", "log:2: the votes do not sum"},
      {"[40, 250, 10]", "[40, 250, 18446744073709551616]", "log:2: votes must hold integers"},
      {"[40, 250, 10]", "[40, 250, 10.0]", "log:2: votes must hold integers"},
      {"[7, ", "[171798691841, ", "log:2: the sum of squares of class 0 exceeds its sum"},
      {"[7, ", "[7, 7, ", "log:2: 3 sums, but 4 squares"},
      {"[171798691840, ", "[271798691840, ", "log:2: the sums do not match the 300 draws"},
      {"[40, 250, 10]", "[40, 250, [10]]", "log:2: lists are nested deeper"},
      {"[40, 250, 10]", deep, "log:2: lists are nested deeper"},
      {"[40, 250, 10]", "300", "log:2: votes must be a list"},
      {"[40, 250, 10]", "[]", "log:2: the votes do not sum"},
      {"\"radius\": 0.1", "\"radius\": NaN", "log:2: the line is not JSON"},
      {"\"radius\": 0.1", "\"radius\": 1e999", "log:2: the line is not JSON"},
      {"\"radius\": 0.1", "\"radius\": -1e-300", "log:2: radius -1e-300 is not"},
      {"\"radius\": 0.1", "\"radius\": null", "log:2: radius must be a number, but is null"},
      {"\"radius\": 0.1", "\"radius\": \"0.1\"", "log:2: radius must be a number"},
      {"\"selection_draws\": 0, ", "\"selection_draws\": 5, ",
       "log:2: draws and selection_draws are 300 and 5, but the header says 300 and 0"},
      {"\"draws\":300,", "\"draws\":301,", "log:2: draws and selection_draws are 300 and 0, but"},
      {"\n", "\n\n", "log:2: the line is not JSON"},
      {"\n", "\n[]\n", "log:2: the line is not a JSON object"},
      {"\"format_version\":2", "\"format_version\":3", "log:1: the log has format version 3"},
      {"\"format_version\":2", "\"format_version\":1", "log:1: unknown key \"source\""},
      {"\"source\":\"draws\"", "\"source\":\"dreams\"", "log:1: source: unknown source"},
      {"\"source\":\"draws\"", "\"source\":\"eval-data\"", "log:1: seed must be null"},
      {"\"stopping\":\"fixed\"", "\"stopping\":\"luck\"", "log:1: stopping: unknown stopping"},
      {"[\"votes\",", "[\"notes\",", "log:1: statistics must be votes, or sums"},
      {"[\"votes\",\"sums\",\"squares\"]", "[\"sums\",\"squares\"]", "log:1: argmax scores, but"},
      {"\"selected_by\":null", "\"selected_by\":\"argmax\"", "log:1: selected_by belongs to"},
      {"\"bound\":\"clopper-pearson\",\"cert", "\"bound\":\"hoeffding\",\"cert",
       "log:2: image 0: the chain breaks here"},
      {"[{\"alpha\":0.05", "[{\"alpha\":1.05", "log:1: look 1 of the ledger is none"},
      {"[{\"alpha\":0.05", "[{\"alpha\":0.05,\"alpha\":0.05", "log:1: the key \"alpha\" appears"},
      {"[{\"alpha\":0.05", "[3,{\"alpha\":0.05", "log:1: a list of objects holds 3"},
      {"[{\"alpha\":0.05", "[{\"beta\":1,\"alpha\":0.05", "log:1: unknown key \"beta\""},
      {"[{\"alpha\":0.05",
       "[{\"alpha\":0.1,\"draws\":301,\"score_type\":\"argmax\","
       "\"bound\":\"hoeffding\"},{\"alpha\":0.05",
       "log:1: look 2 of the ledger is not behind"},
      {"\"seed\":18", "\"seed\":17", "log:2: image 0: the chain breaks here"},
      {"\"image\": 1, \"label\": 2", "\"image\": 1, \"label\": 0",
       "log:3: image 1: the chain breaks here"},
      {"\"image\": 1, \"label\": 2", "\"image\": 1, \"label\":  2",
       "log:3: image 1: the chain breaks here"},
      {"\"image\": 1, \"label\": 2", "\"image\": 1, \"label\": null", "log:3: label -1 is not"},
      {", \"chain\": \"", ", \"chain\": \"0", "log:2: image 0: the chain breaks here"},
      {", \"chain\": ", ", \"link\": ", "log:2: chain is missing"},
      {"\"mechanism\":\"gaussian\"", "\"mechanism\":\"cauchy\"", "log:1: mechanism: "},
      {"\"mechanism\":\"gaussian\"", "\"mechanism\":\"none\"", "log:1: the ledger holds looks"},
      {"\"alpha\":0.05", "\"alpha\":1.0", "log:1: alpha must lie between 0 and 1"},
      {"\"alpha\":0.05", "\"alpha\":1e400", "log:1: the line is not JSON"},
      {"\"noise_scale\":0.25372725", "\"noise_scale\":-1.0", "log:1: "},
      {"\"sensitivity\":1.0000000000000002", "\"sensitivity\":0", "log:1: "},
      {"\"split\":\"test\"", "\"split\":\"all\"", "log:1: split must be train or test"},
      {"\"model_sha256\":\"a", "\"model_sha256\":\"A", "log:1: model_sha256 must be 64"},
  };
  for (const Case& damage : cases) {
    CAPTURE(damage.from);
    CAPTURE(damage.to.substr(0, 40));
    const std::string message =
        message_of([&] { parse_certificate_log(with(text, damage.from, damage.to), "log"); });
    CHECK_MESSAGE(message.substr(0, damage.message.size()) == damage.message, message);
  }
  const std::string long_line = with(text, "\n", "\n" + std::string(17 << 20, ' '));
  CHECK(contains(message_of([&] { parse_certificate_log(long_line, "log"); }), "log:2: the line"));
}

TEST_CASE("The chain shows a line that was left out, moved or made up, and nothing else") {
  const std::string text = valid_log();
  std::vector<std::string> lines;
  std::size_t start = 0;
  for (std::size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1)
    lines.push_back(text.substr(start, end + 1 - start));
  REQUIRE(lines.size() == 4);
  const auto refused = [&](std::initializer_list<std::size_t> order, const char* part) {
    std::string other;
    for (const std::size_t line : order) other += lines[line];
    CHECK_FAILS(parse_certificate_log(other, "log"), part);
    CHECK_NOTHROW(parse_certificate_log(tests::rechained(other), "log"));
  };
  refused({0, 2, 3}, "log:2: image 1: the chain breaks here");
  refused({0, 1, 3}, "log:3: image 5: the chain breaks here");
  refused({0, 2, 1, 3}, "log:2: image 1: the chain breaks here");
  // A log that ends sooner is one that was interrupted: only who knows its last value can tell.
  CHECK(parse_certificate_log(lines[0] + lines[1], "log").records.size() == 1);
  CHECK_FAILS(parse_certificate_log(tests::rechained(text + lines[3]), "log"),
              "log:5: image 5 is on line 4 already");
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
  write(path, first);
  const CertificateLog log = read_certificate_log(path);
  REQUIRE(log.records.size() == 3);
  CHECK(log.header.source == CountSource::format_1);
  CHECK(log.header.standing() == Standing::unrecorded);
  CHECK(log.records[2].statistics.votes == argmax_record(5).statistics.votes);
  CHECK(log.records[2].statistics.sums.empty());
  CHECK_FAILS(CertificateLogWriter::resume(path, argmax_header()),
              "(format-1) cannot be continued");
  CHECK(read(path) == first);
  // What is written of it says where it is from, and is chained from here on.
  write_certificate_log(folder / "second", log);
  const std::string second = read(folder / "second");
  CHECK(contains(second, "\"source\":\"format-1\""));
  CHECK(contains(second, "\"statistics\":[\"votes\"]"));
  CHECK(read_certificate_log(folder / "second").header.difference(log.header) == "");
  CHECK_FAILS(
      parse_certificate_log(with(first, "\"radius\":", "\"chain\":\"\",\"radius\":"), "log"),
      "log:2: unknown key \"chain\"");
}

TEST_CASE("Every cut and every changed byte of a log is read or refused, never more") {
  const std::string text = valid_log();
  std::mt19937 random(1);
  int accepted = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::string damaged = text;
    for (int i = 0; i <= trial % 3; ++i) {
      damaged[random() % damaged.size()] = static_cast<char>(random() % 256);
    }
    try {
      const CertificateLog log = parse_certificate_log(damaged, "log");
      ++accepted;
      for (const CertificateRecord& record : log.records) {
        CHECK(record.radius >= 0);
        CHECK(record.prediction < record.statistics.classes());
      }
    } catch (const Error&) {
    }
  }
  CHECK(accepted <
        100);  // a byte may be replaced by itself, and behind the last line feed all goes
}

TEST_CASE("The log's reader takes or refuses every input of its fuzzer") {
  fuzz::replay("certificate_log", fuzz::certificate_log);
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
