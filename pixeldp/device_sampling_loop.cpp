#include <algorithm>
#include <deque>

#include "engine/captured_graph.hpp"
#include "engine/event.hpp"
#include "engine/interrupt.hpp"
#include "engine/threads.hpp"
#include "pixeldp/device_rows.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/sampling_window.hpp"

namespace pixeldp {
namespace {

class DeviceSamplingLoop : public SamplingLoop {
 public:
  DeviceSamplingLoop(const Stream& stream, const kernels::NetworkPlan& network,
                     std::int64_t micro_batch, const BodyPrecision& precision,
                     kernels::Fusion fusion, WindowRows rows,
                     std::shared_ptr<const LatticePrefix> lattice)
      : network_(stream, network, micro_batch, precision, fusion, std::move(lattice)),
        copies_(stream.device()),
        rows_(rows) {}

  void run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
           const StatisticsConsumer& consume) override;

 private:
  class Window;

  void run_in_parts(std::int64_t images, const DrawRange& draws, const ImageSource& source,
                    const StatisticsConsumer& consume);

  DeviceNetwork network_;  // whose stream calculates
  Stream copies_;          // goes ahead of it with the next window's images
  WindowRows rows_;
};

/// The memory of a window of images, and the graph that goes from their pixels to their statistics.
class DeviceSamplingLoop::Window {
 public:
  Window(const DeviceNetwork& network, std::int64_t images, const DrawRange& draws)
      : network_(network),
        draws_(draws),
        images_(images),
        rows_(make_device_rows(network_, draws, images)),
        host_pixels_(device(), padded(images) * network.image_size),
        pixels_(device(), network.lattice ? 0 : padded(images) * network.image_size),
        host_steps_(network.lattice ? std::make_unique<PinnedBuffer<std::int32_t>>(
                                          device(), images * network.noise_size)
                                    : nullptr),
        steps_(device(), network.lattice ? images * network.noise_size : 0),
        prefixes_(device(), network.prefix ? padded(images) * network.noise_size : 0),
        totals_(device(), 3 * images * network.classes),
        host_totals_(device(), 3 * images * network.classes),
        graph_(network.stream, [this] {
          totals_.zero(network_.stream);
          rows_->draw(make_prefixes(),
                      {of_kind(totals_, 0), of_kind(totals_, 1), of_kind(totals_, 2)});
        }) {}
  /// The device may still be at it, where a run ended early; and freeing waits for what was begun
  /// after the last event.
  ~Window() {
    try {
      if (done_) done_->wait();
    } catch (...) {  // what failed has been told, or the run ends for another reason
    }
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  std::int64_t images() const { return images_; }

  /// Gives images first ... first + count - 1 of the run to the device.
  void start(const Stream& copies, const ImageSource& source, std::int64_t first,
             std::int64_t count) {
    first_ = first, count_ = count;
    std::vector<std::uint32_t> ids(static_cast<std::size_t>(images_));
    parallel_for(count, [&](std::int64_t image) {
      float* const pixels = host_pixels_.data() + image * network_.image_size;
      ids[static_cast<std::size_t>(image)] = source(first + image, pixels);
      if (network_.lattice)
        network_.lattice->run(pixels, host_steps_->data() + image * network_.noise_size);
    });
    if (network_.lattice)
      steps_.upload(copies, *host_steps_);
    else
      pixels_.upload(copies, host_pixels_);
    rows_->upload(copies, ids, count);
    Event(copies).hold(network_.stream);
    began_.emplace(network_.stream);
    graph_.launch();
    totals_.download(network_.stream, host_totals_);
    rows_->download();
    done_.emplace(network_.stream);
  }

  /// Waits for the device. Throws the Error of a draw with a score that is not finite.
  void finish() {
    done_->wait();
    rows_->check();
  }
  /// That the device took, once finished.
  double seconds() const { return done_->since(*began_); }

  /// Returns false when the consumer ends the run.
  bool give_to(const StatisticsConsumer& consume) const {
    const auto totals = host_totals_.values();
    const std::size_t kind = totals.size() / 3;
    for (std::int64_t image = 0; image < count_; ++image) {
      const ScoreStatistics statistics =
          statistics_of(image, network_.classes, draws_.count, totals.first(kind),
                        totals.subspan(kind, kind), totals.last(kind));
      if (!consume(first_ + image, statistics)) return false;
    }
    return true;
  }

 private:
  Device device() const { return network_.stream.device(); }
  static std::int64_t padded(std::int64_t images) {
    constexpr std::int64_t batch = DeviceNetwork::prefix_batch;
    return (images + batch - 1) / batch * batch;
  }
  std::uint64_t* of_kind(Buffer<std::uint64_t>& totals, std::int64_t kind) const {
    return totals.data() + kind * images_ * network_.classes;
  }

  /// Gives everything before the noise that is the device's to the stream; returns where the result
  /// will lie.
  DevicePrefixes make_prefixes() {
    if (network_.lattice) return {.steps = steps_.data()};
    if (!network_.prefix) return {.floats = pixels_.data()};
    for (std::int64_t image = 0; image < images_; image += DeviceNetwork::prefix_batch)
      network_.prefix->run(pixels_.data() + image * network_.image_size,
                           prefixes_.data() + image * network_.noise_size);
    return {.floats = prefixes_.data()};
  }

  const DeviceNetwork& network_;
  DrawRange draws_;
  std::int64_t images_, first_ = 0, count_ = 0;
  std::unique_ptr<DeviceRows> rows_;
  PinnedBuffer<float> host_pixels_;
  Buffer<float> pixels_;
  std::unique_ptr<PinnedBuffer<std::int32_t>> host_steps_;  // null: no lattice
  Buffer<std::int32_t> steps_;
  Buffer<float> prefixes_;
  Buffer<std::uint64_t> totals_;  // votes, sums and squares, each [images, classes]
  PinnedBuffer<std::uint64_t> host_totals_;
  CapturedGraph graph_;
  std::optional<Event> began_, done_;
};

void DeviceSamplingLoop::run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
                             const StatisticsConsumer& consume) {
  if (draws.histogram) return run_draw_by_draw(*this, images, draws, source, consume);
  if (draws.count > rows_.most) return run_in_parts(images, draws, source, consume);
  const WindowSize sizes(std::max(network_.image_size, network_.noise_size), draws.count, rows_);
  std::int64_t size = std::min(sizes.first(), images), next = 0;
  std::unique_ptr<Window> idle;
  std::deque<std::unique_ptr<Window>> at_work;
  for (;;) {
    try {
      while (at_work.size() < 2 && next < images && !(draws.interruptible && interrupted())) {
        if (2 * (images - next) < size) size = images - next;  // or most of the rows were padding
        if (!idle || idle->images() != size) {
          idle.reset();
          idle = std::make_unique<Window>(network_, size, draws);
        }
        const std::int64_t count = std::min(size, images - next);
        idle->start(copies_, source, next, count);
        next += count;
        at_work.push_back(std::move(idle));
      }
    } catch (...) {  // what was begun before is none the worse
      for (const auto& window : at_work) {
        window->finish();
        if (!window->give_to(consume)) break;
      }
      throw;
    }
    if (at_work.empty()) return;
    idle = std::move(at_work.front());
    at_work.pop_front();
    idle->finish();
    size = std::max(size, std::min(sizes.next(idle->images(), idle->seconds()), images - next));
    if (!idle->give_to(consume)) return;
  }
}

/// One image after the other, its draws a window's rows at a time, so that memory does not grow.
void DeviceSamplingLoop::run_in_parts(std::int64_t images, const DrawRange& draws,
                                      const ImageSource& source,
                                      const StatisticsConsumer& consume) {
  for (std::int64_t image = 0; image < images; ++image) {
    ScoreStatistics all;
    for (std::uint32_t done = 0; done < draws.count;) {
      DrawRange part = draws;
      part.first += done;
      part.count = std::min(draws.count - done, static_cast<std::uint32_t>(rows_.most));
      const std::uint64_t before = all.draws;
      run(
          1, part, [&](std::int64_t, float* pixels) { return source(image, pixels); },
          [&](std::int64_t, const ScoreStatistics& statistics) {
            all += statistics;
            return true;
          });
      if (all.draws == before) return;  // interrupted
      done += part.count;
    }
    if (!consume(image, all)) return;
  }
}

}  // namespace

std::unique_ptr<SamplingLoop> make_device_sampling_loop(
    const Stream& stream, const kernels::NetworkPlan& network, std::int64_t micro_batch,
    const BodyPrecision& precision, kernels::Fusion fusion, WindowRows rows,
    std::shared_ptr<const LatticePrefix> lattice) {
  return std::make_unique<DeviceSamplingLoop>(stream, network, micro_batch, precision, fusion, rows,
                                              std::move(lattice));
}

}  // namespace pixeldp
