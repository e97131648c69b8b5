#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "tests/fuzz/certificate_log.hpp"
#include "tests/fuzz/replay.hpp"
#include "tests/log_text.hpp"
#include "tests/pixeldp/made_log.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {

using namespace tests;

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
  CHECK_FAILS(parse_certificate_log("<html>", "log"), "log: this is not a certificate log; it is");
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

}  // namespace pixeldp
