#include "engine/interrupt.hpp"

#include <atomic>
#include <thread>

#include <signal.h>
#include <unistd.h>

namespace pixeldp {
namespace {

std::atomic<int> first_signal{0};

void wait_for_signals(sigset_t signals) {
  int number = 0;
  sigwait(&signals, &number);
  first_signal.store(number);
  sigwait(&signals, &number);
  ::signal(number, SIG_DFL);
  ::kill(::getpid(), number);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace

void install_interrupt_handler() {
  static const bool installed = [] {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread(wait_for_signals, signals).detach();
    return true;
  }();
  static_cast<void>(installed);
}

int interrupt_signal() { return first_signal.load(); }

}  // namespace pixeldp
