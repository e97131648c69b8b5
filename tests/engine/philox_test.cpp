#include "engine/philox.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <utility>

#include <doctest/doctest.h>

namespace pixeldp {

using Words = Philox::Words;

TEST_CASE("Philox4x32-10 gives the known answers of Random123") {
  CHECK(Philox::generate({0, 0, 0, 0}, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(Philox::generate({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffff) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(Philox::generate({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  static_assert(Philox::generate({0, 0, 0, 0}, 0)[0] == 0x6627e8d5, "usable at compile time");
}

TEST_CASE("an address is the counter (block, draw, image, tag) under the seed") {
  constexpr std::uint64_t seed = 0x0123456789abcdef;
  CHECK(Philox::at(seed, StreamTag::estimation, 7, 300, 11) ==
        Philox::generate({11, 300, 7, 2}, seed));
}

TEST_CASE("addresses that differ in one place share no words") {
  // 64-bit pairs: among so few, an accidental match has a probability of about 1e-15.
  std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
  int addresses = 0;
  const auto add = [&](const Words& words) {
    seen.insert({words[0], words[1]});
    seen.insert({words[2], words[3]});
    ++addresses;
  };
  for (std::uint32_t i = 0; i < 8; ++i)
    for (std::uint32_t d = 0; d < 8; ++d)
      for (std::uint32_t b = 0; b < 8; ++b)
        for (const auto tag : {StreamTag::selection, StreamTag::estimation, StreamTag::training,
                               StreamTag::initialisation, StreamTag::shuffle})
          add(Philox::at(1, tag, i, d, b));
  add(Philox::at(2, StreamTag::selection, 0, 0, 0));
  add(Philox::at(std::uint64_t{1} << 32 | 1, StreamTag::selection, 0, 0, 0));
  CHECK(seen.size() == 2u * static_cast<unsigned>(addresses));
}

TEST_CASE("each bit of the output is set half of the time and flips with any bit of the counter") {
  constexpr int samples = 4096;
  // Five standard deviations of a binomial count with p = 1/2.
  constexpr double tolerance = 5 * 32;
  std::array<int, 128> set{}, flipped{};
  for (std::uint32_t i = 0; i < samples; ++i) {
    const Words words = Philox::generate({i, 5, 6, 7}, 42);
    Words other = {i, 5, 6, 7};
    other[i % 4] ^= 1u << (i / 4 % 32);
    other = Philox::generate(other, 42);
    for (std::size_t bit = 0; bit < 128; ++bit) {
      set[bit] += words[bit / 32] >> (bit % 32) & 1;
      flipped[bit] += (words[bit / 32] ^ other[bit / 32]) >> (bit % 32) & 1;
    }
  }
  for (std::size_t bit = 0; bit < 128; ++bit) {
    CAPTURE(bit);
    CHECK(std::abs(set[bit] - samples / 2) < tolerance);
    CHECK(std::abs(flipped[bit] - samples / 2) < tolerance);
  }
}

}  // namespace pixeldp
