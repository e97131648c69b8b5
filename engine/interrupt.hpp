#pragma once

namespace pixeldp {

/// From now on the first SIGINT or SIGTERM only sets a flag, so that a long run can finish its
/// current step and save its work. The next one ends the process as usual.
void install_interrupt_handler();

/// Whether such a signal has arrived.
bool interrupted();

}  // namespace pixeldp
