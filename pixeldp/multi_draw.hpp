#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/device.hpp"
#include "layers/network.hpp"
#include "pixeldp/score_statistics.hpp"

namespace pixeldp {

/// Which draws of each image to evaluate.
struct DrawPlan {
  std::uint64_t seed = 0;
  StreamTag tag = StreamTag::estimation;
  std::uint32_t first_draw = 0;
  std::uint32_t draws = 1;
};

/// Evaluates many noise draws of many images: the prefix once per image, then rows (image, draw) in
/// micro-batches of a fixed shape, of which nothing remains but integers. An image's statistics
/// depend on its pixels, its id and the plan only: not on the other images, their order, the
/// threads or the micro-batch.
class MultiDrawPredictor {
 public:
  static constexpr std::int64_t default_micro_batch = 64;

  /// Prepares the network's weights; later changes to the network are not seen.
  MultiDrawPredictor(const Stream& stream, const layers::Network& network,
                     std::int64_t micro_batch = default_micro_batch);

  /// Writes the pixels [H, W, C] of image `index` of this run and returns the id that addresses its
  /// noise. Called from several threads.
  using ImageSource = std::function<std::uint32_t(std::int64_t index, float* pixels)>;
  /// Takes the statistics of image `index`; called in the order of the indices, one at a time, as
  /// soon as an image and all before it are done. Returning false ends the run.
  using Consumer = std::function<bool(std::int64_t index, const ScoreStatistics& statistics)>;

  /// Evaluates images 0 ... images-1. Memory does not grow with the number of images or draws.
  /// Exceptions of the source and the consumer pass through.
  void run(std::int64_t images, const DrawPlan& plan, const ImageSource& source,
           const Consumer& consume) const;

  int classes() const { return static_cast<int>(classes_); }

 private:
  struct Window;
  class Worker;
  std::int64_t window_images(std::uint32_t draws) const;

  Stream stream_;
  std::int64_t micro_batch_, classes_, head_width_;
  std::int64_t image_size_,
      noise_size_;  // elements of one image, and of one row at the noise layer
  layers::Noise noise_;
  std::vector<std::unique_ptr<kernels::Prepared>> prefix_, body_;
  std::vector<std::int64_t> prefix_sizes_, body_sizes_;  // elements of one output row of each layer
  Tensor head_weight_, head_bias_;
};

}  // namespace pixeldp
