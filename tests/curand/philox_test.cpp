#include "engine/philox.hpp"

#include <cstdint>
#include <vector>

#include <curand.h>
#include <doctest/doctest.h>

namespace pixeldp {

// The host generator of cuRAND runs without a GPU. It deals its words out over 65536 subsequences:
// block b of four words is block b / 65536 of subsequence b % 65536, which is the counter
// (b / 65536, 0, b % 65536, 0) under the seed as key.
TEST_CASE("Philox agrees with the host generator of cuRAND") {
  constexpr std::uint64_t seed = 0x00c0ffee12345678;
  constexpr std::size_t subsequences = 65536, blocks = 2 * subsequences + 100;

  curandGenerator_t generator = nullptr;
  REQUIRE(curandCreateGeneratorHost(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10) ==
          CURAND_STATUS_SUCCESS);
  REQUIRE(curandSetPseudoRandomGeneratorSeed(generator, seed) == CURAND_STATUS_SUCCESS);
  std::vector<unsigned> words(4 * blocks);
  REQUIRE(curandGenerate(generator, words.data(), words.size()) == CURAND_STATUS_SUCCESS);
  curandDestroyGenerator(generator);

  std::size_t different = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    const auto ours = Philox::generate({static_cast<std::uint32_t>(b / subsequences), 0,
                                        static_cast<std::uint32_t>(b % subsequences), 0},
                                       seed);
    for (std::size_t i = 0; i < 4; ++i) different += ours[i] != words[4 * b + i];
  }
  CHECK(different == 0);
}

}  // namespace pixeldp
