#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "engine/io/append_file.hpp"
#include "tests/cli/made_workplace.hpp"

/// Certifying in shards, as tasks of an array do: their parts end in the very log of one process.

using namespace pixeldp;
using namespace pixeldp::tests;
namespace fs = std::filesystem;

namespace {

struct Sharded : MadeWorkplace {
  const std::string certify = "certify run --data . --draws 40 ";
  Sharded() {
    done("train made.yaml --output run --set training.steps=12");
    done(certify + "--output whole");
  }
  std::string whole() const { return text_of(folder / "whole"); }
};

/// One for all tests, each of which has logs of its own.
const Sharded& sharded() {
  static const Sharded place;
  return place;
}

/// What Slurm tells a task.
std::string task(int index, int count) {
  return fmt::format(
      "SLURM_ARRAY_TASK_ID={} SLURM_ARRAY_TASK_COUNT={} SLURM_ARRAY_TASK_MIN=1 "
      "SLURM_ARRAY_TASK_MAX={}",
      index + 1, count, count);
}

}  // namespace

TEST_CASE("shards make parts that merge, or --resume, makes into the log of one process") {
  const Sharded& place = sharded();
  place.done(place.certify + "--output a --shard 0/3");
  place.done(place.certify + "--output a --resume", task(1, 3));
  place.done(place.certify + "--output a --shard 2/3");
  CHECK_FALSE(fs::exists(place.folder / "a"));
  place.done("merge a.part-2 a.part-0 a.part-1 --output merged");
  CHECK(text_of(place.folder / "merged") == place.whole());

  // Without a part, or with half of one, --resume draws what is missing.
  fs::remove(place.folder / "a.part-1");
  const std::string part = text_of(place.folder / "a.part-2");
  const std::size_t half = part.size() / 2;
  write_file_atomically(place.folder / "a.part-2", part.substr(0, half) + part.substr(half + 99));
  place.refused(place.certify + "--output a --resume", "a.part-2:", 1);  // torn in the middle
  CHECK_FALSE(fs::exists(place.folder / "a"));
  write_file_atomically(place.folder / "a.part-2", part.substr(0, half));
  write_file_atomically(place.folder / "a.part-7", part.substr(0, 20));  // killed at its header
  place.refused(place.certify + "--output a", "a.part-0: there is a part", 1);
  place.refused(place.certify + "--output a --shard 0/3", "there is a certificate log already", 1);
  place.refused(place.certify + "--output a --resume --seed 2", "seed: 2 and 1", 1);
  place.done(place.certify + "--output a --resume");
  CHECK(text_of(place.folder / "a") == place.whole());
  for (const int i : {0, 1, 2, 7})
    CHECK_FALSE(fs::exists(place.folder / fmt::format("a.part-{}", i)));

  // Parts of a log that is there already add nothing, and take nothing away.
  place.done(place.certify + "--output a --shard 1/2 --images :10");
  place.done(place.certify + "--output a --resume");
  CHECK(text_of(place.folder / "a") == place.whole());

  place.done(place.certify + "--output b --shard 40/50");  // more shards than images
  CHECK_FALSE(fs::exists(place.folder / "b.part-40"));
  place.done(place.certify + "--output b --shard 0/1", task(1, 3));
  CHECK(text_of(place.folder / "b") == place.whole());
  for (const char* shard : {"3/3", "-1/3", "1", "1/", "/2", "1/2/3", "a/b", "0/0"})
    place.refused(place.certify + "--output c --shard " + std::string(shard), "--shard", 2);
}

TEST_CASE("a part that another process writes to is left to it") {
  const Sharded& place = sharded();
  place.done(place.certify + "--output held --shard 0/2");
  const AppendFile other(place.folder / "held.part-0");
  place.refused(place.certify + "--output held --resume", "held.part-0: another process", 1);
}

TEST_CASE("a task of an array that is told to stop says: start me again") {
  const Sharded& place = sharded();
  const std::vector<std::string> arguments =
      split_words("certify run --data . --draws 4000 --output told --resume");
  for (const int signal : {SIGUSR1, SIGTERM}) {
    CAPTURE(signal);
    RunningProgram program(arguments, place.folder.path(), task(0, 2));
    const fs::path part = place.folder / "told.part-0";
    const auto lines = [&] {
      const std::string text = fs::exists(part) ? text_of(part) : "";
      return std::count(text.begin(), text.end(), '\n');
    };
    const auto before = lines();
    for (int tries = 0; tries < 3000 && lines() < before + 3; ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    program.signal(signal);
    const Outcome outcome = program.wait();
    CHECK_MESSAGE(outcome.status == 75, outcome.errors);
    CHECK(outcome.errors.find("--resume") != std::string::npos);
  }
}

TEST_CASE("tasks of an array that are killed at random moments end in the very same log") {
  const Sharded& place = sharded();
  constexpr int tasks = 4;
  const std::vector<std::string> arguments = split_words(place.certify + "--output shot --resume");
  const auto start = std::chrono::steady_clock::now();
  place.done(place.certify + "--output one", task(0, tasks));
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  std::mt19937_64 random(16);
  int within = 0;
  for (int i = 0; i < moments(); ++i) {
    CAPTURE(i);
    std::vector<std::unique_ptr<RunningProgram>> running;
    for (int t = 0; t < tasks; ++t) {
      running.push_back(
          std::make_unique<RunningProgram>(arguments, place.folder.path(), task(t, tasks)));
    }
    std::this_thread::sleep_for(std::uniform_real_distribution<double>(0.0, 2.0)(random) * time);
    const std::size_t victim = random() % tasks;
    running[victim]->signal(SIGKILL);
    for (std::size_t t = 0; t < tasks; ++t) {
      const Outcome outcome = running[t]->wait();
      if (t != victim) CHECK_MESSAGE(outcome.status == 0, outcome.errors);
      if (t != victim || outcome.status == 0) continue;
      within += fs::exists(place.folder / fmt::format("shot.part-{}", t));
      place.done(place.certify + "--output shot --resume", task(static_cast<int>(t), tasks));
    }
    if (i % 2 == 0) {
      place.done(place.certify + "--output shot --resume");
    } else {
      place.done("merge shot.part-0 shot.part-1 shot.part-2 shot.part-3 --output shot");
      for (int t = 0; t < tasks; ++t) fs::remove(place.folder / fmt::format("shot.part-{}", t));
    }
    CHECK(text_of(place.folder / "shot") == place.whole());
    fs::remove(place.folder / "shot");
  }
  MESSAGE(within << " of " << moments() << " tasks were killed in the midst of their part");
}
