#pragma once

#include <array>
#include <cstdint>

namespace pixeldp {

/// What a random number is for. Different tags never share a counter, so the draws that select a
/// label and the draws that certify it can never mix.
enum class StreamTag : std::uint32_t {
  selection = 1,
  estimation = 2,
  training = 3,
  initialisation = 4,
  shuffle = 5,
};

/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): four
/// random words from a 128-bit counter and a 64-bit key, without any state.
struct Philox {
  static constexpr std::uint32_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
  static constexpr std::uint32_t weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
  static constexpr int rounds = 10;

  using Words = std::array<std::uint32_t, 4>;

  static constexpr Words generate(Words counter, std::uint64_t key) {
    auto k0 = static_cast<std::uint32_t>(key);
    auto k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < rounds; ++round) {
      const std::uint64_t p0 = std::uint64_t{multiplier0} * counter[0];
      const std::uint64_t p1 = std::uint64_t{multiplier1} * counter[2];
      counter = {
          static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
          static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += weyl0;
      k1 += weyl1;
    }
    return counter;
  }

  /// The project's address of four consecutive elements (4 * block ... 4 * block + 3) of one draw
  /// of one image: whatever the batch, the thread or the machine, they get the same random words.
  static constexpr Words at(std::uint64_t seed, StreamTag tag, std::uint32_t image,
                            std::uint32_t draw, std::uint32_t block) {
    return generate({block, draw, image, static_cast<std::uint32_t>(tag)}, seed);
  }
};

}  // namespace pixeldp
