#include <string>

#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/log_text.hpp"

/// What is printed is what was proved, and nothing where nothing was.

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;

TEST_CASE(
    "draws that can certify nothing are said before they are made, and certify nothing at 0") {
  const MadeWorkplace place(60);
  REQUIRE(place.run("train made.yaml --output run").status == 0);
  const std::string few = " --draws 10 --alpha 0.001" + place.data();
  const std::string said = "10 draws can never certify here: even 10 of 10 reach only";
  const Outcome certified = place.run("certify run --output few --json" + few);
  REQUIRE_MESSAGE(certified.status == 0, certified.errors);
  CHECK(certified.errors.find(said) != std::string::npos);
  CHECK(certified.errors.find("take at least 15 draws") != std::string::npos);
  const json report = json::parse(certified.output);
  CHECK(report["accuracy"] > 0.5);
  CHECK(report["abstention"] == 1.0);
  CHECK(report["largest_possible_radius"] == 0.0);
  CHECK(report["certified"][0]["threshold"] == 0.0);
  CHECK(report["certified"][0]["certified_accuracy"] == 0.0);
  CHECK(report["certified"][0]["certified_fraction"] == 0.0);
  CHECK(report["certified"][0]["precision"].is_null());
  const Outcome text = place.run("recertify few --output again");
  for (const char* option :
       {"--sigma 1", "--mechanism laplace", "--draws 7", "--selection-draws 7"})
    place.refused(fmt::format("recertify few --output other {}", option),
                  "is for logs of other programs", 2);
  CHECK(text.output.find("    0.000               0.00 %           -               0.00 %") !=
        std::string::npos);

  const Outcome predicted = place.run("predict run test:3" + few);
  CHECK(predicted.errors.find(said) != std::string::npos);
  CHECK(predicted.output.find("not certified") != std::string::npos);
  // Separate draws for the label leave more of alpha; the paper's condition needs more draws.
  CHECK(place.run("certify run --output selected --selection-draws 3 --images 0:1" + few)
            .errors.find("take at least 11 draws") != std::string::npos);
  const Outcome paper =
      place.run("certify run --output paper --images 0:1 --certificate pixeldp-grid" + few);
  CHECK(paper.errors.find("certificate pixeldp-grid") != std::string::npos);
  // Enough draws, nothing said.
  const Outcome enough =
      place.run("certify run --output enough --images 0:1 --draws 15 --alpha 0.001" + place.data());
  CHECK(enough.status == 0);
  CHECK(enough.errors.empty());
}

TEST_CASE("no command prints a radius that its counts do not prove") {
  const MadeWorkplace place(60);
  REQUIRE(place.run("train made.yaml --output run").status == 0);
  REQUIRE(place.run("certify run --draws 50 --images 0:20" + place.data()).status == 0);
  const auto path = place.folder / "run" / "certificates.jsonl";
  const std::string whole = text_of(path);
  std::string edited = whole;
  const std::size_t line = edited.find("\"image\": 5,");
  const std::size_t radius = edited.find("\"radius\": ", line) + 10;
  edited.replace(radius, edited.find(',', radius) - radius, "0.9");
  write_file_atomically(path, edited);
  place.refused("recertify run/certificates.jsonl --output again",
                "certificates.jsonl:7: image 5: the chain breaks here", 1);
  edited = rechained(edited);
  write_file_atomically(path, edited);
  for (const std::string& command : {std::string("report run --output page.html"),
                                     std::string("recertify run/certificates.jsonl --output again"),
                                     "certify run --draws 50 --resume" + place.data()}) {
    CAPTURE(command);
    const Outcome outcome = place.run(command);
    CHECK(outcome.status == 1);
    CHECK(outcome.output.empty());
    CHECK_MESSAGE(outcome.errors.find("certificates.jsonl:7: image 5: the radius is 0.9, but its "
                                      "counts prove only ") != std::string::npos,
                  outcome.errors);
  }
  CHECK(!std::filesystem::exists(place.folder / "page.html"));
  CHECK(!std::filesystem::exists(place.folder / "again"));
  CHECK(text_of(path) == edited);

  // A log of a processor that measured the sensitivity smaller by rounding goes on, by the larger.
  const std::string name = "\"sensitivity\":";
  const std::size_t number = whole.find(name) + name.size(), end = whole.find(',', number);
  const double measured = std::stod(whole.substr(number, end - number));
  std::string rounded = whole.substr(0, whole.rfind("{\"image\":"));
  rounded.replace(number, end - number, fmt::format("{}", measured * (1 - 1e-12)));
  write_file_atomically(path, rechained(rounded));
  const Outcome resumed = place.run("certify run --draws 50 --images 0:20 --resume" + place.data());
  CHECK_MESSAGE(resumed.status == 0, resumed.errors);
  CHECK(resumed.errors.find("gives way to") != std::string::npos);
  CHECK(text_of(path) == whole);

  // A configuration that is not the one it was trained with.
  write_file_atomically(path, whole);
  REQUIRE(place.run("report run --output page.html").status == 0);
  const auto config = place.folder / "run" / "config.yaml";
  std::string yaml = text_of(config);
  const std::string key = "construction_bound: 0.1";
  REQUIRE(yaml.find(key) != std::string::npos);
  write_file_atomically(config,
                        yaml.replace(yaml.find(key), key.size(), "construction_bound: 0.3"));
  const Outcome other = place.run("report run --output page2.html");
  CHECK(other.status == 1);
  CHECK(other.errors.find("noise.construction_bound: 0.3 in config.yaml, 0.1 in "
                          "model.safetensors, 0.1 in certificates.jsonl") != std::string::npos);
  CHECK(!std::filesystem::exists(place.folder / "page2.html"));
}
