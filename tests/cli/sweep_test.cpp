#include <chrono>
#include <thread>

#include "tests/cli/made_workplace.hpp"

/// Sweeps: every combination once, by however many processes, whatever becomes of them.

using namespace pixeldp;
using namespace pixeldp::tests;
namespace fs = std::filesystem;

namespace {

struct Sweeps : MadeWorkplace {
  Sweeps() {
    write("sweep.yaml",
          "name: made\n"
          "configurations: [made.yaml]\n"
          "settings:\n"
          "  - {key: training.steps, values: [12]}\n"
          "  - {key: training.seed, values: [1, 2]}\n"
          "certify:\n"
          "  - {option: draws, values: [40, 60]}\n"
          "  - {option: images, values: [':20']}\n");
  }
  void write(const std::string& name, const std::string& text) const {
    write_file_atomically(folder / name, text);
  }
};

const char* const cells[] = {"made,training.seed=1/draws=40", "made,training.seed=1/draws=60",
                             "made,training.seed=2/draws=40", "made,training.seed=2/draws=60"};

}  // namespace

TEST_CASE("a sweep trains and certifies each combination as the commands alone would") {
  const Sweeps place;
  const std::string summary = place.done("sweep sweep.yaml --json");
  CHECK(summary.find("\"trainings\":2,\"certifications\":4") != std::string::npos);
  const fs::path output = place.folder / "sweeps/made";
  place.done("train made.yaml --output alone --set training.steps=12 --set training.seed=2");
  place.done("certify alone --data . --draws 60 --images :20");
  CHECK(text_of(output / cells[3] / "certificates.jsonl") ==
        text_of(place.folder / "alone/certificates.jsonl"));
  const std::string csv = text_of(output / "report.csv");
  for (const char* cell : cells) CHECK_MESSAGE(csv.find(cell) != std::string::npos, cell);
  CHECK(fs::exists(output / "report.html"));

  // Again: nothing is done twice, and the report is the same.
  const auto made = fs::last_write_time(output / cells[0] / "certificates.jsonl");
  place.done("sweep sweep.yaml");
  CHECK(fs::last_write_time(output / cells[0] / "certificates.jsonl") == made);
  CHECK(text_of(output / "report.csv") == csv);

  // Other settings under the same names.
  std::string text = text_of(place.folder / "sweep.yaml");
  text.replace(text.find("[12]"), 4, "[13]");
  place.write("sweep.yaml", text);
  place.refused("sweep sweep.yaml", "train.done was made with other settings", 1);
}

