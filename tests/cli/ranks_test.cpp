#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include <sys/stat.h>

#include "tests/cli/launcher.hpp"
#include "tests/cli/made_workplace.hpp"

/// Several ranks under Open MPI's launcher, on this machine.

using namespace pixeldp;
using namespace pixeldp::tests;
namespace fs = std::filesystem;

namespace {

const std::string mpirun = "mpirun --oversubscribe --allow-run-as-root -n ";

struct Ranks : MadeWorkplace {
  const std::string certify = "certify run --data . --draws 40 ";
  using MadeWorkplace::MadeWorkplace;

  Outcome run(int ranks, const std::string& arguments) const {
    return RunningProgram(split_words(arguments), folder.path(), "OMP_NUM_THREADS=1",
                          mpirun + std::to_string(ranks))
        .wait();
  }
  std::string done(int ranks, const std::string& arguments) const {
    const Outcome outcome = run(ranks, arguments);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    return outcome.output;
  }
  void train() const {
    MadeWorkplace::done("train made.yaml --output run --set training.steps=12");
    MadeWorkplace::done(certify + "--output whole");
  }
  std::string text(const std::string& name) const { return text_of(folder / name); }
  std::size_t parts() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder.path()))
      count += entry.path().filename().string().find(".part-") != std::string::npos;
    return count;
  }
};

/// Processes that a process has started.
std::vector<pid_t> children_of(pid_t parent) {
  std::ifstream file(fmt::format("/proc/{0}/task/{0}/children", parent));
  std::vector<pid_t> children;
  for (pid_t child; file >> child;) children.push_back(child);
  return children;
}

/// Whether a process waits for SIGUSR1 by now, which until then would end it.
bool takes_signals(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("SigBlk:"))
      return (std::stoull(line.substr(7), nullptr, 16) >> (SIGUSR1 - 1)) & 1;
  return false;
}

