#include "pixeldp/certifying.hpp"

#include "engine/error.hpp"

namespace pixeldp {
namespace {

/// Both of real numbers: what is charged for the processor's own noise is the host's alone.
void check_agreement(std::int64_t image, const Certificate& mine,
                     const kernels::BoundedPrediction& devices, const Calibration& calibration,
                     CertificateKind kind) {
  // The kernel's last digits; the grid's search may besides stop a step early.
  const double least = kind == CertificateKind::pixeldp_grid
                           ? 0.0
                           : mine.radius - 1e-6 * calibration.noise_scale / calibration.sensitivity;
  if (devices.prediction == mine.prediction && devices.radius <= mine.radius &&
      devices.radius >= least)
    return;
  fail(
      "image {}: the device certifies label {} within {}, the processor label {} within {}; one of "
      "them computes wrong, and nothing of this image was recorded",
      image, devices.prediction, devices.radius, mine.prediction, mine.radius);
}

}  // namespace

void sample_until_stopped(const CertificateLogHeader& header, Sampler& sampler,
                          const Dataset& dataset, std::span<const std::int64_t> images,
                          const SamplingOptions& options,
                          const std::function<void(SampledImage)>& take) {
  const Stopping& stopping = header.stopping;
  if (stopping.rule == StoppingRule::fixed) return sample(sampler, dataset, images, options, take);
  sample_to_looks(
      sampler, dataset, images, options, stopping.looks,
      [&](const SampledImage& image) {
        return has_enough(stopping, image.statistics, image.selected.value(), header.calibration);
      },
      take);
}

Certifier::Certifier(const CertificateLogHeader& header, const Device& device)
    : calibration_(header.calibration), options_(header.options) {
  const bool noisy = calibration_.mechanism != Mechanism::none;
  if (noisy && device.kind != DeviceKind::cpu && options_.top == 1 &&
      options_.kind != CertificateKind::cdf)
    device_ = std::make_unique<DeviceBounds>(device, calibration_, options_);
}

void Certifier::certify(std::span<const SampledImage> images,
                        const std::function<void(CertificateRecord)>& take) {
  std::vector<kernels::BoundedPrediction> devices;
  if (device_) devices = device_->certify(images);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const SampledImage& sampled = images[i];
    CertificateRecord record{.image = sampled.image,
                             .label = sampled.label,
                             .selection_draws = sampled.selection_draws,
                             .statistics = sampled.statistics};
    if (calibration_.mechanism == Mechanism::none) {
      record.prediction = record.statistics.top_label(options_.scores);
    } else {
      const Certificate certificate =
          pixeldp::certify(record.statistics, calibration_, options_, sampled.selected);
      if (device_)
        check_agreement(record.image,
                        pixeldp::certify(record.statistics, uncharged(calibration_), options_,
                                         sampled.selected),
                        devices[i], calibration_, options_.kind);
      record.prediction = certificate.prediction;
      record.radius = certificate.radius;
    }
    take(std::move(record));
  }
}

}  // namespace pixeldp
