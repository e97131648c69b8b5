#include <array>
#include <filesystem>
#include <sstream>

#include "tests/cli/program.hpp"
#include "tests/real_data.hpp"

/// The sequence of commands in the README, run from top to bottom on a short schedule.

using namespace pixeldp;
using namespace pixeldp::tests;
namespace fs = std::filesystem;

namespace {

/// The first shell block of the README's section that uses PIXELDP_DATA, one command a line.
std::vector<std::string> readme_commands() {
  std::istringstream readme(text_of(fs::path(PIXELDP_SOURCE_DIR) / "README.md"));
  std::vector<std::string> commands;
  bool section = false, block = false, continued = false;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("## ")) section = line == "## From an image to its certificate";
    if (!section) continue;
    if (line.starts_with("```")) {
      if (block) break;
      block = line == "```sh";
      continue;
    }
    if (!block) continue;
    const bool open = line.ends_with("\\");
    if (open) line.pop_back();
    if (continued) {
      commands.back() += line;
    } else {
      commands.push_back(line);
    }
    continued = open;
  }
  return commands;
}

/// The same command, made short: a comment ends it, so further arguments go before that.
std::string shortened(const std::string& command) {
  constexpr std::array<std::array<const char*, 2>, 4> further = {
      {{"build/pixeldp train ", " --set training.steps=20 --set training.evaluation_images=20"},
       {"build/pixeldp certify ", " --images :10"},
       {"build/pixeldp attack ", " --steps 5 --restarts 1 --judge-draws 20"},
       {"build/pixeldp quantise ", " --images 16"}}};
  for (const auto& [start, arguments] : further) {
    if (command.starts_with(start)) return command.substr(0, command.find(" #")) + arguments;
  }
  return command;
}

}  // namespace

TEST_CASE("the README's commands run as written, from top to bottom") {
  const std::vector<std::string> commands = readme_commands();
  REQUIRE(commands.size() > 8);
  if (!real_data({"mnist/t10k-images-idx3-ubyte.gz", resnet20})) return;
  // What a clone has, without what earlier runs left in it.
  const TemporaryFolder clone;
  for (const char* name : {"configs", "docs"})
    fs::create_directory_symlink(fs::path(PIXELDP_SOURCE_DIR) / name, clone / name);
  fs::create_directory(clone / "build");
  fs::create_symlink(program_path(), clone / "build/pixeldp");
  std::string script = "set -euo pipefail\n";
  for (const std::string& command : commands) script += shortened(command) + "\n";
  write_file_atomically(clone / "script", script);
  const int status = std::system(
      fmt::format("cd '{}' && bash -x script > out 2> err", clone.path().string()).c_str());
  CHECK_MESSAGE(status == 0, text_of(clone / "err"));
  for (const char* made : {"runs/mnist-l0.1/certificates.jsonl", "stricter.jsonl", "report.html",
                           "report.csv", "runs/resnet20/model.safetensors"}) {
    CHECK_MESSAGE(fs::exists(clone / made), made);
  }
}