TEST_CASE("a sweep attacks and bounds as well, and shows what was published beside") {
  const Sweeps place;
  std::string plain = text_of(place.folder / "made.yaml");
  const auto replace = [&](const std::string& text, const std::string& by) {
    plain.replace(plain.find(text), text.size(), by);
  };
  replace("name: made", "name: plain");
  replace("{mechanism: gaussian, construction_bound: 0.1}", "{mechanism: none}");
  plain.erase(plain.find("sensitivity:"), plain.find("training:") - plain.find("sensitivity:"));
  place.write("plain.yaml", plain);
  const auto grid = [](const std::string& more) {
    return "  - configurations: [made.yaml]\n    settings: [{key: training.steps, values: "
           "[12]}]\n" +
           more;
  };
  const std::string usual =
      "      - {option: images, values: [':3']}\n"
      "      - {option: steps, values: [4]}\n"
      "      - {option: draws, values: [5]}\n"
      "      - {option: judge-draws, values: [40]}\n";
  place.write(
      "figure.yaml",
      "name: figure\ntitle: Attacks < certificates\nsmall:\n" +
          grid("    certify:\n      - {option: draws, values: [40]}\n"
               "      - {option: images, values: [':3']}\n"
               "    attack:\n      - {option: size, values: [2, 9]}\n"
               "      - {option: restarts, values: [1]}\n" +
               usual) +
          grid("    name: nearest\n    attack:\n      - {option: attack, values: [cw]}\n"
               "      - {option: searches, values: [3]}\n"
               "      - {option: check-draws, values: [40]}\n" +
               usual) +
          "published:\n"
          "  - {network: \"MNIST & co\", of: [\"made\"], measure: accuracy-under-attack, at: 2,"
          " value: 0.75}\n"
          "  - {network: SVHN, measure: certified-accuracy, value: 0.931}\n");
  place.write("bound.yaml",
              "name: bound\nsmall:\n  - configurations: [plain.yaml]\n"
              "    bound:\n      - {option: size, values: [0.01, 0.02]}\n"
              "      - {option: images, values: [':3']}\n");

  const std::string sweep = "sweep figure.yaml bound.yaml --size small --output s";
  const std::string summary = place.done(sweep + " --json");
  CHECK(summary.find("\"trainings\":2,\"certifications\":1") != std::string::npos);
  CHECK(summary.find("\"attacks\":3,\"bounds\":2") != std::string::npos);
  const fs::path network = place.folder / "s/made";
  // A cell's log is that of the command alone.
  place.done(
      "attack s/made --size 9 --restarts 1 --steps 4 --images :3 --draws 5 --judge-draws 40 "
      "--output alone" +
      place.data());
  CHECK(text_of(network / "size=9/attacks.jsonl") == text_of(place.folder / "alone"));
  CHECK(fs::exists(network / "nearest/attack.done"));
  const std::string csv = text_of(place.folder / "s/comparisons.csv");
  const auto has = [&](const std::string& line) {
    CHECK_MESSAGE(csv.find(line) != csv.npos, line);
  };
  has("Attacks < certificates,certified-accuracy,2,\"made, exact\",0,3,");
  has("Attacks < certificates,certified-accuracy,2,published: SVHN,0,,0.931\n");
  has("Attacks < certificates,accuracy-under-attack,2,made,9,3,");
  has("Attacks < certificates,accuracy-under-attack,2,made/nearest,0,3,");
  has("Attacks < certificates,accuracy-under-attack,2,published: MNIST & co,2,,0.75\n");
  has("bound,accuracy-under-attack,inf,\"plain, proved\",0.02,3,");
  const std::string page = text_of(place.folder / "s/report.html");
  CHECK(page.find("<h2>Attacks &lt; certificates</h2>") != page.npos);
  CHECK(page.find("published: MNIST &amp; co") != page.npos);

  // It goes on from what is there.
  fs::remove(network / "size=9/attack.done");
  const auto made = fs::last_write_time(network / "size=2/attacks.jsonl");
  place.done(sweep);
  CHECK(fs::last_write_time(network / "size=2/attacks.jsonl") == made);
  CHECK(text_of(network / "size=9/attacks.jsonl") == text_of(place.folder / "alone"));
  CHECK(text_of(place.folder / "s/comparisons.csv") == csv);

  const auto refused = [&](const std::string& arguments, const std::string& part) {
    place.refused("sweep " + arguments, part, 2);
  };
  refused("figure.yaml bound.yaml --size small", "--output is missing");
  refused("figure.yaml", "--size small or --size full");
  refused("figure.yaml --size full", "it has no 'full'");
  refused("sweep.yaml --size small", "leave out --size");
  const auto wrong = [&](const std::string& text, const std::string& part) {
    CAPTURE(text);
    place.write("wrong.yaml", "name: wrong\nconfigurations: [made.yaml]\n" + text);
    refused("wrong.yaml", part);
  };
  wrong("attack: [{option: norm, values: [7]}]\n", "attack --norm 7");
  wrong("attack: [{option: output, values: [x]}]\n", "--output is not for sweeps");
  wrong("small: [{configurations: [made.yaml]}]\n", "belongs into the mappings");
  wrong("published: [{network: a, measure: beauty, value: 1}]\n", "published.0.measure");
  wrong("published: [{network: a, measure: robust-precision, value: 91}]\n", "published.0.value");
  place.write("other.yaml", "name: other\nsmall:\n" +
                                grid("    attack:\n      - {option: size, values: [3]}\n" + usual) +
                                grid("    attack:\n      - {option: size, values: [4]}\n" + usual));
  refused("other.yaml --size small", "two different settings");
}

