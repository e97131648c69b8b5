#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/cli/made_workplace.hpp"
#include "tests/log_text.hpp"

/// Images whose draws stop when a radius is proved or out of reach.

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> lines_of(const std::string& log) {
  std::vector<std::string> lines;
  std::istringstream text(log);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

/// A trained run, with logs that stop at a radius, `whole`, and at a tolerance; every test leaves
/// them as they are.
struct Stopped : MadeWorkplace {
  const std::string common = "certify run --data . --draws 1000 ";
  const std::string certify = common + "--radius 0.15 ";
  Stopped() {
    done("train made.yaml --output run --set training.steps=12");
    done(certify + "--output whole");
    done(common + "--tolerance 0.3 --images :8 --output tolerance");
  }
  std::string whole() const { return text_of(folder / "whole"); }
};

const Stopped& stopped() {
  static const Stopped place;
  return place;
}

}  // namespace

TEST_CASE("an image stops at the first look that is enough, with the counts of as many draws") {
  const Stopped& place = stopped();
  const std::vector<std::string> lines = lines_of(place.whole());
  REQUIRE(lines.size() == 33);
  const json header = json::parse(lines[0]);
  CHECK(header["stopping"] == "radius");
  CHECK(header["target"] == 0.15);
  CHECK(header["selection_draws"] == 32);
  CHECK(header["ledger"].size() == 1);
  const auto looks = header["looks"].get<std::vector<std::uint64_t>>();
  std::map<std::uint64_t, std::vector<std::string>> by_draws;
  int proved = 0, given_up = 0;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const json record = json::parse(lines[i]);
    CHECK(record["image"] == i - 1);  // in their order, whichever stopped first
    const std::uint64_t draws = record["draws"];
    CHECK(std::ranges::count(looks, draws) == 1);
    by_draws[draws].push_back(lines[i].substr(0, lines[i].rfind(", \"chain\"")));
    (record["radius"] >= 0.15 ? proved : given_up) += draws < 1000;
  }
  REQUIRE(by_draws.size() > 2);
  CHECK(proved > 0);
  CHECK(given_up > 0);
  // The very lines of a certification of that number of draws.
  for (const auto& [draws, of_draws] : by_draws) {
    CAPTURE(draws);
    const std::string log = "fixed" + std::to_string(draws);
    place.done(
        fmt::format("certify run --data . --draws {} --selection-draws 32 --bound anytime "
                    "--output {}",
                    draws, log));
    const std::string fixed = text_of(place.folder / log);
    for (const std::string& line : of_draws) CHECK(fixed.find(line) != std::string::npos);
  }
}

TEST_CASE("the log of stopped images depends on no batch, thread, device window or interruption") {
  const Stopped& place = stopped();
  const std::string whole = place.whole();
  for (const auto& [options, variables] : {std::pair{"--micro-batch 7", "OMP_NUM_THREADS=1"},
                                           {"--micro-batch 500", ""},
                                           {"--images :", "OMP_NUM_THREADS=3"}}) {
    CAPTURE(options);
    const Outcome outcome = place.run(place.certify + "--output other " + options, variables);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    CHECK(text_of(place.folder / "other") == whole);
    fs::remove(place.folder / "other");
  }
  // Lines of any images, in any order, and half of one.
  const std::vector<std::string> lines = lines_of(whole);
  std::string begun = lines[0] + "\n" + lines[20] + "\n" + lines[3] + "\n" + lines[9] + "\n";
  write_file_atomically(place.folder / "begun", rechained(begun) + lines[1].substr(0, 50));
  const json report = json::parse(place.done(place.certify + "--output begun --resume --json"));
  CHECK(text_of(place.folder / "begun") == whole);
  CHECK(report["images"] == 32);
  CHECK(report["certified"].back()["threshold"] == 0.15);
  std::uint64_t draws = 0;
  for (std::size_t i = 1; i < lines.size(); ++i)
    if (i != 20 && i != 3 && i != 9) draws += json::parse(lines[i])["draws"].get<int>() + 32;
  CHECK(report["new_draws"] == draws);

  place.done(place.certify + "--output odd --images 1::2");
  place.done(place.certify + "--output even --images ::2");
  place.done("merge odd even --output merged");
  CHECK(text_of(place.folder / "merged") == whole);
  place.refused("merge whole tolerance --output x", "stopping: \"radius\" and \"tolerance\"", 1);
  place.refused(place.common + "--radius 0.16 --output merged --resume", "target: 0.15 and 0.16",
                1);
  // On a device, whose windows hold other images.
  const std::string emulated = "certify run --data . --draws 64 --radius 0.05 --device emulated ";
  place.done(emulated + "--images :4 --output all");
  place.done(emulated + "--images 1:3 --micro-batch 5 --output some");
  const auto all = lines_of(text_of(place.folder / "all"));
  const auto some = lines_of(text_of(place.folder / "some"));
  REQUIRE(some.size() == 3);
  for (const std::size_t i : {1, 2})
    CHECK(some[i].substr(0, some[i].rfind(", \"chain")) ==
          all[i + 1].substr(0, all[i + 1].rfind(", \"chain")));
}

