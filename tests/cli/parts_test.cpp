#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/cli/made_workplace.hpp"

/// Certifying some of the images, and putting logs of parts together again.

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;

namespace {

/// The lines of a log by image, without the chain, which depends on the lines before; the header's
/// is that of -1.
std::map<std::int64_t, std::string> lines_of(const std::filesystem::path& log) {
  std::map<std::int64_t, std::string> lines;
  std::istringstream text(text_of(log));
  for (std::string line; std::getline(text, line);)
    lines[json::parse(line).value("image", std::int64_t{-1})] =
        line.substr(0, line.rfind(", \"chain\""));
  return lines;
}

/// A trained run with the log of all its 32 test images, `whole`: one for all tests, which leave
/// both as they are.
struct Certified : MadeWorkplace {
  const std::string with_draws = "certify run --data . --draws ", certify = with_draws + "20";
  Certified() {
    done("train made.yaml --output run --set training.steps=12");
    done(certify + " --output whole");
  }
};

const Certified& certified() {
  static const Certified place;
  return place;
}

}  // namespace

TEST_CASE("a strided log has the very lines of the full one") {
  const Certified& place = certified();
  const auto whole = lines_of(place.folder / "whole");
  REQUIRE(whole.size() == 33);
  const auto check = [&](const std::string& images, std::int64_t first, std::int64_t last,
                         std::int64_t step) {
    CAPTURE(images);
    const json report = json::parse(
        place.done(place.certify + " --json --output '" + images + "' --images " + images));
    std::map<std::int64_t, std::string> expected = {{-1, whole.at(-1)}};
    for (std::int64_t image = first; image < last; image += step) expected[image] = whole.at(image);
    CHECK(lines_of(place.folder / images) == expected);
    CHECK(report["images"] == expected.size() - 1);
    CHECK(report["new_draws"] == 20 * (expected.size() - 1));
  };
  check("0:32:5", 0, 32, 5);
  check("::20", 0, 32, 20);
  check("3:30:9", 3, 30, 9);
  check("7::8", 7, 32, 8);
  check(":9:4", 0, 9, 4);
  check("4:6:", 4, 6, 1);
  check("30:", 30, 32, 1);
  check("5:32:9223372036854775807", 5, 6, 1);

  // Selection draws and other devices see the same numbers.
  for (const std::string options : {"9 --selection-draws 9", "3 --device emulated"}) {
    CAPTURE(options);
    place.done(place.with_draws + options + " --output of-all --images 8:13");
    place.done(place.with_draws + options + " --output of-some --images 8:13:2");
    const auto all = lines_of(place.folder / "of-all");
    const auto some = lines_of(place.folder / "of-some");
    CHECK(some.size() == 4);
    for (const auto& [image, line] : some) CHECK(line == all.at(image));
    std::filesystem::remove(place.folder / "of-all");
    std::filesystem::remove(place.folder / "of-some");
  }
}

TEST_CASE("a strided log is continued, filled up and reported") {
  const Certified& place = certified();
  place.done(place.certify + " --output log --images ::8");
  const json more =
      json::parse(place.done(place.certify + " --json --output log --resume --images ::4"));
  CHECK(more["images"] == 8);
  CHECK(more["new_draws"] == 4 * 20);
  std::filesystem::create_directory(place.folder / "some");
  std::filesystem::copy(place.folder / "log", place.folder / "some/certificates.jsonl");
  CHECK(json::parse(place.done("report some --json"))["runs"][0]["images"] == 8);
  place.done("recertify log --alpha 0.01 --output other");
  CHECK(lines_of(place.folder / "other").size() == 9);
  place.done(place.certify + " --output log --resume");
  CHECK(lines_of(place.folder / "log") == lines_of(place.folder / "whole"));
}

