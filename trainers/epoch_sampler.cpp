#include "trainers/epoch_sampler.hpp"

#include <numeric>
#include <utility>

#include "engine/philox.hpp"

namespace pixeldp {

EpochSampler::EpochSampler(std::int64_t images, std::uint64_t seed)
    : seed_(seed), order_(static_cast<std::size_t>(images)) {}

void EpochSampler::shuffle(std::int64_t epoch) {
  std::iota(order_.begin(), order_.end(), 0);
  for (std::uint64_t i = order_.size(); i-- > 1;) {
    // 64 random bits modulo i + 1: the bias is below 2^-32 for any data set.
    const auto words = Philox::at(seed_, StreamTag::shuffle, 0, static_cast<std::uint32_t>(epoch),
                                  static_cast<std::uint32_t>(i));
    const std::uint64_t random = std::uint64_t{words[0]} << 32 | words[1];
    std::swap(order_[i], order_[random % (i + 1)]);
  }
  epoch_ = epoch;
}

EpochSampler::Batch EpochSampler::batch(std::int64_t step, std::int64_t size) {
  Batch result;
  const auto count = static_cast<std::int64_t>(order_.size());
  for (std::int64_t position = step * size; position < (step + 1) * size; ++position) {
    if (position / count != epoch_) shuffle(position / count);
    result.images.push_back(order_[static_cast<std::size_t>(position % count)]);
    result.epochs.push_back(static_cast<std::uint32_t>(epoch_));
  }
  return result;
}

}  // namespace pixeldp
