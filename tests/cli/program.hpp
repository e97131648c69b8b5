#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
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

/// The program at work in a folder.
class RunningProgram {
 public:
  RunningProgram(std::vector<std::string> arguments, const std::filesystem::path& folder) {
    arguments.insert(arguments.begin(), PIXELDP_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string out = streams_ / "out", err = streams_ / "err";
    std::fflush(nullptr);  // or the child would write what is buffered a second time
    pid_ = ::fork();
    if (pid_ == 0) {
      if (::chdir(folder.c_str()) != 0 || !std::freopen("/dev/null", "r", stdin) ||
          !std::freopen(out.c_str(), "w", stdout) || !std::freopen(err.c_str(), "w", stderr)) {
        std::_Exit(126);
      }
      ::execv(PIXELDP_PROGRAM, argv.data());
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

/// Runs the program in `folder` with arguments as a shell splits them; `variables` are set for it.
inline Outcome run_program(const std::string& arguments, const std::filesystem::path& folder = ".",
                           const std::string& variables = "") {
  const TemporaryFolder streams;
  const int status = std::system(fmt::format("cd '{}' && {} '{}' {} >'{}' 2>'{}' </dev/null",
                                             folder.string(), variables, PIXELDP_PROGRAM, arguments,
                                             (streams / "out").string(), (streams / "err").string())
                                     .c_str());
  return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .output = text_of(streams / "out"),
          .errors = text_of(streams / "err")};
}

}  // namespace pixeldp::tests
