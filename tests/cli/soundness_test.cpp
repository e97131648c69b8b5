#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"
#include "pixeldp/recertification.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/log_text.hpp"

/// certify --sound from the image to the checked log, and what certificates without it are charged.

using namespace pixeldp;
using namespace pixeldp::tests;
namespace fs = std::filesystem;

namespace {

struct Sound : MadeWorkplace {
  const std::string certify = "certify run --data . --draws 40 --sound ";
  Sound() {
    done("train made.yaml --output run --set training.steps=12");
    done(certify + "--output whole");
  }
  std::string whole() const { return text_of(folder / "whole"); }
};

const Sound& sound() {
  static const Sound place;
  return place;
}

/// A log with what its header says changed, by somebody who knows how chains are made.
template <class Change>
std::string with_header(const std::string& log, const Change& change) {
  const std::size_t line = log.find('\n');
  auto header = nlohmann::ordered_json::parse(log.substr(0, line));
  change(header);
  return rechained(header.dump() + log.substr(line));
}

}  // namespace

TEST_CASE("a sound log names its lattice, and is the same whatever the instructions and batches") {
  const Sound& place = sound();
  const CertificateLog log = read_certificate_log(place.folder / "whole");
  const Calibration& calibration = log.header.calibration;
  CHECK(calibration.lattice_step == calibration.noise_scale * 0x1p-20);
  CHECK(calibration.variation > 1e-14);
  CHECK(calibration.variation < 1e-12);
  for (const char* instructions : {"plain", "avx2"}) {
    place.done(place.certify + "--micro-batch 7 --output " + instructions,
               std::string("PIXELDP_INSTRUCTIONS=") + instructions);
    CHECK(text_of(place.folder / instructions) == place.whole());
  }
  const auto report = nlohmann::json::parse(place.done(place.certify + "--json --output json"));
  CHECK(report["lattice_step"] == calibration.lattice_step);
  CHECK(report["variation"] == calibration.variation);
  CHECK(place.done(place.certify + "--images :2 --output text").find("sound noise on a lattice") !=
        std::string::npos);
}

TEST_CASE("sound logs are merged, continued, verified and recertified as others are") {
  const Sound& place = sound();
  place.done(place.certify + "--output part --shard 0/2");
  place.done(place.certify + "--output part --shard 1/2");
  place.done("merge part.part-0 part.part-1 --output merged");
  CHECK(text_of(place.folder / "merged") == place.whole());
  write_file_atomically(place.folder / "cut", place.whole().substr(0, place.whole().size() / 2));
  place.done(place.certify + "--output cut --resume");
  CHECK(text_of(place.folder / "cut") == place.whole());
  write_file_atomically(place.folder / "run/sound.jsonl", place.whole());
  place.done("verify run/sound.jsonl --fraction 1" + place.data());
  place.done("recertify whole --alpha 0.2 --output easier");
  const CertificateLog easier = read_certificate_log(place.folder / "easier");
  CHECK(easier.header.calibration.variation > 0.0);
  // Other counts than the same draws give in floats, and not to be mixed with them.
  place.done("certify run --data . --draws 40 --output floats");
  CHECK(text_of(place.folder / "floats").find("lattice_step") == std::string::npos);
  place.refused("certify run --data . --draws 40 --output floats --resume --sound", "lattice_step",
                1);
  place.refused("merge whole floats --output mixed", "lattice_step", 1);
  place.done("certify run --data . --sound --radius 0.05 --draws 100 --output stopped");
  write_file_atomically(place.folder / "run/stopped.jsonl", text_of(place.folder / "stopped"));
  place.done("verify run/stopped.jsonl --fraction 1" + place.data());
}

