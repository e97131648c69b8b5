#pragma once

#include "engine/error.hpp"

namespace pixeldp {

/// From now on the first SIGINT or SIGTERM only sets a flag, so that a long run can finish its
/// current step and save its work. The next one ends the process as usual.
///
/// Call it before any other thread is started: the signals are blocked in the calling thread, and
/// in those it starts, and a thread of its own waits for them. No handler ever interrupts a
/// computation: generated matrix kernels use the stack pointer as an ordinary register, so a
/// handler on their stack would overwrite data.
void install_interrupt_handler();

/// The number of the first such signal that has arrived, or 0.
int interrupt_signal();
inline bool interrupted() { return interrupt_signal() != 0; }

/// The end of a run that a signal interrupted, once the work so far is safe. Its text says how to
/// go on; the program's exit status is 128 + the signal's number, as shells give it.
class Interruption : public Error {
 public:
  explicit Interruption(const std::string& text)
      : Error(Kind::failure, text), signal_(interrupt_signal()) {}
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
