#pragma once

#include <cstdint>
#include <memory>

#include "layers/network.hpp"
#include "pixeldp/sampling_loop.hpp"

namespace pixeldp {

/// Throws a usage error where there is no draw, or more than can be addressed.
void check_draws(const DrawRange& draws);

/// Evaluates many noise draws of many images: the prefix once per image, then rows (image, draw) in
/// micro-batches of a fixed shape, of which nothing remains but integers. An image's statistics
/// depend on its pixels, its id and its draws only: not on the other images, their order, the
/// threads or the micro-batch. Ranges of images or of draws can be sampled apart, anywhere, and
/// their statistics added up.
class Sampler {
 public:
  /// What a device keeps busy with and still holds in its fast memory.
  static std::int64_t default_micro_batch(const Device& device);

  /// The most rows of a micro-batch, and what a larger one is cut down to: those of a window of
  /// images, as far as their values at the noise layer stay small.
  static std::int64_t largest_micro_batch(const Device& device, const layers::Network& network);

  /// Prepares the network's weights, which lie in host memory or on the stream's device; later
  /// changes to the network are not seen. micro_batch 0: the default. Throws an Error for a
  /// precision or an algorithm that the device has not (precision_on, algorithm_on), and for int8
  /// without its scales. With a lattice (lattice_prefix.hpp) the noise is on it.
  Sampler(const Stream& stream, const layers::Network& network, std::int64_t micro_batch = 0,
          const BodyPrecision& precision = {},
          std::shared_ptr<const LatticePrefix> lattice = nullptr);

  /// Samples images 0 ... images-1. Memory does not grow with the number of images or draws.
  /// Exceptions of the source and the consumer pass through.
  void run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
           const StatisticsConsumer& consume);

  int classes() const { return classes_; }
  /// Rows of a run that keep the device busy: fewer leave threads idle, or take longer to begin
  /// than to do.
  std::uint64_t rows_at_once() const { return rows_at_once_; }
  /// What it evaluates after the noise.
  const BodyFunction& function() const { return function_; }

 private:
  int classes_;
  std::uint64_t rows_at_once_;
  BodyFunction function_;
  std::unique_ptr<SamplingLoop> loop_;
};

}  // namespace pixeldp
