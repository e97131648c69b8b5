#pragma once

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

/// Feeds the seeds of a fuzzer, and whatever it has found, to its reader.
template <typename Reader>
void replay(const std::string& name, Reader reader) {
  const std::filesystem::path here = std::filesystem::path(PIXELDP_SOURCE_DIR) / "tests/fuzz";
  int seeds = 0;
  for (const std::string folder : {"corpus", "regressions"}) {
    if (!std::filesystem::is_directory(here / folder / name)) continue;
    for (const auto& file : std::filesystem::directory_iterator(here / folder / name)) {
      const std::string path = file.path().string();
      CAPTURE(path);
      CHECK_NOTHROW(accept([&] { reader(read_file(path)); }));
      seeds += folder == "corpus";
    }
  }
  CHECK(seeds > 0);
}

}  // namespace pixeldp::fuzz
