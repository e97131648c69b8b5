#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands.hpp"
#include "engine/communicator.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/spelling.hpp"
#include "engine/threads.hpp"

namespace pixeldp::cli {
namespace {

/// CLI11 takes a misspelt subcommand for an unknown argument, and says nothing of it before --help.
void check_subcommand(const CLI::App& program, std::string_view given) {
  if (given.starts_with('-')) return;
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands({})) names.push_back(command->get_name());
  if (std::ranges::find(names, given) != names.end()) return;
  if (const auto meant = nearest(given, names))
    fail_usage("there is no subcommand '{}'; did you mean '{}'?", given, *meant);
  fail_usage("there is no subcommand '{}', but {}", given, fmt::join(names, ", "));
}

/// What a value is instead of the one that an option takes, where CLI11 says that it could not
/// convert it.
std::string of_conversion(const CLI::App& command, std::string_view what) {
  constexpr std::string_view start = "Could not convert: ", middle = " = ";
  const std::size_t at = what.find(middle);
  if (!what.starts_with(start) || at == what.npos) return std::string(what);
  const std::string name(what.substr(start.size(), at - start.size()));
  const CLI::Option* const option = command.get_option_no_throw(name);
  const std::string type = option ? option->get_type_name() : "";
  return fmt::format("{}: '{}' is not a {}", name, what.substr(at + middle.size()),
                     type == "UINT"    ? "whole number from 0 up, or too large a one"
                     : type == "INT"   ? "whole number, or too large a one"
                     : type == "FLOAT" ? "number, or too large a one"
                                       : "number that it takes");
}

/// Ends a command line that CLI11 refuses, or asks for help, and says which option was meant.
int end_of_parsing(const CLI::App& program, const CLI::ParseError& error,
                   std::span<char* const> given) {
  if (error.get_exit_code() == 0) return program.exit(error);
  const std::vector<CLI::App*> commands = program.get_subcommands();
  const CLI::App& command = commands.empty() ? program : *commands.front();
  std::string what = of_conversion(command, error.what());
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string_view argument : given) {
      const std::string_view name = argument.substr(0, argument.find('='));
      if (!name.starts_with("--") || std::ranges::find(names, name) != names.end()) continue;
      what = fmt::format("there is no option '{}'", name);
      if (const auto meant = nearest(name, names))
        what += fmt::format("; did you mean '{}'?", *meant);
      break;
    }
  }
  fmt::print(stderr, "pixeldp: error: {}\n'pixeldp {}--help' lists what there is\n", what,
             commands.empty() ? "" : command.get_name() + " ");
  return static_cast<int>(Error::Kind::usage);
}

/// Says what failed, and where there are several ranks, in which, and ends them.
int failed(const char* what, int status) {
  const std::string rank = this_rank();
  fmt::print(stderr, "pixeldp: {}error: {}\n", rank.empty() ? "" : rank + ": ", what);
  end_ranks(status);
  return status;
}

}  // namespace
}  // namespace pixeldp::cli

int main(int argc, char** argv) {
  using namespace pixeldp;
  settle_threads(argv);
  CLI::App program("PixelDP: train, certify and report classifiers that are provably robust",
                   "pixeldp");
  program.require_subcommand(1);
  program.footer(
      "Exit status: 0 done, 1 failed, 2 wrong usage; 128 + the signal when interrupted (130 by "
      "SIGINT, 143 by SIGTERM); 75 when interrupted by the scheduler (SIGUSR1, and SIGTERM as a "
      "rank or a task of an array): start the same command again");
  program.set_version_flag("--version", "pixeldp " PIXELDP_VERSION);
  cli::add_train(program);
  cli::add_import(program);
  cli::add_certify(program);
  cli::add_recertify(program);
  cli::add_merge(program);
  cli::add_sweep(program);
  cli::add_verify(program);
  cli::add_attack(program);
  cli::add_bound(program);
  cli::add_predict(program);
  cli::add_radius(program);
  cli::add_plan(program);
  cli::add_quantise(program);
  cli::add_report(program);
  cli::add_info(program);

  try {
    if (argc > 1) cli::check_subcommand(program, argv[1]);
    program.parse(argc, argv);
    if (std::fflush(stdout) != 0) fail("cannot write to standard output: {}", std::strerror(errno));
    leave_ranks();
    return 0;
  } catch (const CLI::ParseError& error) {
    // Asking for help or the version arrives here as well, with status 0.
    return cli::end_of_parsing(program, error, {argv, static_cast<std::size_t>(argc)});
  } catch (const Interruption& end) {
    fmt::print(stderr, "pixeldp: {}\n", end.what());
    leave_ranks();
    return exit_status_after(end.signal());
  } catch (const Error& error) {
    return cli::failed(error.what(), static_cast<int>(error.kind()));
  } catch (const std::bad_alloc&) {
    return cli::failed("out of memory: neither the machine nor its limits (ulimit -v) give more",
                       static_cast<int>(Error::Kind::failure));
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again)
      return cli::failed(
          "no further thread can be started: neither the machine nor its limits (ulimit -u, "
          "ulimit -v) give more",
          static_cast<int>(Error::Kind::failure));
    return cli::failed(error.what(), static_cast<int>(Error::Kind::failure));
  } catch (const std::exception& error) {
    return cli::failed(error.what(), static_cast<int>(Error::Kind::failure));
  }
}
