#include "engine/child_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"

namespace pixeldp {
namespace {

/// Whether a variable says as which of many this process was started.
bool of_launcher(std::string_view variable) {
  constexpr std::array of_them = {"OMPI_",  "PMI_",  "PMIX_",       "MPI_LOCALRANKID=",
                                  "SLURM_", "RANK=", "WORLD_SIZE=", "LOCAL_RANK="};
  return std::ranges::any_of(of_them,
                             [&](const char* start) { return variable.starts_with(start); });
}

/// In the child, where only calls that are safe after a fork are made.
[[noreturn]] void become(char* const* argv, char* const* environment, const char* log,
                         pid_t parent) {
  // A group of its own, so that what a terminal sends to all arrives once, from the parent.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // which died before that
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int out = ::open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
  const int in = ::open("/dev/null", O_RDONLY);
  if (out < 0 || in < 0 || ::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0)
    ::_exit(127);
  ::execve("/proc/self/exe", argv, environment);
  ::_exit(127);
}

}  // namespace

int run_this_program(std::vector<std::string> arguments, const std::filesystem::path& log) {
  arguments.insert(arguments.begin(), "pixeldp");
  std::vector<char*> argv, variables;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  for (char** variable = environ; *variable; ++variable)
    if (!of_launcher(*variable)) variables.push_back(*variable);
  argv.push_back(nullptr);
  variables.push_back(nullptr);
  const std::string file = log.string();
  const pid_t parent = ::getpid(), child = ::fork();
  if (child == 0) become(argv.data(), variables.data(), file.c_str(), parent);
  if (child < 0) fail("cannot start another process: {}", std::strerror(errno));
  for (bool told = false;;) {
    int status = 0;
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended < 0 && errno != EINTR) fail("a process was lost: {}", std::strerror(errno));
    if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (interrupted() && !told) {
      ::kill(child, interrupt_signal());
      told = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace pixeldp
