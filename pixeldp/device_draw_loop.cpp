#include <algorithm>

#include "engine/graph.hpp"
#include "engine/interrupt.hpp"
#include "pixeldp/device_rows.hpp"

namespace pixeldp {
namespace {

class DeviceDrawLoop : public DrawLoop {
 public:
  DeviceDrawLoop(const Stream& stream, const kernels::NetworkPlan& network,
                 std::int64_t micro_batch, kernels::Fusion fusion)
      : network_(stream, network, micro_batch, fusion) {}

  void run(std::int64_t images, const DrawPlan& plan, const ImageSource& source,
           const StatisticsConsumer& consume) const override;

 private:
  class Window;

  // Used by one run at a time.
  mutable DeviceNetwork network_;
};

/// The memory of a window of images, which every window of a run uses in turn, and the graph that
/// goes from their pixels to their statistics and certificates.
class DeviceDrawLoop::Window {
 public:
  Window(DeviceNetwork& network, std::int64_t images, const DrawPlan& plan)
      : network_(network),
        plan_(plan),
        images_(images),
        rows_(make_device_rows(network_, plan, images)),
        host_pixels_(Shape{(images + DeviceNetwork::prefix_batch - 1) /
                               DeviceNetwork::prefix_batch * DeviceNetwork::prefix_batch,
                           network_.image_size}),
        pixels_(host_pixels_.shape(), stream().device()),
        prefixes_(Shape{host_pixels_.rows(), network_.noise_size}, stream().device()),
        draws_(stream().device(), images),
        bad_image_(stream().device(), 1),
        selected_(stream().device(), images),
        certificates_(stream().device(), images),
        host_certificates_(static_cast<std::size_t>(images)) {
    const Device device = stream().device();
    for (std::size_t kind = 0; kind < 3; ++kind) {
      totals_[kind] = Buffer<std::uint64_t>(device, images * network_.classes);
      host_totals_[kind].resize(static_cast<std::size_t>(images * network_.classes));
    }
    plan_.bounds.images = plan.bounds.images > 0 ? images : 0;
    graph_ = Graph(stream(), [this] {
      for (auto& totals : totals_) totals.zero(stream());
      rows_->draw(make_prefixes(), {totals_[0].data(), totals_[1].data(), totals_[2].data()});
      if (bounds_wanted()) bound();
    });
  }

  /// Images first ... first + count - 1 of the run.
  void evaluate(const ImageSource& source, std::int64_t first, std::int64_t count) {
    std::vector<std::uint32_t> ids(static_cast<std::size_t>(images_));
    for (std::int64_t image = 0; image < count; ++image)
      ids[static_cast<std::size_t>(image)] = source(first + image, host_pixels_.row(image));
    pixels_.copy_from(stream(), host_pixels_);
    rows_->upload(ids, count);
    if (bounds_wanted()) upload_bounds(first, count);

    graph_.launch();

    for (std::size_t kind = 0; kind < 3; ++kind)
      totals_[kind].download(stream(), host_totals_[kind]);
    rows_->check();
    if (bounds_wanted()) download_bounds();
  }

  ScoreStatistics statistics(std::int64_t image) const {
    return statistics_of(image, network_.classes, plan_.draws, host_totals_[0], host_totals_[1],
                         host_totals_[2]);
  }

  const kernels::BoundedPrediction& certificate(std::int64_t image) const {
    return host_certificates_[static_cast<std::size_t>(image)];
  }

 private:
  const Stream& stream() const { return network_.stream; }
  bool bounds_wanted() const { return plan_.bounds.images > 0; }

  /// Gives everything before the noise to the stream; returns where the result will lie.
  const float* make_prefixes() {
    if (!network_.prefix) return pixels_.data();
    for (std::int64_t image = 0; image < images_; image += DeviceNetwork::prefix_batch)
      network_.prefix->run(pixels_.row(image), prefixes_.row(image));
    return prefixes_.data();
  }

  void upload_bounds(std::int64_t first, std::int64_t count) {
    std::vector<std::uint64_t> draws(static_cast<std::size_t>(images_));
    std::fill_n(draws.begin(), count, plan_.draws);  // what lies beyond is padding
    draws_.upload(stream(), draws);
    bad_image_.upload(stream(), {{kernels::no_bad_image}});
    if (!plan_.selected.empty())
      selected_.upload(stream(), plan_.selected.subspan(static_cast<std::size_t>(first),
                                                        static_cast<std::size_t>(count)));
  }

  /// Gives everything from the statistics to the certificates to the stream.
  void bound() {
    kernels::bound_predictions(stream(), plan_.bounds,
                               {.draws = draws_.data(),
                                .votes = totals_[0].data(),
                                .sums = totals_[1].data(),
                                .squares = totals_[2].data(),
                                .selected = plan_.selected.empty() ? nullptr : selected_.data()},
                               certificates_.data(), bad_image_.data());
  }

  void download_bounds() {
    certificates_.download(stream(), host_certificates_);
    std::uint64_t bad_image = kernels::no_bad_image;
    bad_image_.download(stream(), {&bad_image, 1});
    kernels::check_bad_image(bad_image, plan_.bounds);
  }

  DeviceNetwork& network_;
  DrawPlan plan_;
  std::int64_t images_;
  std::unique_ptr<DeviceRows> rows_;
  Tensor host_pixels_, pixels_, prefixes_;
  Buffer<std::uint64_t> totals_[3];  // votes, sums and squares
  std::vector<std::uint64_t> host_totals_[3];
  Buffer<std::uint64_t> draws_, bad_image_;
  Buffer<std::int64_t> selected_;
  Buffer<kernels::BoundedPrediction> certificates_;
  std::vector<kernels::BoundedPrediction> host_certificates_;
  Graph graph_;
};

void DeviceDrawLoop::run(std::int64_t images, const DrawPlan& plan, const ImageSource& source,
                         const StatisticsConsumer& consume) const {
  const std::int64_t per_window = std::min(window_images(network_.noise_size, plan.draws), images);
  Window window(network_, per_window, plan);
  for (std::int64_t first = 0; first < images; first += per_window) {
    if (plan.interruptible && interrupted()) return;
    const std::int64_t count = std::min(per_window, images - first);
    window.evaluate(source, first, count);
    for (std::int64_t image = 0; image < count; ++image) {
      if (plan.bounds.images > 0) plan.bounded(first + image, window.certificate(image));
      if (!consume(first + image, window.statistics(image))) return;
    }
  }
}

}  // namespace

std::unique_ptr<DrawLoop> make_device_draw_loop(const Stream& stream,
                                                const kernels::NetworkPlan& network,
                                                std::int64_t micro_batch, kernels::Fusion fusion) {
  return std::make_unique<DeviceDrawLoop>(stream, network, micro_batch, fusion);
}

}  // namespace pixeldp
