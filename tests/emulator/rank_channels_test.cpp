#include "kernels/emulator/rank_channels.hpp"

#include <functional>
#include <numeric>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/throws_error.hpp"

namespace pixeldp::emulator {
namespace {

/// Calls work(channels) in that many threads, each a rank.
void with_ranks(int ranks, const std::function<void(RankChannels&)>& work) {
  const std::string name = RankChannels::new_name();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      RankChannels channels(name, ranks, rank, 60.0);
      work(channels);
    });
  for (std::thread& thread : threads) thread.join();
}

std::vector<int> numbers(std::size_t count, int from, int to) {
  std::vector<int> values(count);
  std::iota(values.begin(), values.end(), 1'000'000 * from + 100'000 * to);
  return values;
}

std::size_t bytes_of(const std::vector<int>& values) { return values.size() * sizeof(int); }

TEST_CASE("channels of ranks carry messages of any size, several at once, in their order") {
  with_ranks(3, [](RankChannels& channels) {
    const int rank = channels.rank();
    for (const std::size_t count : {std::size_t{1}, std::size_t{40'000}, std::size_t{0}}) {
      std::vector<std::vector<int>> mine, theirs, expected;
      std::vector<RankChannels::Outgoing> out;
      std::vector<RankChannels::Incoming> in;
      for (int peer = 0; peer < 3; ++peer)
        for (const std::size_t more : {0, 7}) {
          mine.push_back(numbers(count + more, rank, peer));
          expected.push_back(numbers(count + more, peer, rank));
          theirs.emplace_back(count + more);
        }
      for (std::size_t i = 0; i < mine.size(); ++i) {
        out.push_back({static_cast<int>(i / 2), mine[i].data(), bytes_of(mine[i])});
        in.push_back({static_cast<int>(i / 2), theirs[i].data(), bytes_of(theirs[i])});
      }
      CHECK(channels.exchange(out, in));
      CHECK(theirs == expected);
    }
  });
}

TEST_CASE("who gives up ends what the others wait for") {
  with_ranks(3, [](RankChannels& channels) {
    int value = 0;
    const RankChannels::Incoming in{.from = 0, .data = &value, .bytes = sizeof value};
    if (channels.rank() == 0)
      channels.give_up();
    else
      CHECK_FALSE(channels.exchange({}, {&in, 1}));
    CHECK(channels.given_up());
  });
}

TEST_CASE("a message of another size than expected is an error, and ends all") {
  with_ranks(2, [](RankChannels& channels) {
    std::vector<int> values(4);
    if (channels.rank() == 0) {
      const RankChannels::Outgoing out{.to = 1, .data = values.data(), .bytes = 12};
      const RankChannels::Incoming answer{.from = 1, .data = values.data(), .bytes = 4};
      CHECK_FALSE(channels.exchange({&out, 1}, {&answer, 1}));
    } else {
      const RankChannels::Incoming in{.from = 0, .data = values.data(), .bytes = 16};
      CHECK_FAILS(channels.exchange({}, {&in, 1}),
                  "rank 0 sends 12 bytes where rank 1 receives 16");
    }
  });
}

TEST_CASE("ranks that are not there are said") {
  const std::string name = RankChannels::new_name();
  CHECK_FAILS(RankChannels(name, 2, 1, 0.01), "not all ranks have come");
  CHECK_FAILS(RankChannels(name, 2, 0, 0.01), "not all ranks have come");
  CHECK_NOTHROW(RankChannels(name, 1, 0, 0.01));  // the name is free again
}

}  // namespace
}  // namespace pixeldp::emulator
