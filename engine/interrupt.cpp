#include "engine/interrupt.hpp"

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <thread>

#include <signal.h>
#include <unistd.h>

#include "engine/launcher.hpp"

namespace pixeldp {
namespace {

std::atomic<int> first_signal{0};
std::atomic<bool> by_scheduler{false};

/// Returns where the user wants the end at once, and not where the scheduler does.
int wait_for_second(sigset_t signals) {
  const bool starts_again = exit_status_after(first_signal) == start_again_status;
  timespec deadline{};
  ::clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += grace_seconds;
  for (;;) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const timespec left{.tv_sec = starts_again ? deadline.tv_sec - now.tv_sec : 3600, .tv_nsec = 0};
    if (left.tv_sec <= 0) std::_Exit(start_again_status);
    const int number = ::sigtimedwait(&signals, nullptr, &left);
    if (number == SIGINT || (number == SIGTERM && !starts_again)) return number;
  }
}

void wait_for_signals(sigset_t signals) {
  int number = 0;
  sigwait(&signals, &number);
  first_signal.store(number);
  number = wait_for_second(signals);
  ::signal(number, SIG_DFL);
  ::kill(::getpid(), number);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace

void install_interrupt_handler() {
  static const bool installed = [] {
    by_scheduler = started_by_scheduler();
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals, number);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread(wait_for_signals, signals).detach();
    return true;
  }();
  static_cast<void>(installed);
}

int exit_status_after(int signal) {
  const bool starts_again = signal == SIGUSR1 || (signal == SIGTERM && by_scheduler);
  return starts_again ? start_again_status : 128 + signal;
}

int interrupt_signal() { return first_signal.load(); }

}  // namespace pixeldp
