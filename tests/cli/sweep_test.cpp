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