TEST_CASE("noise in the image and Laplace noise are sound, too; what is not is refused by name") {
  const Sound& place = sound();
  const std::string other = "train made.yaml --set training.steps=2 --set noise.after_layers=";
  place.done(other + "0 --set sensitivity.control=none --output image");
  place.done("certify image --data . --draws 20 --sound");
  CHECK(read_certificate_log(place.folder / "image/certificates.jsonl")
            .header.calibration.sensitivity == doctest::Approx(1.0).epsilon(1e-3));
  place.done("verify image/certificates.jsonl --fraction 1" + place.data());
  place.done(other +
             "1 --set noise.mechanism=laplace --set noise.attack_norm=1 --set "
             "sensitivity.control=normalise-columns --output laplace");
  place.done("certify laplace --data . --draws 20 --sound");
  place.done("verify laplace/certificates.jsonl --fraction 1" + place.data());
  place.done(other + "2 --output second");
  place.refused("certify second --data . --draws 20 --sound", "layer conv2 before the noise", 2);
  place.done("train made.yaml --set training.steps=2 --set noise.mechanism=none --output quiet");
  place.refused("certify quiet --data . --draws 20 --sound", "has no noise", 1);
  place.done(
      "train made.yaml --set training.steps=2 --set noise.construction_bound=1e-5 --output little");
  place.refused("certify little --data . --draws 20 --sound", "is more than 1024 noise scales", 2);
  // Where what floats are charged for rounding leaves nothing of any outcome, that is said.
  place.done(
      "train made.yaml --set training.steps=2 --set noise.construction_bound=1e-7 --output least");
  const Outcome nothing = place.run("certify least --data . --draws 300 --images :2");
  CHECK(nothing.status == 0);
  CHECK(nothing.errors.find("300 draws can never certify here: of the radius") !=
        std::string::npos);
  CHECK(nothing.errors.find("take more noise, or certify with --sound") != std::string::npos);
  CHECK(place.run("predict least test:0 --data . --draws 300").errors.find("is charged") !=
        std::string::npos);
}

TEST_CASE("noise in floats is charged for its end and for rounding, and the log's header says it") {
  const Sound& place = sound();
  const std::string certify = "certify run --data . --draws 300 --output ";
  place.done(certify + "charged");
  const CertificateLog log = read_certificate_log(place.folder / "charged");
  const Calibration& c = log.header.calibration;
  CHECK(c.variation == 14 * 14 * 32 / 2 * 0x1p-33);
  CHECK(c.prefix_error > 1e-6);
  CHECK(c.prefix_error < 0.01 * c.noise_scale);
  std::size_t certified = 0;
  for (const CertificateRecord& record : log.records) {
    if (record.radius == 0.0) continue;
    ++certified;
    const double real =
        pixeldp::certify(record.statistics, uncharged(c), log.header.options).radius;
    CHECK(record.radius < real - 1.9 * c.prefix_error / c.sensitivity);
    CHECK(record.radius > real - 4.0 * c.prefix_error / c.sensitivity);
  }
  REQUIRE(certified > 0);
  CHECK(place.done(certify + "charged-text --images :2").find("charged ") != std::string::npos);

  // Verified, recertified and merged under the same; no log without may be mixed with it.
  write_file_atomically(place.folder / "run/charged.jsonl", text_of(place.folder / "charged"));
  place.done("verify run/charged.jsonl --fraction 1" + place.data());
  place.done("recertify charged --certificate pixeldp --output paper");
  CHECK(read_certificate_log(place.folder / "paper").header.calibration.prefix_error ==
        c.prefix_error);
  place.done(certify + "share --shard 0/2");
  place.done(certify + "share --shard 1/2");
  place.done("merge share.part-0 share.part-1 --output whole-of-shares");
  CHECK(text_of(place.folder / "whole-of-shares") == text_of(place.folder / "charged"));

  // A log without the fields, as older versions wrote it, stays so: its radii are larger.
  const std::string older =
      with_header(text_of(place.folder / "charged"), [](nlohmann::ordered_json& header) {
        header.erase("variation");
        header.erase("prefix_error");
      });
  write_file_atomically(place.folder / "older", older);
  const CertificateLog before = read_certificate_log(place.folder / "older");
  CHECK(before.header.calibration.variation == 0.0);
  for (std::size_t i = 0; i < log.records.size(); ++i)
    if (log.records[i].radius > 0.0) CHECK(before.records[i].radius > log.records[i].radius);
  place.refused("merge charged older --output mixed", "prefix_error", 1);
  write_file_atomically(place.folder / "run/older.jsonl", older);
  place.done("verify run/older.jsonl --fraction 1" + place.data());
  write_file_atomically(place.folder / "resumed", older.substr(0, older.size() / 2));
  place.done(certify + "resumed --resume");
  const CertificateLog resumed = read_certificate_log(place.folder / "resumed");
  CHECK(resumed.header.calibration.prefix_error == 0.0);
  REQUIRE(resumed.records.size() == before.records.size());
  for (std::size_t i = 0; i < before.records.size(); ++i)
    CHECK(resumed.records[i].radius == before.records[i].radius);
  // Whoever leaves a deduction out claims more than the counts prove by the header.
  const std::string claimed =
      with_header(text_of(place.folder / "resumed"),
                  [&](nlohmann::ordered_json& header) { header["prefix_error"] = c.prefix_error; });
  write_file_atomically(place.folder / "claimed", claimed);
  place.refused("recertify claimed --output again", "its counts prove only", 1);
}

