#include "pixeldp/log_parts.hpp"

#include <algorithm>

#include <doctest/doctest.h>

#include "engine/io/file.hpp"
#include "pixeldp/certification.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

TEST_CASE("shards are disjoint and together all images") {
  for (const ImageRange images : {ImageRange{0, 32, 1}, ImageRange{3, 30, 4}, ImageRange{5, 6, 1},
                                  ImageRange{5, 32, std::int64_t{1} << 62}}) {
    for (const int count : {1, 2, 3, 7, 40}) {
      CAPTURE(count);
      std::vector<std::int64_t> all, expected;
      for (int index = 0; index < count; ++index) {
        const ImageRange share = images.shard(index, count);
        for (std::int64_t place = 0; place < share.count(); ++place) all.push_back(share[place]);
      }
      for (std::int64_t place = 0; place < images.count(); ++place)
        expected.push_back(images[place]);
      std::ranges::sort(all);
      CHECK(all == expected);
    }
  }
  for (const auto& [index, count] : {std::pair(-1, 2), std::pair(2, 2), std::pair(0, 0)})
    CHECK_THROWS_AS((ImageRange{0, 9, 1}.shard(index, count)), Error);
}

TEST_CASE("there is at least one share") {
  CHECK_FAILS((ImageRange{0, 9}.shard(0, 0)), "at least 1 share");
  CHECK_FAILS((ImageRange{0, 9}.shard(2, 2)), "numbered from 0 to 1");
}

TEST_CASE("the parts of a log are found by their names, and nothing else is") {
  const TemporaryFolder folder;
  for (const char* name : {"log", "log.part-1", "log.part-0", "log.part-12.part-3", "log.part-",
                           "log.part-x", "log.part-1.tmp", "log2.part-0", "a-log.part-0"})
    write_file_atomically(folder / name, "");
  const std::vector<std::filesystem::path> expected = {folder / "log.part-0", folder / "log.part-1",
                                                       folder / "log.part-12.part-3"};
  CHECK(find_parts(folder / "log") == expected);
  CHECK(part_path(folder / "log", 7) == folder / "log.part-7");
  CHECK(find_parts("nowhere/log").empty());
}

TEST_CASE("claims cover the work once, and end in small ones") {
  CHECK(ends_of_claims(0, 4).empty());
  CHECK(ends_of_claims(10, 1) == std::vector<std::int64_t>{10});
  for (const int ranks : {2, 3, 64}) {
    const std::vector<std::int64_t> ends = ends_of_claims(10'000, ranks);
    CHECK(ends.back() == 10'000);
    CHECK(ends.front() == (10'000 + 2 * ranks - 1) / (2 * ranks));
    CHECK(std::ranges::is_sorted(ends));
    CHECK(std::ranges::adjacent_find(ends) == ends.end());
    CHECK(ends[ends.size() - 1] - ends[ends.size() - 2] == 1);
  }
}
