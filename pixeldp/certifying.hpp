#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/device.hpp"
#include "pixeldp/certificate_log.hpp"
#include "pixeldp/sampling.hpp"

namespace pixeldp {

/// Certificates by a device's kernel, of counts that lie anywhere.
class DeviceBounds {
 public:
  /// On a device that is no processor. For the thread that made it.
  DeviceBounds(const Device& device, const Calibration& calibration,
               const CertificateOptions& options);
  ~DeviceBounds();

  /// Of images of so many classes each, all with a selected label or none.
  std::vector<kernels::BoundedPrediction> certify(std::span<const SampledImage> images);

 private:
  class Arrays;

  Stream stream_;
  Calibration calibration_;
  CertificateOptions options_;
  std::unique_ptr<Arrays> arrays_;  // for some images, replaced when there are more
};

/// Samples images until the header's stopping rule has enough of each: by `sample` where their
/// number is fixed, else by `sample_to_looks`, which both say more.
void sample_until_stopped(const CertificateLogHeader& header, Sampler& sampler,
                          const Dataset& dataset, std::span<const std::int64_t> images,
                          const SamplingOptions& options,
                          const std::function<void(SampledImage)>& take);

/// Makes the records of a log: a pure function of what was measured and the log's header. Where the
/// device is no processor, the device makes every certificate of two bounds as well, and must
/// agree: that is part of the proof that it computes right. The processor's is the one recorded,
/// for it is the same on every machine.
class Certifier {
 public:
  Certifier(const CertificateLogHeader& header, const Device& device);

  /// Gives each record to `take`. Throws an Error where the device disagrees; the records of the
  /// images before were given.
  void certify(std::span<const SampledImage> images,
               const std::function<void(CertificateRecord)>& take);

 private:
  Calibration calibration_;
  CertificateOptions options_;
  std::unique_ptr<DeviceBounds> device_;
};

}  // namespace pixeldp
