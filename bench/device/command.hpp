#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace pixeldp::bench {

/// `bench device`: what a GPU does. `status` becomes the exit status.
void add_device(CLI::App& program, const std::string& source_folder, int& status);

}  // namespace pixeldp::bench