TEST_CASE("image ranges and seeds that are none are refused") {
  const Certified& place = certified();
  for (const char* images : {"3", "three", "1:2:3:4", "a:b", "0:5:x", "0:5: 1", "0x1:5", "1.5:3",
                             "0:99999999999999999999"}) {
    place.refused(place.certify + " --output x --images '" + std::string(images) + "'", "A:B:STEP",
                  2);
  }
  for (const char* images : {"0:5:0", "0:5:-1"})
    place.refused(place.certify + " --output x --images " + std::string(images), "at least 1", 2);
  for (const char* images : {"0:33", "5:5", "9:3:2", "32::4", "0:-1"})
    place.refused(place.certify + " --output x --images " + std::string(images), "32 images", 2);
  for (const char* seed : {"-1", "1.5", "x", "18446744073709551616"})
    place.refused(place.certify + " --output x --seed " + std::string(seed), "2^64 - 1", 2);
  CHECK_FALSE(std::filesystem::exists(place.folder / "x"));
}

TEST_CASE("logs of several jobs are merged into what one job would have written") {
  const Certified& place = certified();
  place.done(place.certify + " --output a --images 20:");
  place.done(place.certify + " --output b --images ::2");
  place.done(place.certify + " --output c --images 1:20:2");
  const json report = json::parse(place.done("merge a b c --output merged --json"));
  CHECK(text_of(place.folder / "merged") == text_of(place.folder / "whole"));
  CHECK(report["images"] == 32);
  CHECK(report["logs"] == 3);
  CHECK(report["repeated_lines"] == 6);
  CHECK(report["log"] == "merged");

  place.refused("merge a b --output merged", "merged: the file exists already", 1);
  CHECK(text_of(place.folder / "merged") == text_of(place.folder / "whole"));
  place.done(place.certify + " --output d --images :3 --seed 2");
  place.refused("merge a b d --output x", "a and d cannot be merged", 1);
  place.refused("merge a b d --output x", "\nseed: 1 and 2\n", 1);
  place.refused("merge a nowhere --output x", "nowhere", 1);
  place.refused("merge --output x", "logs", 2);
  place.refused("merge a b", "--output", 2);
  place.refused("merge a c --output nowhere/x", "nowhere/x", 1);

  const std::string a = text_of(place.folder / "a"), c = text_of(place.folder / "c");
  write_file_atomically(place.folder / "both", a + c);
  for (const char* command : {"merge both --output x", "recertify both --output x",
                              "certify run --draws 20 --data . --resume --output both"}) {
    place.refused(command, "both:14: a second header", 1);
    place.refused(command, "pixeldp merge LOG", 1);
  }
  write_file_atomically(place.folder / "header", c.substr(0, c.find('\n') + 1));
  place.refused("merge header --output x", "no certificate yet", 1);
  place.refused("recertify header --output x", "no certificate yet", 1);
  CHECK_FALSE(std::filesystem::exists(place.folder / "x"));

  // A part that was killed: its last line is left out, with a word, and can be made up for.
  write_file_atomically(place.folder / "torn", c.substr(0, c.size() - 9));
  const Outcome torn = place.run("merge a b torn --output most");
  CHECK(torn.status == 0);
  CHECK_MESSAGE(torn.errors.find("torn:11: the last line is cut short") != std::string::npos,
                torn.errors);
  CHECK(lines_of(place.folder / "most").size() == 32);
  place.done(place.certify + " --output most --resume");
  CHECK(lines_of(place.folder / "most") == lines_of(place.folder / "whole"));
}

TEST_CASE("a micro-batch beyond what is useful is cut down with a word, and changes nothing") {
  const Certified& place = certified();
  const std::string whole = text_of(place.folder / "whole");
  for (const std::string size : {"640", "641", "100000000", "9223372036854775807"}) {
    CAPTURE(size);
    const Outcome outcome =
        place.run(place.certify + " --output " + size + " --micro-batch " + size);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    CHECK((outcome.errors.find("cut down to 640") != std::string::npos) == (size != "640"));
    CHECK(text_of(place.folder / size) == whole);
  }
  place.done(place.with_draws + "3 --images :3 --device emulated --output e");
  const Outcome emulated = place.run(place.with_draws + "3 --images :3 --device emulated " +
                                     "--output f --micro-batch 9223372036854775807");
  CHECK_MESSAGE(emulated.errors.find("cut down to 9") != std::string::npos, emulated.errors);
  CHECK(text_of(place.folder / "e") == text_of(place.folder / "f"));
}
