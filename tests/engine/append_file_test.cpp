#include "engine/io/append_file.hpp"

#include <string>

#include <doctest/doctest.h>

#include "tests/file_size_limit.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {

TEST_CASE("a file that one process adds to is locked, until it is given up") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "log";
  {
    AppendFile file(path);
    CHECK(file.locked());
    const AppendFile moved = std::move(file);
    CHECK(moved.locked());
    CHECK_FALSE(AppendFile::if_free(path));
    CHECK_FAILS(AppendFile(path), "another process is writing to it");
  }
  CHECK(AppendFile::if_free(path));
}

TEST_CASE("the first text of a file is there whole, or not at all") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "log";
  AppendFile file(path);
  {
    const tests::FileSizeLimit limit(3);
    CHECK_FALSE(file.begin("a header\n"));
  }
  CHECK(file.size() == 0);
  AppendFile other(folder / "other");
  CHECK(other.begin("a header\n"));
  CHECK(other.write("a line\n"));
  CHECK(tests::text_of(folder / "other") == "a header\na line\n");
  CHECK_FALSE(AppendFile("/dev/full").begin("a header\n"));
}

}  // namespace pixeldp
