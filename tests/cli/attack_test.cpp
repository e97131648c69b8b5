#include <filesystem>

#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"
#include "pixeldp/recertification.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/real_data.hpp"

/// Attacks on trained networks, as a user makes them.

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;

namespace {

/// The lines of a log.
std::vector<json> json_lines_of(const std::filesystem::path& path) {
  std::vector<json> lines;
  const std::string text = text_of(path);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(json::parse(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lines;
}

/// With a network of which draws are not all alike: its noise is in the image.
struct NoisyWorkplace : MadeWorkplace {
  NoisyWorkplace() : MadeWorkplace(60) {
    done(
        "train made.yaml --output run --set noise.after_layers=0 --set "
        "noise.construction_bound=0.4 --set noise.ramp_up=false --set sensitivity=");
  }
};

}  // namespace

TEST_CASE(
    "attacks find pictures that the classifier gets wrong, which can be saved and predicted") {
  const NoisyWorkplace place;
  const std::string usual = " --judge-draws 100 --json" + place.data();
  const auto attack = [&](const std::string& options) {
    const bool chosen = options.find("--images") != std::string::npos;
    return json::parse(
        place.done("attack run " + options + (chosen ? "" : " --images 0:6") + usual));
  };
  const json pgd =
      attack("--size 9 --steps 20 --restarts 2 --draws 6 --output pgd --save pictures");
  CHECK(pgd["attack"] == "pgd");
  CHECK(pgd["norm"] == "2");  // of the model's noise
  CHECK(pgd["accuracy"] == 1.0);
  CHECK(pgd["accuracy_under_attack"] == 0.0);
  const std::vector<json> log = json_lines_of(place.folder / "pgd");
  REQUIRE(log.size() == 7);
  CHECK(log[0]["model_sha256"] == sha256_file(place.folder / "run/model.safetensors"));
  for (std::size_t i = 1; i < log.size(); ++i) {
    CHECK(log[i]["image"] == i - 1);
    CHECK(log[i]["success"] == true);
    CHECK(log[i]["distance"] <= 9.0);
    CHECK(log[i]["prediction"] != log[i]["label"]);
    const json predicted = json::parse(
        place.done(fmt::format("predict run pictures/{}.png --draws 100 --json", i - 1)));
    CHECK(predicted["predictions"][0]["prediction"] == log[i]["prediction"]);
  }

  // Chance and one step find less; Carlini and Wagner go no farther than they must.
  CHECK(attack("--attack random --size 9 --restarts 5 --output random")["accuracy_under_attack"] ==
        1.0);
  CHECK(attack("--attack fgsm --size 1 --draws 6 --output fgsm")["accuracy_under_attack"] > 0.5);
  const json cw = attack("--attack cw --searches 5 --draws 6 --images 0:3 --output cw");
  CHECK(cw["successes"] >= 2);
  CHECK(cw["median_distance"] < 0.8 * double{pgd["median_distance"]});
  for (const char* norm : {"1", "inf"}) {
    const json other =
        attack(fmt::format("--norm {} --size {} --steps 20 --restarts 1 --draws 6 --output norm{}",
                           norm, norm == std::string("1") ? 300 : 0.6, norm));
    CHECK(other["accuracy_under_attack"] < 0.5);
  }
  // Towards a label: harder, and where it works it is that label.
  const json targeted = attack(
      "--targeted --size 9 --steps 20 --restarts 1 --draws 6 --loss mean-score --output targeted");
  CHECK(targeted["successes"] > 0);
  for (const json& line : json_lines_of(place.folder / "targeted"))
    if (line.contains("success") && line["success"]) CHECK(line["prediction"] == line["target"]);
  // And wrong with a certificate.
  const json certified = attack(
      "--attack cw --searches 5 --draws 6 --images 0:3 --against certified:0.1 --output certified");
  CHECK(certified["robust_precision"] < 1.0);
  CHECK(certified["wrong_and_certified"] > 0);
}

TEST_CASE("an attack's log does not depend on batches, threads or interruptions") {
  const MadeWorkplace place(20);
  place.done("train made.yaml --output run");
  const std::string options =
      "attack run --size 4 --steps 8 --restarts 2 --draws 5 --judge-draws 60 --images 0:7" +
      place.data();
  place.done(options + " --output whole");
  const std::string whole = text_of(place.folder / "whole");
  CHECK(std::count(whole.begin(), whole.end(), '\n') == 8);
  place.done(options + " --output one --batch 1");
  CHECK(text_of(place.folder / "one") == whole);
  const Outcome three = place.run(options + " --output three --batch 3", "OMP_NUM_THREADS=1");
  REQUIRE(three.status == 0);
  CHECK(text_of(place.folder / "three") == whole);

  // Killed in the midst of a line; the rest of the images in two turns.
  const std::string begun = whole.substr(0, whole.find('\n', whole.find("\"image\":2")) - 20);
  write_file_atomically(place.folder / "killed", begun);
  CHECK(place.run(options + " --output killed").status == 1);
  place.done(options + " --output killed --resume");
  CHECK(text_of(place.folder / "killed") == whole);
  const auto other = place.run(options + " --output killed --resume --seed 5");
  CHECK(other.status == 1);
  CHECK(other.errors.find("\nseed: 1 and 5") != std::string::npos);
  write_file_atomically(place.folder / "killed", whole + "{\"image\": 9}\n");
  const auto damaged = place.run(options + " --output killed --resume");
  CHECK(damaged.status == 1);
  CHECK(damaged.errors.find("killed:9: not a line of an attack log") != std::string::npos);
  for (const char* image : {"0.5", "-1", "0,\"more\":1"}) {
    CAPTURE(image);
    std::string changed = whole;
    changed.replace(changed.find("\"image\":0") + 8, 1, image);
    write_file_atomically(place.folder / "changed", changed);
    place.refused("merge changed --output merged", "changed:2: not a line of an attack log", 1);
  }

  RunningProgram program(split_words(options + " --output stopped --batch 1"), place.folder.path());
  const auto log = place.folder / "stopped";
  for (int tries = 0; tries < 3000 && !(std::filesystem::exists(log) &&
                                        text_of(log).find("\"image\":0") != std::string::npos);
       ++tries)
    ::usleep(10000);
  program.signal(SIGINT);
  const Outcome stopped = program.wait();
  CHECK(whole.starts_with(text_of(log)));
  if (stopped.status != 0) {
    CHECK(stopped.status == 130);
    CHECK(stopped.errors.find("continue with --resume") != std::string::npos);
    place.done(options + " --output stopped --batch 1 --resume");
  }
  CHECK(text_of(log) == whole);
}

TEST_CASE("attacks lie above certificates, and show a sensitivity that was halved") {
  const NoisyWorkplace place;
  place.done("certify run --draws 1000 --alpha 0.001 --images 0:10 --output honest" + place.data());
  const std::string attack =
      "attack run --steps 20 --restarts 1 --draws 6 --json" + place.data() + " --certificates ";
  const json honest = json::parse(place.done(attack + "honest --output against"));
  CHECK(honest["sandwich"]["certificates"] == 10);
  CHECK(honest["sandwich"]["violations"].empty());
  CHECK(honest["sandwich"]["holds"] == true);
  CHECK(!std::filesystem::exists(place.folder / "against.violations"));
  for (const json& point : honest["sandwich"]["sizes"]) CHECK(point["ordered"] == true);
  // Each image was attacked within its own radius.
  const CertificateLog log = read_certificate_log(place.folder / "honest");
  const std::vector<json> attacks = json_lines_of(place.folder / "against");
  REQUIRE(attacks.size() == 11);
  for (std::size_t i = 0; i < 10; ++i) CHECK(attacks[i + 1]["size"] == log.records[i].radius);

  CertificateLog halved = log;
  halved.header.calibration.sensitivity /= 2;
  write_certificate_log(place.folder / "halved",
                        recertified(std::move(halved), log.header.options));
  const Outcome caught = place.run(attack + "halved --output caught.jsonl");
  CHECK(caught.status == 1);
  CHECK(caught.errors.find("certificates are wrong, where chance explains") != std::string::npos);
  const json found = json::parse(caught.output)["sandwich"];
  CHECK(found["holds"] == false);
  CHECK(found["explained_by_chance"] < found["violations"].size());
  const std::int64_t image = found["violations"][0];
  const json evidence =
      json::parse(text_of(place.folder / fmt::format("caught.violations/{}.json", image)));
  CHECK(evidence["distance"] <= evidence["certified_radius"]);
  CHECK(evidence["pixels"].size() == 784);
  CHECK(std::filesystem::exists(place.folder / fmt::format("caught.violations/{}.png", image)));

  // Attacks of one size for all come nearer, and are held against the same radii.
  const json at_size = json::parse(place.done(
      "attack run --size 9 --steps 20 --restarts 1 --draws 8 --images 0:4 --json --certificates "
      "honest --output nearer" +
      place.data()));
  CHECK(at_size["sandwich"]["images"] == 4);
  CHECK(at_size["sandwich"]["holds"] == true);
  CHECK(at_size["median_distance"] < 7.0);

  const auto refused = [&](const std::string& arguments, const std::string& part, int status) {
    place.refused("attack run --output x " + arguments + place.data(), part, status);
  };
  place.done("train made.yaml --output other --set training.steps=2");
  place.refused("attack other --output x --certificates honest" + place.data(),
                "honest: these certificates are about another model", 1);
  refused("--certificates honest --norm inf", "about another norm: 2, where inf is attacked", 1);
  refused("--certificates honest --split train", "about another split", 1);
  refused("--certificates honest --images 20:30", "none of the images asked for is certified", 2);
  refused("--certificates honest --targeted", "leave out --targeted", 2);
  refused("--certificates missing", "missing", 1);
  refused("", "--size is missing", 2);
  refused("--size 29", "farther apart than 28", 2);
  refused("--size nan", "--size", 2);
  refused("--size 1 --norm 3", "--norm", 2);
  refused("--size 1 --attack magic", "--attack", 2);
  refused("--size 1 --attack fgsm --steps 4", "--steps is for cw and pgd", 2);
  refused("--size 1 --searches 3", "--searches is for cw", 2);
  refused("--size 1 --alpha 0.1", "are for --against certified:T", 2);
  refused("--size 1 --attack random --loss hinge", "random has none", 2);
  refused("--attack cw --norm inf", "cw minimises the 2-norm", 2);
  refused("--size 1 --against certified", "certified:T", 2);
  refused("--size 1 --against certified:9", "draws certify", 2);
  refused("--size 1 --images 5:2", "5:2", 2);
  refused("--size 1 --batch -1", "--batch", 2);
  CHECK(!std::filesystem::exists(place.folder / "x"));
}

TEST_CASE(
    "logs of attacks on parts of the images are merged to that of one job, or refused by name") {
  const MadeWorkplace place(20);
  place.done("train made.yaml --output run");
  const std::string attack = "attack run --steps 4 --restarts 1 --draws 5 --judge-draws 40" +
                             place.data() + " --size 4 --images ";
  place.done(attack + "0:6 --output whole");
  place.done(attack + "3:6 --output late");
  place.done(attack + "0:4 --output early");
  const std::string whole = text_of(place.folder / "whole");
  const json report = json::parse(place.done("merge late early --output merged --json"));
  CHECK(text_of(place.folder / "merged") == whole);
  CHECK(report["images"] == 6);
  CHECK(report["logs"] == 2);
  CHECK(report["repeated_lines"] == 1);
  CHECK(report["accuracy_under_attack"].is_number());
  place.refused("merge late early --output merged", "the file exists already", 1);

  // A last line that was cut short is left out, and said so.
  write_file_atomically(place.folder / "cut", whole.substr(0, whole.size() - 9));
  const Outcome cut = place.run("merge cut early --output most");
  CHECK(cut.status == 0);
  CHECK(cut.errors.find("cut:7: the last line is cut short") != std::string::npos);
  CHECK(text_of(place.folder / "most") == whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1));

  const auto refused = [&](const std::string& other, const std::string& part) {
    place.refused("merge early " + other + " --output x", part, 1);
    CHECK(!std::filesystem::exists(place.folder / "x"));
  };
  place.done(attack + "4:6 --output seed --seed 7");
  refused("seed", "early and seed cannot be merged, they were made under other conditions");
  refused("seed", "\nseed: 1 and 7");
  place.done("train made.yaml --output run2 --set training.steps=12");
  place.done(
      "attack run2 --steps 4 --restarts 1 --draws 5 --judge-draws 40 --size 4 --images 4:6 "
      "--output model" +
      place.data());
  refused("model", "\nmodel_sha256: ");
  std::string changed = text_of(place.folder / "late");
  changed.replace(changed.find("\"label\":"), 9, "\"label\":1");
  write_file_atomically(place.folder / "changed", changed);
  refused("changed", "changed:2: image 3 has another line than in early:5");
  write_file_atomically(place.folder / "twice", whole + whole.substr(whole.find("{\"image\":5")));
  refused("twice", "twice:8: image 5 is on line 7 already");
  place.done("certify run --draws 40 --images 0:4 --output certificates" + place.data());
  refused("certificates", "certificates is not a log of attacks, and early is");
}

TEST_CASE("the sanity check passes where gradients lead somewhere") {
  const NoisyWorkplace place;
  const json report = json::parse(place.done(
      "attack run --sanity --size 1 --steps 20 --draws 6 --judge-draws 60 --images 0:6 --json" +
      place.data()));
  CHECK(report["passed"] == true);
  CHECK(report["sizes"].size() > 2);
  CHECK(report["sizes"].back()["accuracy_under_attack"] == 0.0);
  CHECK(report["random"] == 1.0);
  place.refused("attack run --sanity --size 1 --resume" + place.data(), "writes nothing", 2);
}

TEST_CASE("without noise, steps of the infinity-norm up to 0.3 leave nearly nothing of MNIST") {
  if (!real_data({"mnist/t10k-images-idx3-ubyte.gz", "mnist/train-images-idx3-ubyte.gz"})) return;
  const TemporaryFolder folder;
  const std::string config = std::string(PIXELDP_SOURCE_DIR) + "/configs/mnist/baseline.yaml";
  const auto done = [&](const std::string& arguments) {
    const Outcome outcome = run_program(arguments, folder.path());
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    return outcome.output;
  };
  done("train " + config +
       " --output run --set training.steps=60 --set training.learning_rate_changes= --set "
       "training.evaluation_images=20");
  const json report =
      json::parse(done("attack run --norm inf --size 0.3 --restarts 1 --images 0:100 --json"));
  CHECK(report["accuracy"] > 0.85);
  CHECK(report["accuracy_under_attack"] <= 0.05);
}
