#include <algorithm>

#include "engine/buffer.hpp"
#include "engine/graph.hpp"
#include "kernels/draw_statistics.hpp"
#include "pixeldp/draw_loop.hpp"

namespace pixeldp {
namespace {

class DeviceDrawLoop : public DrawLoop {
 public:
  DeviceDrawLoop(const Stream& stream, const layers::Network& network, std::int64_t micro_batch)
      : stream_(stream),
        micro_batch_(micro_batch),
        classes_(network.classes()),
        head_width_(network.head->options().in),
        image_size_(network.input.row_size()),
        noise_size_(network.noise_shape(1).row_size()),
        noise_(network.noise),
        prefix_(stream, network.prefix, network.input.with_rows(prefix_batch),
                kernels::Precision::fp32),
        body_(stream, network.body, network.noise_shape(micro_batch), kernels::Precision::bf16),
        head_weight_(network.head->weight().value.to(stream, stream.device())),
        head_bias_(network.head->bias().value.to(stream, stream.device())) {}

  void run(std::int64_t images, const DrawPlan& plan, const ImageSource& source,
           const StatisticsConsumer& consume) const override;

 private:
  class Window;
  static constexpr std::int64_t prefix_batch = 16;  // images

  Stream stream_;
  std::int64_t micro_batch_, classes_, head_width_;
  std::int64_t image_size_, noise_size_;  // elements of an image, and of a row at the noise layer
  layers::Noise noise_;
  PreparedChain prefix_, body_;
  Tensor head_weight_, head_bias_;
};

/// The memory of a window of images, which every window of a run uses in turn, and the graph that
/// goes from their pixels to their statistics.
class DeviceDrawLoop::Window {
 public:
  Window(const DeviceDrawLoop& loop, std::int64_t images, const DrawPlan& plan)
      : loop_(loop),
        plan_(plan),
        images_(images),
        micro_batches_((images * plan.draws + loop.micro_batch_ - 1) / loop.micro_batch_),
        pixels_(Shape{(images + prefix_batch - 1) / prefix_batch * prefix_batch, loop.image_size_}),
        host_rows_(static_cast<std::size_t>(micro_batches_ * loop.micro_batch_)),
        host_slots_(host_rows_.size()),
        device_pixels_(pixels_.shape(), loop.stream_.device()),
        prefixes_(Shape{pixels_.rows(), loop.noise_size_}, loop.stream_.device()),
        rows_(loop.stream_.device(), std::ssize(host_rows_)),
        slots_(loop.stream_.device(), std::ssize(host_slots_)),
        bad_rows_(loop.stream_.device(), micro_batches_) {
    const Device device = loop.stream_.device();
    for (auto& sums : sums_) sums = Buffer<std::uint64_t>(device, images * loop.classes_);
    // Layers read one half and write the other.
    std::int64_t row_size = loop.noise_size_, image_size = loop.noise_size_;
    for (const std::int64_t size : loop.body_.sizes) row_size = std::max(row_size, size);
    for (const std::int64_t size : loop.prefix_.sizes) image_size = std::max(image_size, size);
    for (Tensor& half : halves_) {
      half =
          Tensor(Shape{std::max(loop.micro_batch_ * row_size, prefix_batch * image_size)}, device);
    }
    plan_.bounds.images = plan.bounds.images > 0 ? images : 0;
    for (auto& values : {&draws_, &bad_image_}) *values = Buffer<std::uint64_t>(device, images);
    selected_ = Buffer<std::int64_t>(device, images);
    certificates_ = Buffer<kernels::BoundedPrediction>(device, images);
    graph_ = Graph(loop.stream_, [this] {
      draw();
      if (plan_.bounds.images > 0) bound();
    });
  }

  /// Images first ... first + count - 1 of the run.
  void evaluate(const ImageSource& source, std::int64_t first, std::int64_t count) {
    std::vector<std::uint32_t> ids(static_cast<std::size_t>(images_));
    for (std::int64_t image = 0; image < count; ++image)
      ids[static_cast<std::size_t>(image)] = source(first + image, pixels_.row(image));
    describe_rows(plan_, ids, count, 0, host_rows_, host_slots_);
    const Stream& stream = loop_.stream_;
    device_pixels_.copy_from(stream, pixels_);
    rows_.upload(stream, host_rows_);
    slots_.upload(stream, host_slots_);
    const std::vector<std::uint64_t> zeros(static_cast<std::size_t>(images_ * loop_.classes_));
    for (auto& sums : sums_) sums.upload(stream, zeros);
    std::vector<std::uint64_t> bad_rows(static_cast<std::size_t>(micro_batches_),
                                        kernels::no_bad_row);
    bad_rows_.upload(stream, bad_rows);
    if (plan_.bounds.images > 0) prepare_bounds(first, count);

    graph_.launch();

    for (std::size_t kind = 0; kind < 3; ++kind) {
      host_sums_[kind].resize(zeros.size());
      sums_[kind].download(stream, host_sums_[kind]);
    }
    bad_rows_.download(stream, bad_rows);
    for (std::size_t i = 0; i < bad_rows.size(); ++i) {
      kernels::check_bad_row(
          bad_rows[i], statistics_params(),
          host_slots_.data() + static_cast<std::int64_t>(i) * loop_.micro_batch_);
    }
    if (plan_.bounds.images > 0) {
      host_certificates_.resize(static_cast<std::size_t>(images_));
      certificates_.download(stream, host_certificates_);
      std::uint64_t bad_image = kernels::no_bad_image;
      bad_image_.download(stream, {&bad_image, 1});
      kernels::check_bad_image(bad_image, plan_.bounds);
    }
  }

