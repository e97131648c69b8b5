#pragma once

#include <filesystem>
#include <sstream>
#include <string>

#include "engine/io/file.hpp"

namespace pixeldp::tests {

/// Throws an Error when there is no such file, so that two missing files are never equal.
inline std::string text_of(const std::filesystem::path& path) {
  return std::string(as_text(read_file(path)));
}

/// A training.csv without its last column, the time.
inline std::string without_times(const std::filesystem::path& csv) {
  std::istringstream lines(text_of(csv));
  std::string result;
  for (std::string line; std::getline(lines, line);)
    result += line.substr(0, line.rfind(',')) + '\n';
  return result;
}

}  // namespace pixeldp::tests
