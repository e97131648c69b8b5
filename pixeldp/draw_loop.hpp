#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/device.hpp"
#include "kernels/bounds.hpp"
#include "kernels/device_plan.hpp"
#include "pixeldp/precision.hpp"
#include "pixeldp/score_statistics.hpp"

namespace pixeldp {

/// Which draws of each image to evaluate.
struct DrawPlan {
  std::uint64_t seed = 0;
  StreamTag tag = StreamTag::estimation;
  std::uint32_t first_draw = 0;
  std::uint32_t draws = 1;
  /// Ends the run soon after interrupted() turns true: between two micro-batches, or windows on a
  /// device. The consumer is not told; who asks for it looks at interrupted() afterwards.
  bool interruptible = false;

  /// For devices other than a processor, which can make the certificates where the statistics are:
  /// if its `images` is not 0, `bounded` is called with that of each image before the consumer is.
  kernels::BoundsParams bounds = {};
  std::span<const std::int64_t> selected = {};  ///< by image index: as CountedDraws; may be empty
  std::function<void(std::int64_t index, const kernels::BoundedPrediction& certificate)> bounded =
      {};
};

/// Writes the pixels [H, W, C] of image `index` of this run and returns the id that addresses its
/// noise. May be called from several threads.
using ImageSource = std::function<std::uint32_t(std::int64_t index, float* pixels)>;

/// Takes the statistics of image `index`; called in the order of the indices, one at a time, as
/// soon as an image and all before it are done. Returning false ends the run.
using StatisticsConsumer =
    std::function<bool(std::int64_t index, const ScoreStatistics& statistics)>;

/// How one kind of device evaluates many draws of many images: the loop behind MultiDrawPredictor,
/// which see. Images come in windows; the rows (image, draw) of a window in micro-batches, row r
/// being draw r % draws of image r / draws.
class DrawLoop {
 public:
  virtual ~DrawLoop() = default;
  virtual void run(std::int64_t images, const DrawPlan& plan, const ImageSource& source,
                   const StatisticsConsumer& consume) const = 0;
};

/// On the processor: threads share out the micro-batches, which are smaller where there are too few
/// rows for all threads. Throws an Error for int8 without its scales.
std::unique_ptr<DrawLoop> make_host_draw_loop(const kernels::NetworkPlan& network,
                                              std::int64_t micro_batch,
                                              const BodyPrecision& precision);

/// On the stream's device: one graph for each window.
std::unique_ptr<DrawLoop> make_device_draw_loop(const Stream& stream,
                                                const kernels::NetworkPlan& network,
                                                std::int64_t micro_batch,
                                                kernels::Fusion fusion = kernels::Fusion::allowed);

// ---- What both loops share

/// Images whose prefixes are in memory at a time: enough rows to keep the device busy until the
/// window's end, few enough prefixes (of so many floats) to stay small.
std::int64_t window_images(std::int64_t noise_size, std::uint32_t draws);

/// Describes rows first ... of a window of `count` images with these ids, `rows` in all; slots are
/// what draw_statistics takes. Past the window's end the last row is repeated and counts nowhere,
/// so that the shape of a micro-batch never changes.
void describe_rows(const DrawPlan& plan, std::span<const std::uint32_t> ids, std::int64_t count,
                   std::int64_t first, std::span<kernels::NoiseRow> rows,
                   std::span<std::int64_t> slots);

/// What has been counted for image `image` of arrays [images, classes].
ScoreStatistics statistics_of(std::int64_t image, std::int64_t classes, std::uint32_t draws,
                              const std::vector<std::uint64_t>& votes,
                              const std::vector<std::uint64_t>& sums,
                              const std::vector<std::uint64_t>& squares);

}  // namespace pixeldp
