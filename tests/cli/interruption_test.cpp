#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/cli/made_workplace.hpp"

/// Programs that a signal ends, at chosen and at random moments: what they leave behind, what they
/// say, and that going on gives what an undisturbed program would have.

using namespace pixeldp;
using namespace pixeldp::tests;

namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

/// Starts the program, waits until `ready`, sends the signal and waits for the end.
template <typename Ready>
Outcome stop_when(const MadeWorkplace& place, std::vector<std::string> arguments, int signal,
                  Ready ready) {
  RunningProgram program(std::move(arguments), place.folder.path());
  for (int tries = 0; tries < 3000 && !ready(); ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  program.signal(signal);
  return program.wait();
}

/// Starts the program on a file that arrives through a pipe, and sends the signal before it does:
/// the program then waits for its input, whatever the speed of the machine.
Outcome stop_at_input(const MadeWorkplace& place, std::vector<std::string> arguments,
                      const fs::path& input, int signal) {
  const std::string contents = text_of(input);
  fs::remove(input);
  REQUIRE(::mkfifo(input.c_str(), 0600) == 0);
  RunningProgram program(std::move(arguments), place.folder.path());
  const int pipe = ::open(input.c_str(), O_WRONLY);  // returns once the program has opened it
  REQUIRE(pipe >= 0);
  program.signal(signal);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::size_t written = 0;
  while (written < contents.size()) {
    const ssize_t n = ::write(pipe, contents.data() + written, contents.size() - written);
    REQUIRE(n > 0);
    written += static_cast<std::size_t>(n);
  }
  ::close(pipe);
  const Outcome outcome = program.wait();
  fs::remove(input);
  write_file_atomically(input, contents);
  return outcome;
}

/// Sends the signal at a random moment of a run that takes about so long; true where it was done
/// by then.
bool stop_at_random(const MadeWorkplace& place, const std::vector<std::string>& arguments,
                    int signal, std::chrono::duration<double> whole_time) {
  static std::mt19937_64 random(20);
  RunningProgram program(arguments, place.folder.path());
  std::this_thread::sleep_for(std::uniform_real_distribution<double>(0.0, 1.1)(random) *
                              whole_time);
  program.signal(signal);
  const Outcome outcome = program.wait();
  CHECK_MESSAGE((outcome.status == 0 || outcome.status == 128 + signal), outcome.errors);
  return outcome.status == 0;
}

/// Names of all that lies in a folder.
std::vector<std::string> listing(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

}  // namespace

TEST_CASE("a training that is killed or interrupted resumes to the very same model") {
  const MadeWorkplace place;
  write_file_atomically(place.folder / "made.yaml",
                        made_mnist_config(place.folder.path(), 64, "augment: {pad: 2}, "));
  REQUIRE(place.run("train made.yaml --output whole").status == 0);
  for (const int signal : {SIGKILL, SIGINT}) {
    CAPTURE(signal);
    const auto run = place.folder / ("run" + std::to_string(signal));
    const Outcome stopped = stop_when(place, {"train", "made.yaml", "--output", run}, signal, [&] {
      return std::filesystem::exists(run / "checkpoint.safetensors");
    });
    REQUIRE(!std::filesystem::exists(run / "model.safetensors"));
    CHECK(stopped.status == 128 + signal);
    CHECK((stopped.errors.find("--resume") != std::string::npos) == (signal == SIGINT));
    const Outcome resumed = place.run("train made.yaml --resume --output " + run.string());
    REQUIRE_MESSAGE(resumed.status == 0, resumed.errors);
    CHECK(text_of(run / "model.safetensors") ==
          text_of(place.folder / "whole" / "model.safetensors"));
    CHECK(without_times(run / "training.csv") ==
          without_times(place.folder / "whole" / "training.csv"));
  }
}

TEST_CASE("a certification that is killed or interrupted resumes and loses nothing") {
  const MadeWorkplace place;
  REQUIRE(place.run("train made.yaml --output run").status == 0);
  REQUIRE(place.run("certify run --draws 1500 --output whole" + place.data()).status == 0);
  for (const int signal : {SIGKILL, SIGINT}) {
    CAPTURE(signal);
    const std::filesystem::path log = place.folder / ("log" + std::to_string(signal));
    const auto lines = [&](const std::string& text) {
      return std::count(text.begin(), text.end(), '\n');
    };
    const Outcome stopped = stop_when(
        place,
        {"certify", "run", "--draws", "1500", "--data", place.folder.path(), "--output", log},
        signal, [&] { return std::filesystem::exists(log) && lines(text_of(log)) >= 4; });
    CHECK(stopped.status == (128 + signal));
    const std::string before = text_of(log), complete = before.substr(0, before.rfind('\n') + 1);
    CHECK(lines(complete) >= 4);
    REQUIRE(lines(complete) < 33);
    const Outcome resumed =
        place.run("certify run --draws 1500 --resume --output " + log.string() + place.data());
    REQUIRE_MESSAGE(resumed.status == 0, resumed.errors);
    CHECK(text_of(log).starts_with(complete));
    CHECK(text_of(log) == text_of(place.folder / "whole"));
  }
}

TEST_CASE("every long command that is interrupted ends with 128 + the signal and leaves no half") {
  const MadeWorkplace place;
  place.done("train made.yaml --output run --set training.steps=12");
  place.done("certify run --data . --draws 20 --output log");
  const std::string data = place.folder.path().string();
  const std::string train_images = "train-images-idx3-ubyte", images = "t10k-images-idx3-ubyte";
  const std::string model = text_of(place.folder / "run/model.safetensors");
  const auto before = listing(place.folder.path()), in_run = listing(place.folder / "run");
  const auto stop = [&](std::vector<std::string> arguments, const std::string& input, int signal,
                        const std::string& part) {
    CAPTURE(arguments.front());
    const Outcome outcome = stop_at_input(place, arguments, place.folder / input, signal);
    CHECK(outcome.status == 128 + signal);
    CHECK(outcome.output.empty());
    CHECK_MESSAGE(outcome.errors.find("pixeldp: interrupted" + part) != std::string::npos,
                  outcome.errors);
    const bool resumes = outcome.errors.find("--resume") != std::string::npos;
    CHECK(resumes == (arguments.front() == "certify" || arguments.front() == "train"));
  };
  for (const int signal : {SIGINT, SIGTERM}) {
    CAPTURE(signal);
    stop({"predict", "run", "test:0", "test:1", "--data", data}, images, signal,
         " after 0 of 2 images");
    stop({"predict", "run", "test:0", "--json", "--data", data}, images, signal, "; nothing");
    stop({"quantise", "run", "--data", data}, train_images, signal, "; the model is as it was");
    stop({"recertify", "log", "--output", "new"}, "log", signal, "; nothing was written");
    stop({"merge", "log", "run/../log", "--output", "new"}, "log", signal, "; nothing was written");
    CHECK(listing(place.folder.path()) == before);
    CHECK(listing(place.folder / "run") == in_run);
    CHECK(text_of(place.folder / "run/model.safetensors") == model);
    stop({"certify", "run", "--draws", "20", "--output", "new", "--data", data}, images, signal,
         "; all certificates so far are in new");
    place.done("certify run --data . --draws 20 --output new --resume");
    CHECK(text_of(place.folder / "new") == text_of(place.folder / "log"));
    fs::remove(place.folder / "new");
    stop({"train", "made.yaml", "--output", "other"}, train_images, signal, " after 1 of 24 steps");
    fs::remove_all(place.folder / "other");
  }
}

TEST_CASE("a certification that is stopped at random moments ends in the very same log") {
  const MadeWorkplace place;
  place.done("train made.yaml --output run --set training.steps=12");
  const std::vector<std::string> arguments = {"certify",           "run",      "--draws", "80",
                                              "--selection-draws", "10",       "--data",  ".",
                                              "--resume",          "--output", "log"};
  const auto start = Clock::now();
  place.done("certify run --draws 80 --selection-draws 10 --data . --output whole");
  const std::chrono::duration<double> whole_time = Clock::now() - start;
  const std::string whole = text_of(place.folder / "whole");
  const fs::path log = place.folder / "log";
  int within = 0;
  for (int i = 0; i < moments(); ++i) {
    CAPTURE(i);
    const int signal = i % 4 == 1 ? SIGTERM : SIGKILL;
    const bool finished = stop_at_random(place, arguments, signal, whole_time);
    const std::string text = fs::exists(log) ? text_of(log) : "";
    CHECK(whole.starts_with(text));
    within += !finished && !text.empty();
    if (!finished) continue;
    CHECK(text == whole);
    fs::remove(log);
  }
  MESSAGE(within << " of " << moments() << " signals came in the midst of a log");
  place.done("certify run --draws 80 --selection-draws 10 --data . --resume --output log");
  CHECK(text_of(log) == whole);
}

TEST_CASE("a training that is killed at random moments ends in the very same model") {
  const MadeWorkplace place;
  const auto start = Clock::now();
  place.done("train made.yaml --output whole");
  const std::chrono::duration<double> whole_time = Clock::now() - start;
  const fs::path whole = place.folder / "whole", run = place.folder / "run";
  const auto check = [&] {
    CHECK(text_of(run / "model.safetensors") == text_of(whole / "model.safetensors"));
    CHECK(without_times(run / "training.csv") == without_times(whole / "training.csv"));
  };
  int within = 0;
  for (int i = 0; i < moments(); ++i) {
    CAPTURE(i);
    const bool finished = stop_at_random(
        place, {"train", "made.yaml", "--resume", "--output", "run"}, SIGKILL, whole_time);
    within += !finished && fs::exists(run / "training.csv");
    if (!finished) continue;
    check();
    fs::remove_all(run);
  }
  MESSAGE(within << " of " << moments() << " signals came in the midst of a training");
  place.done("train made.yaml --resume --output run");
  check();
}

TEST_CASE("a full disk or an unwritable standard output is said, and ends with status 1") {
  const MadeWorkplace place;
  for (const char* command : {"info", "radius --counts 90,10", "info --json"}) {
    CAPTURE(command);
    const int status = std::system(fmt::format("'{}' {} > /dev/full 2> '{}'", program_path(),
                                               command, (place.folder / "errors").string())
                                       .c_str());
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(text_of(place.folder / "errors").find("standard output") != std::string::npos);
  }
}
