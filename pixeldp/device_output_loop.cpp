#include <algorithm>

#include "engine/buffer.hpp"
#include "engine/interrupt.hpp"
#include "pixeldp/device_rows.hpp"
#include "pixeldp/sampling_window.hpp"

namespace pixeldp {
namespace {

/// The network up to its last layer on the device, the last layer on the processor: it has one
/// value, and what is counted of it no kernel makes.
class DeviceOutputLoop : public OutputSamplingLoop {
 public:
  DeviceOutputLoop(const Stream& stream, const kernels::NetworkPlan& network,
                   const kernels::RealOutput& output, std::int64_t micro_batch,
                   const BodyPrecision& precision)
      : stream_(stream),
        output_(output),
        micro_batch_(micro_batch),
        image_size_(network.image_size()),
        width_(network.features()),
        noise_(network.noise(0, StreamTag::estimation)),
        head_weight_(network.head_weight),
        head_bias_(network.head_bias),
        pixels_(stream.device(), at_once * image_size_),
        prefixes_(stream.device(), at_once * network.noise_size()),
        rows_(stream.device(), micro_batch),
        features_(stream.device(), micro_batch * width_),
        host_features_(static_cast<std::size_t>(micro_batch * width_)) {
    using kernels::DeviceSchedule, kernels::Precision;
    if (!network.prefix.steps.empty())
      prefix_ = prepare_device_plan(stream, network.prefix,
                                    DeviceSchedule::make(network.prefix, at_once, Precision::fp32));
    body_ = prepare_device_body(stream, network, micro_batch, precision, kernels::Fusion::allowed);
  }

  void run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
           const Consumer& consume) override {
    std::vector<float> pixels(static_cast<std::size_t>(at_once * image_size_), 0.0f);
    std::vector<std::uint32_t> ids(static_cast<std::size_t>(at_once));
    for (std::int64_t first = 0; first < images; first += at_once) {
      const std::int64_t count = std::min(at_once, images - first);
      for (std::int64_t i = 0; i < count; ++i)
        ids[static_cast<std::size_t>(i)] = source(first + i, pixels.data() + i * image_size_);
      pixels_.upload(stream_, pixels);
      if (prefix_) prefix_->run(pixels_.data(), prefixes_.data());
      const auto totals = draw(draws, ids, count);
      if (std::ssize(totals) < count) return;  // interrupted
      for (std::int64_t i = 0; i < count; ++i)
        if (!consume(first + i, {draws.count, totals[static_cast<std::size_t>(i)]})) return;
    }
  }

 private:
  static constexpr std::int64_t at_once = 16;  ///< images whose prefixes are made together

  /// What the draws of the images at hand add up to; nothing where the run was interrupted.
  std::vector<kernels::OutputTotals> draw(const DrawRange& draws,
                                          std::span<const std::uint32_t> ids, std::int64_t count) {
    std::vector<kernels::OutputTotals> totals(static_cast<std::size_t>(count));
    std::vector<kernels::NoiseRow> rows(static_cast<std::size_t>(micro_batch_));
    std::vector<std::int64_t> slots(rows.size());
    const kernels::NoiseParams noise = noise_for(noise_, draws);
    for (std::int64_t row = 0; row < count * draws.count; row += micro_batch_) {
      if (draws.interruptible && interrupted()) return {};
      describe_rows(draws, ids, count, row, rows, slots);
      rows_.upload(stream_, rows);
      body_->run({noise, rows_.data()}, prefix_ ? prefixes_.data() : pixels_.data(),
                 features_.data());
      features_.download(stream_, host_features_);
      kernels::output_statistics(Stream(), {micro_batch_, width_, output_}, host_features_.data(),
                                 head_weight_.data(), head_bias_.data(), slots.data(),
                                 totals.data());
    }
    return totals;
  }

  Stream stream_;
  kernels::RealOutput output_;
  std::int64_t micro_batch_, image_size_, width_;
  kernels::NoiseParams noise_;  // but for seed and tag
  std::vector<float> head_weight_, head_bias_;
  std::unique_ptr<kernels::DevicePlan> prefix_;  // null: the image itself
  std::unique_ptr<kernels::DevicePlan> body_;
  Buffer<float> pixels_, prefixes_;
  Buffer<kernels::NoiseRow> rows_;
  Buffer<float> features_;
  std::vector<float> host_features_;
};

}  // namespace

std::unique_ptr<OutputSamplingLoop> make_device_sampling_loop(const Stream& stream,
                                                              const kernels::NetworkPlan& network,
                                                              const kernels::RealOutput& output,
                                                              std::int64_t micro_batch,
                                                              const BodyPrecision& precision) {
  return std::make_unique<DeviceOutputLoop>(stream, network, output, micro_batch, precision);
}

}  // namespace pixeldp
