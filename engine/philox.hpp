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
  augmentation = 6,
  quantisation = 7,
  attack = 8,        ///< the draws that an attack takes its gradients from and looks at
  attack_start = 9,  ///< where it starts
  judgement = 10,    ///< the draws that judge it, none of which it has seen
};

/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): four
/// random words from a 128-bit counter and a 64-bit key, without any state.
struct Philox {
  static constexpr std::uint32_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
  static constexpr std::uint32_t weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
  static constexpr int rounds = 10;

  using Words = std::array<std::uint32_t, 4>;

  /// Upper half of the product. (Asked for by name, or nvcc calculates the rounds in 64 bits.)
  static constexpr std::uint32_t high(std::uint32_t a, std::uint32_t b) {
#ifdef __CUDA_ARCH__
    return __umulhi(a, b);
#else
    return static_cast<std::uint32_t>(std::uint64_t{a} * b >> 32);
#endif
  }

  static constexpr Words generate(Words counter, std::uint64_t key) {
    auto k0 = static_cast<std::uint32_t>(key);
    auto k1 = static_cast<std::uint32_t>(key >> 32);
    auto [c0, c1, c2, c3] = counter;
    for (int round = 0; round < rounds; ++round) {
      const std::uint32_t h0 = high(multiplier0, c0), l0 = multiplier0 * c0;
      const std::uint32_t h1 = high(multiplier1, c2), l1 = multiplier1 * c2;
      c0 = h1 ^ c1 ^ k0;
      c1 = l1;
      c2 = h0 ^ c3 ^ k1;
      c3 = l0;
      k0 += weyl0;
      k1 += weyl1;
    }
    return {c0, c1, c2, c3};
  }

  /// The project's address of four consecutive elements (4 * block ... 4 * block + 3) of one draw
  /// of one image: whatever the batch, the thread or the machine, they get the same random words.
  static constexpr Words at(std::uint64_t seed, StreamTag tag, std::uint32_t image,
                            std::uint32_t draw, std::uint32_t block) {
    return generate({block, draw, image, static_cast<std::uint32_t>(tag)}, seed);
  }
};

}  // namespace pixeldp
