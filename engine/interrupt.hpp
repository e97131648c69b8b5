#pragma once

#include "engine/error.hpp"

namespace pixeldp {

/// From now on the first SIGINT, SIGTERM or SIGUSR1 only sets a flag, so that a long run can finish
/// its current step and save its work. The next SIGINT or SIGTERM ends the process as usual.
///
/// Schedulers and launchers, which start a process again, send what they like several times and
/// then kill: after a first signal of theirs (exit_status_after) further ones are ignored, and the
/// process ends `grace_seconds` later with that status wherever it is.
///
/// Call it before any other thread is started: the signals are blocked in the calling thread, and
/// in those it starts, and a thread of its own waits for them. No handler ever interrupts a
/// computation: generated matrix kernels use the stack pointer as an ordinary register, so a
/// handler on their stack would overwrite data. Throws what started_by_scheduler throws.
void install_interrupt_handler();

/// Between the signal and the end: below the 30 s that Slurm and others wait until they kill.
inline constexpr int grace_seconds = 20;

/// "Start me again": the exit status (EX_TEMPFAIL) by which job scripts and schedulers requeue.
inline constexpr int start_again_status = 75;

/// start_again_status for SIGUSR1, and for SIGTERM where a scheduler started this process; else 128
/// plus the signal's number, as shells give it.
int exit_status_after(int signal);

/// The number of the first such signal that has arrived, or 0.
int interrupt_signal();
inline bool interrupted() { return interrupt_signal() != 0; }

/// The end of a run that a signal interrupted, once the work so far is safe. Its text says how to
/// go on; the program's exit status is exit_status_after(signal).
class Interruption : public Error {
 public:
  explicit Interruption(const std::string& text, int signal = interrupt_signal())
      : Error(Kind::failure, text), signal_(signal) {}
  int signal() const { return signal_; }

 private:
  int signal_;
};

/// Throws an Interruption.
template <typename... Args>
[[noreturn]] void fail_interrupted(fmt::format_string<Args...> format, Args&&... args) {
  throw Interruption(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace pixeldp
