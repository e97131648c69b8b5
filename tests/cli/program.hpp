#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"

namespace pixeldp::tests {

struct Outcome {
  int status = -1;     ///< exit status; 128 + the signal's number when a signal ended it
  std::string output;  ///< standard output
  std::string errors;  ///< standard error
};

/// The program under test, beside this one or in the folder above: as they are built, and as they
/// are packed for other machines.
inline std::string program_path() {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto beside = here / "pixeldp", above = here.parent_path() / "pixeldp";
  return std::filesystem::is_regular_file(beside) ? beside : above;
}

/// Words between blanks; quotes ' and " keep blanks in a word. No shell: there may be none.
inline std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (const char c : text) {
    if (quote == 0 && c == ' ') {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else {
      words.back() += c;
    }
  }
  REQUIRE(quote == 0);
  return words;
}

/// The program at work in a folder.
class RunningProgram {
 public:
  /// `variables` are set for it, as in "A=1 B=2". With a `launcher`, say "mpirun -n 2", that starts
  /// the program.
  RunningProgram(std::vector<std::string> arguments, const std::filesystem::path& folder,
                 const std::string& variables = "", const std::string& launcher = "") {
    const std::string out = streams_ / "out", err = streams_ / "err";
    arguments.insert(arguments.begin(), program_path());
    const std::vector<std::string> before = split_words(launcher);
    arguments.insert(arguments.begin(), before.begin(), before.end());
    const std::string program = arguments.front();
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<std::string> settings = split_words(variables);
    for (const std::string& stream : {out, err})
      std::ofstream(stream, std::ios::app);  // a signal may come before the program's
    std::fflush(nullptr);  // or the child would write what is buffered a second time
    pid_ = ::fork();
    if (pid_ == 0) {
      for (std::string& setting : settings) ::putenv(setting.data());
      if (::chdir(folder.c_str()) != 0 || !std::freopen("/dev/null", "r", stdin) ||
          !std::freopen(out.c_str(), "w", stdout) || !std::freopen(err.c_str(), "w", stderr)) {
        std::_Exit(126);
      }
      ::execvp(program.c_str(), argv.data());
      std::_Exit(127);
    }
    REQUIRE(pid_ > 0);
  }
  ~RunningProgram() {
    if (pid_ > 0) wait();
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  pid_t pid() const { return pid_; }

  Outcome wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            .output = text_of(streams_ / "out"),
            .errors = text_of(streams_ / "err")};
  }

 private:
  TemporaryFolder streams_;
  pid_t pid_ = -1;
};

/// How many signals come at random moments: PIXELDP_KILLS, or a few (tests/kill_test.sh).
inline int moments() {
  const char* kills = std::getenv("PIXELDP_KILLS");
  return kills ? std::atoi(kills) : 6;
}

/// Runs the program in `folder` to its end.
inline Outcome run_program(const std::string& arguments, const std::filesystem::path& folder = ".",
                           const std::string& variables = "") {
  return RunningProgram(split_words(arguments), folder, variables).wait();
}

}  // namespace pixeldp::tests
