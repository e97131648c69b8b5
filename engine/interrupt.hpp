#pragma once

namespace pixeldp {

/// From now on the first SIGINT or SIGTERM only sets a flag, so that a long run can finish its
/// current step and save its work. The next one ends the process as usual.
///
/// Call it before any other thread is started: the signals are blocked in the calling thread, and
/// in those it starts, and a thread of its own waits for them. No handler ever interrupts a
/// computation: generated matrix kernels use the stack pointer as an ordinary register, so a
/// handler on their stack would overwrite data.
void install_interrupt_handler();

/// Whether such a signal has arrived.
bool interrupted();

}  // namespace pixeldp
