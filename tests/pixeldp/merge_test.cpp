#include "pixeldp/merge.hpp"

#include <initializer_list>

#include "pixeldp/recertification.hpp"
#include "tests/log_text.hpp"
#include "tests/pixeldp/made_run.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

/// The certification of ten images, whole and in parts of its lines.
struct MadeParts {
  tests::MadeRun made{.images = 10, .draws = 50};
  CertificateLogHeader header = tests::made_header(made);
  std::vector<CertificateRecord> records;

  explicit MadeParts(ScoreType scores = ScoreType::argmax) {
    made.scores = scores;
    header = tests::made_header(made);
    std::mt19937_64 random(1);
    for (int image = 0; image < made.images; ++image)
      records.push_back(tests::made_record(made, header, image, random));
  }

  std::string written(std::initializer_list<std::int64_t> images) const {
    const TemporaryFolder folder;
    CertificateLogWriter writer = CertificateLogWriter::create(folder / "log", header);
    for (const std::int64_t image : images) writer.append(records[static_cast<std::size_t>(image)]);
    return tests::text_of(folder / "log");
  }
  LogPart part(const std::string& source, std::initializer_list<std::int64_t> images) const {
    return {source, parse_certificate_log(written(images), source)};
  }
};

std::string written(const CertificateLog& log) {
  const TemporaryFolder folder;
  write_certificate_log(folder / "log", log);
  return tests::text_of(folder / "log");
}

}  // namespace

TEST_CASE("merged parts are, byte for byte, the log of one job") {
  for (const ScoreType scores : {ScoreType::argmax, ScoreType::softmax}) {
    const MadeParts made(scores);
    const std::string whole = made.written({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    const auto merged = [&](std::vector<LogPart> parts) { return merge_logs(parts); };
    CHECK(written(merged({made.part("a", {0, 1, 2, 3}), made.part("b", {4, 5, 6, 7, 8, 9})}).log) ==
          whole);
    CHECK(written(merged({made.part("b", {9, 5, 6, 7}), made.part("none", {}),
                          made.part("c", {8, 0, 2, 4}), made.part("a", {3, 1})})
                      .log) == whole);
    const MergedLog twice = merged({made.part("a", {0, 1, 2, 3, 4, 5}), made.part("a", {0, 1}),
                                    made.part("b", {4, 9, 8, 7, 6, 5})});
    CHECK(written(twice.log) == whole);
    CHECK(twice.repeated == 4);
    CHECK(written(merged({made.part("a", {5, 0})}).log) == made.written({0, 5}));
    // A part's chain is checked, and the old format's parts are merged among themselves.
    std::string changed = made.written({0, 1, 2});
    changed[changed.find("\"label\": ") + 9] ^= 1;
    CHECK_FAILS(parse_certificate_log(changed, "a"), "a:2: image 0: the chain breaks here");
    const auto old = [&](std::initializer_list<std::int64_t> images) {
      return LogPart{"old", parse_certificate_log(tests::in_format_1(made.written(images)), "old")};
    };
    CHECK(written(merged({old({4, 2}), old({1})}).log) == written(merged({old({1, 2, 4})}).log));
    CHECK_FAILS(merged({old({1}), made.part("a", {2})}), "source: \"format-1\" and \"draws\"");
  }
}

TEST_CASE("parts that do not belong together are refused with what differs, and where") {
  const MadeParts made;
  CHECK_FAILS(merge_logs({}), "no certificate logs");

  std::vector<LogPart> parts = {made.part("a", {0, 1}), made.part("b", {2}), made.part("c", {3})};
  parts[2].log.header.seed = 7;
  parts[2].log.header.options.alpha = 0.01;
  CHECK_FAILS(merge_logs(parts), "a and c cannot be merged");
  CHECK_FAILS(merge_logs(parts), "alpha: 0.05 and 0.01\nseed: 1 and 7");

  parts = {made.part("a", {0, 1}), made.part("b", {2, 4, 1})};
  CertificateRecord& changed = parts[1].log.records[2];
  changed.label = (changed.label + 1) % 10;
  CHECK_FAILS(merge_logs(parts), "b:4: image 1 has another line than in a:3");
  changed.image = 3;
  CHECK(merge_logs(parts).log.records.size() == 5);
  changed.statistics.votes.push_back(0);
  CHECK_FAILS(merge_logs(parts), "b:4: 11 classes, but 10 in a:2");
}

TEST_CASE("parts of processors that round a sensitivity differently are merged under the largest") {
  MadeParts here, there;
  there.header.calibration.sensitivity = 1.0 + 4e-10;
  for (CertificateRecord& record : there.records)
    record.radius = certify(there.header, record).radius;
  const std::string expected = there.written({0, 1, 2, 3, 4});
  const LogPart a = here.part("a", {0, 1, 3}), b = there.part("b", {2, 3, 4});
  for (const auto& parts : {std::vector{a, b}, std::vector{b, a}}) {
    const MergedLog merged = merge_logs(parts);
    CHECK(written(merged.log) == expected);
    CHECK(merged.repeated == 1);
  }
  there.header.calibration.sensitivity = 1.0 + 1e-8;
  CHECK_FAILS(merge_logs(std::vector{a, there.part("b", {2})}),
              "\nsensitivity: 1.0 and 1.00000001");
}

TEST_CASE("a second header in a log is called that, and a torn last line is reported") {
  const MadeParts made;
  const std::string text = made.written({0, 1}) + made.written({2});
  CHECK_FAILS(parse_certificate_log(text, "both"), "both:4: a second header");
  CHECK_FAILS(parse_certificate_log(text, "both"), "pixeldp merge LOG... --output LOG");
  const std::string whole = made.written({0, 1});
  CHECK_FALSE(parse_certificate_log(whole, "log").cut_short);
  const CertificateLog torn =
      parse_certificate_log(std::string_view(whole).substr(0, whole.size() - 1), "log");
  CHECK(torn.cut_short);
  CHECK(torn.records.size() == 1);
}

TEST_CASE("a log is written whole, over nothing, or not at all") {
  const MadeParts made;
  CertificateLog log = made.part("a", {0, 1, 2}).log;
  const TemporaryFolder folder;
  write_file_atomically(folder / "there", std::string_view("something"));
  CHECK_FAILS(write_certificate_log(folder / "there", log), "there: the file exists already");
  CHECK(tests::text_of(folder / "there") == "something");
  CHECK_FAILS(write_certificate_log(folder / "nowhere" / "log", log), "nowhere/log");
  log.records[1].statistics.draws = 49;
  CHECK_FAILS(write_certificate_log(folder / "log", log), "image 1: the votes");
  CHECK_FALSE(std::filesystem::exists(folder / "log"));
}

}  // namespace pixeldp