TEST_CASE("a radius that stops draws is proved after the deductions") {
  const Sound& place = sound();
  place.done("certify run --data . --radius 0.05 --draws 400 --output stops");
  const CertificateLog log = read_certificate_log(place.folder / "stops");
  std::size_t proved = 0;
  for (const CertificateRecord& record : log.records) {
    const double real = pixeldp::certify(record.statistics, uncharged(log.header.calibration),
                                         log.header.options, record.prediction)
                            .radius;
    CHECK((record.radius == 0.0 || record.radius < real));
    if (record.statistics.draws == log.header.draws) continue;
    const double reachable = provable_at_last(log.header.stopping, record.statistics,
                                              record.prediction, log.header.calibration);
    CHECK((record.radius >= 0.05 || reachable < 0.05));
    proved += record.radius >= 0.05;
  }
  CHECK(proved > 0);
}

TEST_CASE("predict and attack take noise on a lattice; attacks hold certificates of their noise") {
  const Sound& place = sound();
  const auto predicted = nlohmann::json::parse(
      place.done("predict run test:0 test:1 --data . --draws 40 --sound --json"));
  CHECK(predicted["lattice_step"].get<double>() > 0.0);
  const CertificateLog whole = read_certificate_log(place.folder / "whole");
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(predicted["predictions"][i]["counts"] == whole.records[i].statistics.votes);
    CHECK(predicted["predictions"][i]["radius"] == whole.records[i].radius);
  }
  place.done("certify run --data . --draws 300 --sound --output sure");
  const std::string attack =
      "attack run --data . --attack pgd --steps 5 --restarts 1 --judge-draws 100 --images :8 "
      "--output ";
  const auto held =
      nlohmann::json::parse(place.done(attack + "held --certificates sure --sound --json"));
  CHECK(held["sandwich"]["certificates"].get<int>() > 0);
  CHECK(held["sandwich"]["holds"] == true);
  CHECK(text_of(place.folder / "held").find("lattice_step") != std::string::npos);
  place.refused(attack + "floats-under-attack --certificates sure", "attack with --sound", 1);
  place.done("certify run --data . --draws 40 --output in-floats");
  place.refused(attack + "other --certificates in-floats --sound", "attack without --sound", 1);
  // A picture of a success has 8 bits: predict says of its file what the judge saw.
  const auto far = nlohmann::json::parse(place.done(
      "attack run --data . --attack fgsm --judge-draws 60 --images :8 --size 9 --sound --json "
      "--save pictures --output far"));
  REQUIRE(far["successes"].get<int>() > 0);
  std::istringstream lines(text_of(place.folder / "far"));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    const auto record = nlohmann::json::parse(line);
    if (!record["success"].get<bool>() || record["restart"] == -1) continue;
    const auto& votes = record["counts"];
    const auto most = std::max_element(votes.begin(), votes.end()) - votes.begin();
    const auto file = nlohmann::json::parse(place.done("predict run pictures/" +
                                                       std::to_string(record["image"].get<int>()) +
                                                       ".png --draws 300 --sound --json"));
    if (votes[static_cast<std::size_t>(most)].get<int>() > 50)
      CHECK(file["predictions"][0]["prediction"] == most);
  }
}

TEST_CASE("plan recommends noise on a lattice, and says where it is not to be had") {
  const Sound& place = sound();
  const auto plan = nlohmann::json::parse(place.done("plan run --json"));
  CHECK(plan["sound"]["recommended"] == true);
  CHECK(plan["prefix_error"].get<double>() > 0.0);
  CHECK(place.done("plan run").find("recommended: certify --sound") != std::string::npos);
  place.done("train made.yaml --set training.steps=2 --set noise.after_layers=2 --output deep");
  const auto deep = nlohmann::json::parse(place.done("plan deep --json"));
  CHECK(deep["sound"]["recommended"] == false);
  CHECK(deep["sound"]["reason"].get<std::string>().find("layer conv2") != std::string::npos);
  // And so does the page.
  place.done("certify run --data . --draws 40");
  place.done("report run --output page.html");
  const std::string page = text_of(place.folder / "page.html");
  CHECK(page.find("certify --sound") != std::string::npos);
  CHECK(page.find("does not make noise in floats sound") != std::string::npos);
  place.done("train made.yaml --set training.steps=2 --output lattice");
  place.done("certify lattice --data . --draws 40 --sound");
  place.done("report lattice --output lattice.html");
  const std::string other = text_of(place.folder / "lattice.html");
  CHECK(other.find("about what the processor does") != std::string::npos);
  CHECK(other.find("does not make noise in floats sound") == std::string::npos);
}
