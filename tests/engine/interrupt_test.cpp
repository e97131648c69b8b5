#include "engine/interrupt.hpp"

#include <csignal>
#include <initializer_list>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pixeldp {
namespace {

/// Wait status of a child process that runs this.
template <typename Body>
int status_of_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    // Undoes what the test program has set up for the same signals.
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    body();
    ::_exit(99);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("the first signal is kept for the program to look at, the second one kills") {
  for (const int first : {SIGINT, SIGTERM}) {
    for (const int second : {SIGINT, SIGTERM}) {
      CAPTURE(first);
      CAPTURE(second);
      const int status = status_of_child([&] {
        install_interrupt_handler();
        if (interrupted()) ::_exit(1);
        ::kill(::getpid(), first);
        for (int i = 0; i < 1000 && !interrupted(); ++i) ::usleep(1000);
        if (interrupt_signal() != first) ::_exit(2);
        try {
          fail_interrupted("stopped after {}", 3);
        } catch (const Interruption& end) {
          if (end.signal() != first || std::string(end.what()) != "stopped after 3") ::_exit(3);
        }
        ::kill(::getpid(), second);
        ::sleep(10);
      });
      CHECK(WIFSIGNALED(status));
      CHECK(WTERMSIG(status) == second);
    }
  }
}

TEST_CASE("only a scheduler's signals say: start me again") {
  struct Case {
    int signal;
    const char* variable;
    int status;
  };
  for (const auto& [signal, variable, expected] :
       {Case{SIGINT, "SLURM_ARRAY_TASK_ID", 130}, Case{SIGINT, "NONE", 130},
        Case{SIGTERM, "SLURM_ARRAY_TASK_ID", 75}, Case{SIGTERM, "NONE", 143},
        Case{SIGUSR1, "SLURM_ARRAY_TASK_ID", 75}, Case{SIGUSR1, "NONE", 75}}) {
    CAPTURE(signal);
    CAPTURE(variable);
    const int status = status_of_child([&] {
      ::setenv(variable, "0", 1);
      install_interrupt_handler();
      ::kill(::getpid(), signal);
      for (int i = 0; i < 1000 && !interrupted(); ++i) ::usleep(1000);
      if (exit_status_after(signal) == start_again_status) {  // more of them change nothing
        for (const int more : {SIGUSR1, SIGTERM, SIGTERM}) {
          ::kill(::getpid(), more);
          ::usleep(1000);
        }
      }
      ::_exit(exit_status_after(signal));
    });
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == expected);
  }
}

TEST_CASE("without the handler a signal kills at once") {
  const int status = status_of_child([] { std::raise(SIGTERM); });
  CHECK(WIFSIGNALED(status));
  CHECK_FALSE(interrupted());
}

}  // namespace pixeldp