template <class Condition>
void wait_until(Condition condition) {
  for (int tries = 0; tries < 3000 && !condition(); ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

/// Column 4, the loss, of training.csv.
std::vector<double> losses(const fs::path& csv) {
  std::istringstream text(text_of(csv));
  std::vector<double> values;
  std::string line;
  std::getline(text, line);
  while (std::getline(text, line)) {
    std::istringstream cells(line);
    std::string cell;
    for (int i = 0; i < 4; ++i) std::getline(cells, cell, ',');
    values.push_back(std::stod(cell));
  }
  return values;
}

}  // namespace

TEST_CASE("any number of ranks certify the very log of one process, with one report") {
  if (!can_launch()) return;
  const Ranks place;
  place.train();
  for (const int ranks : {1, 2, 3, 4}) {
    CAPTURE(ranks);
    const std::string log = "of-" + std::to_string(ranks);
    const std::string report = place.done(ranks, place.certify + "--json --output " + log);
    CHECK(place.text(log) == place.text("whole"));
    CHECK(std::count(report.begin(), report.end(), '\n') == 1);
    CHECK(report.find("\"new_draws\":1280,") != std::string::npos);
  }
  CHECK(place.parts() == 0);
  // As shards, too, and with parts of an earlier number of ranks.
  place.done(2, place.certify + "--output a --shard 1/2");
  place.MadeWorkplace::done(place.certify + "--output a.part-0 --images 0:9:2");
  place.done(3, place.certify + "--output a --resume");
  CHECK(place.text("a") == place.text("whole"));
  CHECK(place.parts() == 0);
}

TEST_CASE("ranks share the draws of one image, with the very output of one process") {
  if (!can_launch()) return;
  const Ranks place;
  place.train();
  for (const std::string arguments :
       {"test:3 --draws 6000 --json", "test:3 --draws 5999 --scores softmax --json",
        "test:0 test:7 test:2 --draws 700", "test:4 --draws 1500 --sound",
        "test:1 --draws 2000 --scores softmax --certificate cdf --json",
        "test:0 test:1 test:2 test:3 --draws 2"}) {
    CAPTURE(arguments);
    const std::string predict = "predict run --data . " + arguments;
    const std::string alone = place.MadeWorkplace::done(predict);
    for (const int ranks : {2, 3}) CHECK(place.done(ranks, predict) == alone);
  }
  // As certify does where there are fewer images than ranks.
  for (const std::string arguments :
       {"--draws 3000 --images 3:5", "--draws 2000 --selection-draws 1100 --images 7:8 --histogram",
        "--tolerance 0.2 --draws 4000 --images 2:9"}) {
    CAPTURE(arguments);
    const std::string certify = "certify run --data . --resume " + arguments + " --output ";
    place.MadeWorkplace::done(certify + "alone");
    place.done(3, certify + "shared");
    CHECK(place.text("shared") == place.text("alone"));
    for (const char* log : {"shared", "alone"}) fs::remove(place.folder / log);
  }

  const std::vector<std::string> predict =
      split_words("predict run test:3 --data . --draws 100000000");
  RunningProgram program(predict, place.folder.path(), "OMP_NUM_THREADS=1", mpirun + "2");
  wait_until([&] {
    const std::vector<pid_t> ranks = children_of(program.pid());
    return ranks.size() == 2 && std::ranges::all_of(ranks, takes_signals);
  });
  program.signal(SIGUSR1);
  const Outcome outcome = program.wait();
  CHECK_MESSAGE(outcome.status == 75, outcome.errors);
  CHECK(outcome.output.empty());
  CHECK(outcome.errors.find("interrupted after 0 of 1 images") != std::string::npos);
}

TEST_CASE("ranks that are interrupted, or lose one, go on from all their parts") {
  if (!can_launch()) return;
  const Ranks place;
  place.train();
  const std::string certify = "certify run --data . --draws 3000 --resume --output ";
  place.MadeWorkplace::done(certify + "whole3000");
  for (const int signal : {SIGUSR1, SIGKILL}) {
    CAPTURE(signal);
    const std::string log = "log" + std::to_string(signal);
    RunningProgram program(split_words(certify + log), place.folder.path(), "OMP_NUM_THREADS=1",
                           mpirun + "2");
    const fs::path part = place.folder / (log + ".part-1");
    wait_until([&] {
      const std::string text = fs::exists(part) ? text_of(part) : "";
      return std::count(text.begin(), text.end(), '\n') >= 3;
    });
    if (signal == SIGUSR1) {
      program.signal(signal);  // which mpirun hands on
    } else {
      const std::vector<pid_t> ranks = children_of(program.pid());
      REQUIRE(ranks.size() == 2);
      ::kill(ranks.back(), signal);
    }
    const Outcome outcome = program.wait();
    CHECK_MESSAGE((signal == SIGUSR1 ? outcome.status == 75 : outcome.status != 0), outcome.errors);
    if (signal == SIGUSR1) CHECK(place.parts() == 0);  // all is in the log already
    place.done(3, certify + log);
    CHECK(place.text(log) == place.text("whole3000"));
  }
}

TEST_CASE("a rank that differs, or does not come, is named, and all stop") {
  if (!can_launch()) return;
  const Ranks place;
  place.train();
  char host[256] = {};
  REQUIRE(::gethostname(host, sizeof host) == 0);
  const auto refused = [&](const std::string& first, const std::string& second,
                           const std::string& part, const std::string& variables = "A=1") {
    CAPTURE(second);
    // Not "mpirun -n 1 first : -n 1 second", of which Open MPI 5.0.7's mpirun dies.
    const std::string program = second.starts_with("sleep") ? "" : program_path() + " ";
    std::ofstream(place.folder / "by_rank")
        << "[ $OMPI_COMM_WORLD_RANK = 0 ] && exec \"$@\"\nexec " << program << second << "\n";
    const Outcome outcome =
        RunningProgram(split_words(first), place.folder.path(), variables + " OMP_NUM_THREADS=1",
                       mpirun + "2 sh by_rank")
            .wait();
    CHECK(outcome.status == 1);
    CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
  };
  const std::string certify = place.certify + "--output a";
  const std::string other = fmt::format("at rank 1 (on {})", host);
  refused(certify, certify + " --seed 2", "seed: 1 here, 2 " + other);
  refused(certify, certify + " --images :9", "images: 0:32:1 here, 0:9:1 " + other);
  refused("predict run test:1 --data .", "predict run test:2 --data .", "images: ");
  refused("train made.yaml --output t", "train made.yaml --output t --set training.seed=9", other);
  CHECK_FALSE(fs::exists(place.folder / "a"));

  // One that waits for its data, here for a writer to a pipe, and one that is another program.
  fs::create_directory(place.folder / "slow");
  fs::copy(place.folder / "t10k-labels-idx1-ubyte", place.folder / "slow");
  REQUIRE(::mkfifo((place.folder / "slow/t10k-images-idx3-ubyte").c_str(), 0600) == 0);
  refused(certify, "certify run --draws 40 --output a --data slow",
          fmt::format("not there after 3 s: rank 1 (on {})", host), "PIXELDP_JOIN_SECONDS=3");
  refused(certify, "sleep 60", "MPI has not started within 2 s", "PIXELDP_JOIN_SECONDS=2");
}

TEST_CASE("one, two and four ranks train alike, twice the same, and go on where they were") {
  if (!can_launch()) return;
  const Ranks place;
  const std::string train =
      "train made.yaml --set training.steps=100 --set training.log_every=1 --set "
      "training.evaluate_every=50 --output ";
  // Where steps are large, kinks of activations make any rounding grow tenfold in a dozen steps.
  const std::string norms =
      " --set network.architecture=wide-resnet --set network.depth=10 --set network.width=1 --set "
      "training.learning_rate=0.001 --set training.momentum=0 --set training.checkpoint_every=50 "
      "--set training.batch_norm=";
  const auto distance = [&](const std::string& run, const std::string& other) {
    const auto a = losses(place.folder / run / "training.csv");
    const auto b = losses(place.folder / other / "training.csv");
    REQUIRE(a.size() == 100);
    REQUIRE(b.size() == 100);
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
    return largest;
  };
  for (const std::string& settings : {std::string(), norms + "synchronised"}) {
    const std::string of = settings.empty() ? "of-" : "synchronised-";
    for (const int ranks : {1, 2, 4}) {
      CAPTURE(ranks);
      const std::string run = of + std::to_string(ranks);
      place.done(ranks, train + run + settings);
      CHECK(distance(run, of + "1") < 1e-4);
    }
    const auto model = [&](const std::string& run) {
      return place.text(run + "/model.safetensors");
    };
    // The sums of four ranks round otherwise than those of one: what was compared is not one file.
    CHECK(model(of + "4") != model(of + "1"));
    place.done(2, train + of + "again" + settings);
    CHECK(model(of + "again") == model(of + "2"));
  }
  place.done(2, train + "local" + norms + "local");
  CHECK(distance("local", "synchronised-1") > 1e-3);

  const fs::path checkpoint = place.folder / "stopped/checkpoint.safetensors";
  RunningProgram program(split_words(train + "stopped"), place.folder.path(), "OMP_NUM_THREADS=1",
                         mpirun + "2");
  wait_until([&] { return fs::exists(checkpoint); });
  program.signal(SIGUSR1);
  const Outcome outcome = program.wait();
  CHECK_MESSAGE(outcome.status == 75, outcome.errors);
  CHECK_FALSE(fs::exists(place.folder / "stopped/model.safetensors"));
  place.done(2, train + "stopped --resume");
  CHECK(place.text("stopped/model.safetensors") == place.text("of-2/model.safetensors"));

  const Outcome odd = place.run(3, train + "odd");
  CHECK(odd.status == 2);
  CHECK_MESSAGE(odd.errors.find("16 images cannot be divided") != std::string::npos, odd.errors);
}
