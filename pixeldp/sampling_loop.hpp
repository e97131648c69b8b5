#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/device_plan.hpp"
#include "pixeldp/precision.hpp"
#include "pixeldp/regression/output_statistics.hpp"
#include "pixeldp/score_statistics.hpp"

namespace pixeldp {

/// Draws first ... first + count - 1 of an image.
struct DrawRange {
  std::uint64_t seed = 0;
  StreamTag tag = StreamTag::estimation;
  std::uint32_t first = 0;
  std::uint32_t count = 1;
  /// Ends the run soon after interrupted() turns true. The consumer is not told; who asks for it
  /// looks at interrupted() afterwards.
  bool interruptible = false;
  bool histogram = false;  ///< whether scores are counted against thresholds, too
};

/// Writes the pixels [H, W, C] of image `index` of this run and returns the id that addresses its
/// noise. May be called from several threads.
using ImageSource = std::function<std::uint32_t(std::int64_t index, float* pixels)>;

/// How one kind of device samples: the loop behind Sampler, which see. Images come in windows; the
/// rows (image, draw) of a window in micro-batches, row r being draw r % draws.count of image
/// r / draws.count.
template <class Statistics>
class SamplingLoopOf {
 public:
  /// Takes the statistics of image `index`; called in the order of the indices, one at a time, as
  /// soon as an image and all before it are done. Returning false ends the run.
  using Consumer = std::function<bool(std::int64_t index, const Statistics& statistics)>;

  virtual ~SamplingLoopOf() = default;
  virtual void run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
                   const Consumer& consume) = 0;
};

class LatticePrefix;

using SamplingLoop = SamplingLoopOf<ScoreStatistics>;
using StatisticsConsumer = SamplingLoop::Consumer;
/// Of a regression network, whose outputs are counted instead.
using OutputSamplingLoop = SamplingLoopOf<OutputStatistics>;

/// On the processor: threads share out the micro-batches, which are smaller where there are too few
/// rows for all threads. With a lattice, what lies before the noise and the noise itself are whole
/// numbers. Throws an Error for int8 without its scales.
std::unique_ptr<SamplingLoop> make_host_sampling_loop(
    const kernels::NetworkPlan& network, std::int64_t micro_batch, const BodyPrecision& precision,
    std::shared_ptr<const LatticePrefix> lattice = nullptr);
std::unique_ptr<OutputSamplingLoop> make_host_sampling_loop(const kernels::NetworkPlan& network,
                                                            const kernels::RealOutput& output,
                                                            std::int64_t micro_batch,
                                                            const BodyPrecision& precision);

/// Rows of a window on a device: of the first one, and of the largest, which takes about so many
/// seconds where that is less.
struct WindowRows {
  std::int64_t first = 8192, most = std::int64_t{1} << 20;
  double seconds = 1.0;
};

/// On the stream's device: one graph for each window, and two windows at a time, so that the device
/// goes on while the host reads images and takes statistics. With a lattice the processor makes
/// what lies before the noise. Throws the Errors of DeviceNetwork.
std::unique_ptr<SamplingLoop> make_device_sampling_loop(
    const Stream& stream, const kernels::NetworkPlan& network, std::int64_t micro_batch,
    const BodyPrecision& precision = {}, kernels::Fusion fusion = kernels::Fusion::allowed,
    WindowRows rows = {}, std::shared_ptr<const LatticePrefix> lattice = nullptr);
/// Of a regression network, whose last layer and counts are made on the processor.
std::unique_ptr<OutputSamplingLoop> make_device_sampling_loop(const Stream& stream,
                                                              const kernels::NetworkPlan& network,
                                                              const kernels::RealOutput& output,
                                                              std::int64_t micro_batch,
                                                              const BodyPrecision& precision);

}  // namespace pixeldp