  ScoreStatistics statistics(std::int64_t image) const {
    return statistics_of(image, loop_.classes_, plan_.draws, host_sums_[0], host_sums_[1],
                         host_sums_[2]);
  }

  const kernels::BoundedPrediction& certificate(std::int64_t image) const {
    return host_certificates_[static_cast<std::size_t>(image)];
  }

 private:
  kernels::DrawStatisticsParams statistics_params() const {
    return {loop_.micro_batch_, loop_.head_width_, loop_.classes_};
  }

  /// Gives everything from the pixels to the statistics to the stream.
  void draw() {
    for (std::int64_t image = 0; image < images_; image += prefix_batch) {
      const float* x = device_pixels_.row(image);
      for (std::size_t i = 0; i < loop_.prefix_.layers.size(); ++i) {
        const bool last = i + 1 == loop_.prefix_.layers.size();
        float* const y = last ? prefixes_.row(image) : halves_[i % 2].data();
        loop_.prefix_.layers[i]->run(x, y);
        x = y;
      }
    }
    const float* const prefixes =
        loop_.prefix_.layers.empty() ? device_pixels_.data() : prefixes_.data();
    for (std::int64_t batch = 0; batch < micro_batches_; ++batch) {
      const std::int64_t first = batch * loop_.micro_batch_;
      loop_.noise_.forward(
          loop_.stream_,
          {.seed = plan_.seed,
           .tag = plan_.tag,
           .factor = 1.0f,
           .rows = {rows_.data() + first, static_cast<std::size_t>(loop_.micro_batch_)}},
          loop_.noise_size_, prefixes, halves_[0].data());
      const float* x = halves_[0].data();
      for (std::size_t i = 0; i < loop_.body_.layers.size(); ++i) {
        float* const y = halves_[(i + 1) % 2].data();
        loop_.body_.layers[i]->run(x, y);
        x = y;
      }
      kernels::draw_statistics(loop_.stream_, statistics_params(), x, loop_.head_weight_.data(),
                               loop_.head_bias_.data(), slots_.data() + first, sums_[0].data(),
                               sums_[1].data(), sums_[2].data(), bad_rows_.data() + batch);
    }
  }

  void prepare_bounds(std::int64_t first, std::int64_t count) {
    std::vector<std::uint64_t> draws(static_cast<std::size_t>(images_));
    std::fill_n(draws.begin(), count, plan_.draws);  // what lies beyond is padding
    draws_.upload(loop_.stream_, draws);
    bad_image_.upload(loop_.stream_, {{kernels::no_bad_image}});
    if (!plan_.selected.empty())
      selected_.upload(loop_.stream_, plan_.selected.subspan(static_cast<std::size_t>(first),
                                                             static_cast<std::size_t>(count)));
  }

  /// Gives everything from the statistics to the certificates to the stream.
  void bound() {
    kernels::bound_predictions(loop_.stream_, plan_.bounds,
                               {.draws = draws_.data(),
                                .votes = sums_[0].data(),
                                .sums = sums_[1].data(),
                                .squares = sums_[2].data(),
                                .selected = plan_.selected.empty() ? nullptr : selected_.data()},
                               certificates_.data(), bad_image_.data());
  }

  const DeviceDrawLoop& loop_;
  DrawPlan plan_;
  std::int64_t images_, micro_batches_;
  Tensor pixels_;  // in host memory, like the next two
  std::vector<kernels::NoiseRow> host_rows_;
  std::vector<std::int64_t> host_slots_;
  Tensor device_pixels_, prefixes_, halves_[2];
  Buffer<kernels::NoiseRow> rows_;
  Buffer<std::int64_t> slots_;
  Buffer<std::uint64_t> bad_rows_, sums_[3];  // votes, sums and squares
  Buffer<std::uint64_t> draws_, bad_image_;
  Buffer<std::int64_t> selected_;
  Buffer<kernels::BoundedPrediction> certificates_;
  std::vector<kernels::BoundedPrediction> host_certificates_;
  std::vector<std::uint64_t> host_sums_[3];
  Graph graph_;
};

void DeviceDrawLoop::run(std::int64_t images, const DrawPlan& plan, const ImageSource& source,
                         const StatisticsConsumer& consume) const {
  const std::int64_t per_window =
      std::min(window_images(micro_batch_, noise_size_, plan.draws), images);
  Window window(*this, per_window, plan);
  for (std::int64_t first = 0; first < images; first += per_window) {
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
                                                const layers::Network& network,
                                                std::int64_t micro_batch) {
  return std::make_unique<DeviceDrawLoop>(stream, network, micro_batch);
}

}  // namespace pixeldp
