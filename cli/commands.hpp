#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "kernels/inference.hpp"

namespace pixeldp::cli {

/// --device, for commands that evaluate networks.
void add_device_option(CLI::App& command, std::string& device);
/// The device of that name; of a rank that asks for cuda, the GPU of its number on the machine.
Device chosen_device(const std::string& device);

/// --precision, likewise, and what was chosen by it: none for the empty text.
void add_precision_option(CLI::App& command, std::string& precision);
std::optional<kernels::Precision> chosen_precision(const std::string& precision);

/// --algorithm, likewise.
void add_algorithm_option(CLI::App& command, std::string& algorithm);
std::optional<kernels::Algorithm> chosen_algorithm(const std::string& algorithm);

// One function per subcommand, each in the file of its name: it declares the options and sets the
// callback that runs the command.
void add_train(CLI::App& program);
void add_import(CLI::App& program);
void add_certify(CLI::App& program);
void add_recertify(CLI::App& program);
void add_merge(CLI::App& program);
void add_sweep(CLI::App& program);
void add_verify(CLI::App& program);
void add_attack(CLI::App& program);
void add_bound(CLI::App& program);
void add_predict(CLI::App& program);
void add_radius(CLI::App& program);
void add_plan(CLI::App& program);
void add_quantise(CLI::App& program);
void add_report(CLI::App& program);
void add_info(CLI::App& program);

}  // namespace pixeldp::cli
