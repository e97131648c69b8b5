#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pixeldp {

/// Runs this program once more, with other arguments, to its end, and returns its exit status, 128
/// + the signal's number where a signal ended it. What it prints is added to the file `log`. It
/// knows nothing of launchers and arrays; it is sent the signal that interrupts this process, and
/// is killed if this process is. Throws an Error where it cannot be started.
int run_this_program(std::vector<std::string> arguments, const std::filesystem::path& log);

}  // namespace pixeldp
