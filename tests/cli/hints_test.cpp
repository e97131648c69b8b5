#include <algorithm>
#include <regex>
#include <set>

#include "tests/cli/program.hpp"
#include "trainers/training_settings.hpp"

using namespace pixeldp;
using namespace pixeldp::tests;

/// What messages and help tell the user to type must exist: commands, options, configuration keys.

namespace {

namespace fs = std::filesystem;

struct Hint {
  std::string text, file;
  bool operator<(const Hint& other) const { return text < other.text; }
};

/// Whatever matches the first group of a pattern within the string literals of the program.
std::set<Hint> hints(const std::string& pattern) {
  static const std::regex literal(R"x("((?:[^"\\]|\\.)*)")x");
  const std::regex wanted(pattern);
  std::set<Hint> found;
  for (const char* floor : {"engine", "kernels", "layers", "pixeldp", "trainers", "cli"}) {
    for (const auto& entry :
         fs::recursive_directory_iterator(fs::path(PIXELDP_SOURCE_DIR) / floor)) {
      const std::string extension = entry.path().extension();
      if (extension != ".cpp" && extension != ".hpp" && extension != ".cu") continue;
      const std::string source = text_of(entry.path());
      for (std::size_t begin = 0; begin < source.size();) {
        const std::size_t end = std::min(source.find('\n', begin), source.size());
        const std::string line = source.substr(begin, end - begin);
        begin = end + 1;
        if (line.starts_with("#include") || line.find("//") < line.find('"')) continue;
        for (std::sregex_iterator l(line.begin(), line.end(), literal), none; l != none; ++l) {
          const std::string text = (*l)[1];
          for (std::sregex_iterator h(text.begin(), text.end(), wanted); h != none; ++h)
            found.insert({(*h)[1], entry.path().string()});
        }
      }
    }
  }
  return found;
}

std::set<std::string> words(const std::string& text, const char* pattern) {
  const std::regex wanted(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator w(text.begin(), text.end(), wanted), none; w != none; ++w)
    found.insert((*w)[1]);
  return found;
}

std::set<std::string> commands() {
  const std::string help = run_program("--help").output;
  return words(help.substr(help.find("Subcommands:")), R"(\n  ([a-z]+) )");
}

}  // namespace

TEST_CASE("commands that messages name exist") {
  const auto known = commands();
  CHECK(known.contains("train"));
  const auto named = hints(R"('pixeldp ([a-z]+))");
  CHECK(named.size() >= 2);
  for (const Hint& hint : named) {
    CAPTURE(hint.file);
    CHECK_MESSAGE(known.contains(hint.text), hint.text);
  }
}

TEST_CASE("options that messages and help name exist") {
  std::string help = run_program("--help").output;
  for (const std::string& command : commands()) help += run_program(command + " --help").output;
  auto known = words(help, R"(\n *(?:-[a-z],)?(--[a-z][a-z-]*))");
  known.insert("--preset");                               // of CMake
  known.insert({"--array", "--gpus-per-task", "--mpi"});  // of Slurm
  CHECK(known.contains("--resume"));
  const auto named = hints(R"((--[a-z][a-z-]*[a-z]))");
  CHECK(named.size() > 20);
  for (const Hint& hint : named) {
    CAPTURE(hint.file);
    CHECK_MESSAGE(known.contains(hint.text), hint.text);
  }
}

TEST_CASE("configuration keys that messages and help name exist") {
  std::set<std::string> known = {"training.csv", "data.pkl"};  // files of a run, and of PyTorch
  for (const Setting& setting : training_settings()) {
    known.insert(setting.key);
    for (auto dot = setting.key.find('.'); dot != std::string::npos;
         dot = setting.key.find('.', dot + 1))
      known.insert(setting.key.substr(0, dot));  // a section
  }
  const auto named =
      hints(R"(\b((?:data|network|noise|sensitivity|training)\.[a-z_]+(?:\.[a-z_]+)*))");
  CHECK(named.size() > 20);
  for (const Hint& hint : named) {
    CAPTURE(hint.file);
    CHECK_MESSAGE(known.contains(hint.text), hint.text);
  }
}