TEST_CASE("stopped images are verified, certified anew and reported, by what their counts allow") {
  const Stopped& place = stopped();
  for (const char* log : {"whole", "tolerance"})
    place.done(fmt::format("verify {} --run run --data . --fraction 1", log));
  // Who says that an image stopped elsewhere is found out, though its radius is right.
  const std::vector<std::string> lines = lines_of(place.whole());
  place.done("certify run --data . --draws 320 --selection-draws 32 --bound anytime --output n320");
  std::string forged;
  for (std::size_t i = 0; i < lines.size(); ++i)
    forged += (i > 0 && lines[i].find("\"draws\": 32,") != std::string::npos
                   ? lines_of(text_of(place.folder / "n320"))[i]
                   : lines[i]) +
              "\n";
  write_file_atomically(place.folder / "forged", rechained(forged));
  place.refused("verify forged --run run --data . --fraction 1", "draws 320 in the log, 32 drawn",
                1);

  place.refused("recertify whole --bound clopper-pearson --output x",
                "(radius): clopper-pearson bounds of argmax scores say nothing of such counts", 1);
  place.refused("recertify whole --scores softmax --output x",
                "bounds of softmax scores say nothing of such counts", 1);
  place.refused("certify run --data . --extend 100 --output whole",
                "each image stopped by its own counts (stopping radius)", 1);
  const Outcome paper = place.run("recertify whole --certificate pixeldp --output paper");
  CHECK(paper.status == 0);
  CHECK(paper.errors.empty());  // of the same bounds: no exploration
  place.done("verify paper --run run --data . --fraction 1");
  const Outcome stricter = place.run("recertify whole --alpha 0.001 --output stricter");
  CHECK(stricter.errors.find("this is an exploration") != std::string::npos);

  fs::create_directory(place.folder / "shown");
  fs::copy(place.folder / "whole", place.folder / "shown/certificates.jsonl");
  place.done("report shown --output page.html");
  CHECK(text_of(place.folder / "page.html")
            .find("at most 1000 draws, until a radius of 0.15 is proved or out of reach") !=
        std::string::npos);
  const std::string printed = place.done("recertify whole --output again");
  CHECK(printed.find("in the median, those for the label among them") != std::string::npos);
  CHECK(printed.find("    0.150 ") != std::string::npos);
  CHECK(text_of(place.folder / "again") == place.whole());
}

TEST_CASE("anytime bounds take more draws after a look, without any that was reserved") {
  const Stopped& place = stopped();
  const std::string certify = "certify run --data . --images :8 --bound anytime --output ";
  place.done(certify + "more --draws 20");
  place.done("certify run --data . --extend 30 --output more");
  place.done("certify run --data . --extend 14 --output more");
  place.done(certify + "at-once --draws 64");
  const auto more = lines_of(text_of(place.folder / "more"));
  const auto at_once = lines_of(text_of(place.folder / "at-once"));
  REQUIRE(more.size() == at_once.size());
  for (std::size_t i = 1; i < more.size(); ++i)
    CHECK(more[i].substr(0, more[i].rfind(", \"chain")) ==
          at_once[i].substr(0, at_once[i].rfind(", \"chain")));
  const Outcome again = place.run("recertify more --output again2");
  CHECK(again.errors.empty());
  CHECK(again.output.find("exploration") == std::string::npos);
}

TEST_CASE("rules that cannot stop anything are refused before a draw") {
  const Stopped& place = stopped();
  const std::string certify = "certify run --data . --output x ";
  for (const char* radius : {"0", "-0.1", "nan", "inf"})
    place.refused(certify + "--radius " + radius, "--radius: the radius to prove must be", 2);
  for (const char* tolerance : {"0", "1", "-1", "1.5", "nan"})
    place.refused(certify + "--tolerance " + tolerance, "--tolerance: the tolerance must lie", 2);
  place.refused(certify + "--radius 50", "no outcome of at most 100000 draws proves a radius of 50",
                2);
  place.refused(certify + "--tolerance 0.1 --draws 5", "no outcome of at most 5 draws", 2);
  place.refused(certify + "--radius 0.1 --tolerance 0.1", "excludes", 2);
  place.refused(certify + "--radius 0.1 --looks 300", "excludes", 2);
  place.refused("certify run --data . --radius 0.1 --extend 3", "excludes", 2);
  place.refused(certify + "--radius 0.1 --scores softmax", "take --scores argmax", 2);
  place.refused(certify + "--radius 0.1 --bound pairwise", "pairwise bounds of argmax scores do",
                2);
  place.refused(certify + "--radius 0.1 --selection-draws 0", "the label must be known before", 2);
  place.refused(certify + "--radius 0.1 --draws 0", "draws", 2);
  CHECK_FALSE(fs::exists(place.folder / "x"));
}
