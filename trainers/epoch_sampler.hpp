#pragma once

#include <cstdint>
#include <vector>

namespace pixeldp {

/// Which images make up which batch: an endless sequence of epochs, each a permutation of all
/// images that follows from (seed, epoch) alone, so that training can start again at any step.
class EpochSampler {
 public:
  EpochSampler(std::int64_t images, std::uint64_t seed);

  struct Batch {
    std::vector<std::int64_t> images;
    std::vector<std::uint32_t> epochs;  ///< how often each image had been seen before
  };
  /// The images at positions step * batch ... of the sequence.
  Batch batch(std::int64_t step, std::int64_t size);

 private:
  void shuffle(std::int64_t epoch);

  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

}  // namespace pixeldp