TEST_CASE("processes that share a sweep, one of which is killed, leave what one would") {
  const Sweeps place;
  place.done("sweep sweep.yaml --output whole");
  const auto sweep = split_words("sweep sweep.yaml --output shared");
  {
    RunningProgram killed(sweep, place.folder.path());
    RunningProgram other(sweep, place.folder.path());
    const fs::path log = place.folder / "shared/made,training.seed=1/training.csv";
    for (int tries = 0; tries < 3000 && !fs::exists(log); ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    killed.signal(SIGKILL);
    CHECK(killed.wait().status == 128 + SIGKILL);
    const Outcome outcome = other.wait();
    CHECK_MESSAGE(outcome.status == 0, outcome.errors);
  }
  place.done("sweep sweep.yaml --output shared");
  for (const char* cell : cells) {
    CAPTURE(cell);
    CHECK(text_of(place.folder / "shared" / cell / "certificates.jsonl") ==
          text_of(place.folder / "whole" / cell / "certificates.jsonl"));
  }
  CHECK(fs::exists(place.folder / "shared/report.html"));
}

TEST_CASE("a sweep that is told to stop goes on later, and one part's failure stops no other") {
  const Sweeps place;
  RunningProgram program(split_words("sweep sweep.yaml --output s"), place.folder.path(),
                         "SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=2");
  const fs::path log = place.folder / "s/made,training.seed=1/training.csv";
  for (int tries = 0; tries < 3000 && !fs::exists(log); ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  program.signal(SIGTERM);
  const Outcome stopped = program.wait();
  CHECK_MESSAGE(stopped.status == 75, stopped.errors);
  place.done("sweep sweep.yaml --output s");
  CHECK(fs::exists(place.folder / "s/report.html"));

  // A rate that diverges.
  place.write("bad.yaml",
              "name: bad\nconfigurations: [made.yaml]\nsettings:\n"
              "  - {key: training.learning_rate, values: [1e30, 0.02]}\n");
  const Outcome bad = place.run("sweep bad.yaml --output b");
  CHECK(bad.status == 1);
  CHECK_MESSAGE(bad.errors.find("1 of the sweep failed: made,training.learning_rate=1e30") !=
                    std::string::npos,
                bad.errors);
  CHECK(bad.errors.find("diverged") != std::string::npos);
  CHECK(fs::exists(place.folder / "b/made,training.learning_rate=0.02/certify.done"));
}

TEST_CASE("mistakes in a sweep are named before anything is trained") {
  const Sweeps place;
  const auto refused = [&](const std::string& more, const std::string& part) {
    CAPTURE(more);
    place.write("wrong.yaml", "name: wrong\nconfigurations: [made.yaml]\n" + more);
    place.refused("sweep wrong.yaml", part, 2);
  };
  refused("setings: []\n", "settings");
  refused("settings: [{key: training.seeds, values: [1]}]\n", "training.seed");
  refused("settings: [{key: training.seed, values: [x]}]\n", "training.seed");
  refused("settings: [{key: training.seed, values: []}]\n", "no value");
  refused("settings: [{key: training.seed, values: [1]}, {key: training.seed, values: [2]}]\n",
          "varied twice");
  refused("settings: [{key: name, values: [a, a]}]\n", "two networks");
  refused("certify: [{option: drawz, values: [1]}]\n", "--drawz");
  refused("certify: [{option: draws, values: [many]}]\n", "--draws");
  refused("certify: [{option: output, values: [x]}]\n", "--output is not for sweeps");
  place.write("none.yaml", "name: none\nconfigurations: []\n");
  place.refused("sweep none.yaml", "there is none", 2);
  CHECK_FALSE(fs::exists(place.folder / "sweeps"));
}
