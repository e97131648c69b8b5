#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/device.hpp"
#include "engine/io/dataset.hpp"
#include "pixeldp/certificate_log.hpp"
#include "pixeldp/model.hpp"

namespace pixeldp {

/// Images first, first + step, first + 2 step ... below last.
struct ImageRange {
  std::int64_t first = 0, last = 0, step = 1;

  std::int64_t count() const { return first < last ? (last - first - 1) / step + 1 : 0; }
  /// By its place among them, from 0 to count() - 1.
  std::int64_t operator[](std::int64_t place) const { return first + place * step; }
};

struct CertificationOptions {
  Device device{};
  CertificateOptions certificate;
  /// Of the layers between the noise and the last; none: the device's own (precision_on).
  std::optional<kernels::Precision> precision = {};
  std::optional<kernels::Algorithm> algorithm = {};  ///< of their products (algorithm_on)
  std::uint32_t draws = 300;                         ///< estimation draws per image
  std::uint32_t selection_draws =
      0;  ///< draws that choose the label; 0: the estimation draws choose it
  std::uint64_t seed = 1;
  /// Rows evaluated at a time; 0: the device's default. Cut down, with a word on standard error, to
  /// what there is to evaluate and the device takes at once.
  std::int64_t micro_batch = 0;
  ImageRange images = {};  ///< of the split
  bool resume = false;     ///< continue the log if there is one
};

struct CertificationSummary {
  CertificateLogHeader header;
  std::vector<CertificateRecord> records;  ///< of the images asked for, in their order
  std::uint64_t new_draws = 0;             ///< evaluated in this run
  double seconds = 0.0;                    ///< spent on them
};

/// Certifies images of a data set and appends each certificate to the log at `path` as soon as it
/// is known. The header's sensitivity is the one used (check_certifiable). A model without noise is
/// evaluated with one draw, and every radius is 0. Throws an Error when the model cannot be
/// certified (check_certifiable) or the images do not fit it, and an Interruption when the process
/// is interrupted before the last image; what the log holds by then stays valid, and `resume` goes
/// on from there.
CertificationSummary certify_dataset(const Model& model, const std::string& model_sha256,
                                     const Dataset& dataset, const CertificationOptions& options,
                                     const std::filesystem::path& path);

}  // namespace pixeldp
