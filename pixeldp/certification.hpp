#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/communicator.hpp"
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
  /// Every `count`-th of them from the `index`-th on: one of `count` equal shares, which together
  /// are all. Throws a usage Error unless 0 <= index < count.
  ImageRange shard(int index, int count) const;
};

/// Throws a usage Error unless these are images of the data set, at least one.
void check_images(const Dataset& dataset, const ImageRange& images);

struct CertificationOptions {
  Device device{};
  CertificateOptions certificate = {};  ///< with the alpha of its look
  bool histogram = false;               ///< whether the log holds the scores' histograms as well
  /// What alpha is reserved for, the certificate's own look among it; empty: for that alone.
  AlphaLedger ledger = {};
  /// Of the layers between the noise and the last; none: the device's own (precision_on).
  std::optional<kernels::Precision> precision = {};
  std::optional<kernels::Algorithm> algorithm = {};  ///< of their products (algorithm_on)
  std::uint32_t draws = 300;  ///< estimation draws per image, at most where a rule stops them
  /// When an image has enough draws. Rules other than a fixed number take Bound::anytime and
  /// selection draws.
  Stopping stopping = {};
  std::uint32_t selection_draws =
      0;  ///< draws that choose the label; 0: the estimation draws choose it
  std::uint64_t seed = 1;
  /// Rows evaluated at a time; 0: the device's default. Cut down, with a word on standard error, to
  /// what there is to evaluate and the device takes at once.
  std::int64_t micro_batch = 0;
  ImageRange images = {};  ///< of the split
  bool resume = false;     ///< continue the log if there is one
  /// Noise on a lattice, after whole numbers (lattice_prefix.hpp).
  bool sound = false;
  /// Whether noise in floats is charged for (float_noise.hpp). Logs that were begun without stay
  /// so.
  bool charged = true;
  /// Of this process and others like it, which share the images out.
  Communicator* ranks = &Communicator::alone();
};

struct CertificationSummary {
  CertificateLogHeader header;
  /// Of the images asked for, in their order; at rank 0.
  std::vector<CertificateRecord> records;
  std::uint64_t new_draws = 0;  ///< evaluated in this run, by all ranks
  double seconds = 0.0;         ///< spent on them
};

/// What the certificates rest on, with what they are charged. Throws an Error when the model cannot
/// be certified (check_certifiable, on_lattice).
Calibration certifying_calibration(const Model& model, const CertificationOptions& options);

/// The header of the log that certify_dataset writes. Throws an Error when the model cannot be
/// certified (check_certifiable) or the images do not fit it.
CertificateLogHeader certification_header(const Model& model, const std::string& model_sha256,
                                          const Dataset& dataset,
                                          const CertificationOptions& options);

/// Certifies images of a data set and appends each certificate to the log at `path` as soon as it
/// is known, so that a kill loses little; at the end the log is in the order of the images. The
/// header's sensitivity is the one used (check_certifiable). A model without noise is evaluated
/// with one draw, and every radius is 0. Throws an Error when the model cannot be certified
/// (check_certifiable) or the images do not fit it, and an Interruption when the process is
/// interrupted before the last image; what the log holds by then stays valid, and `resume` goes on
/// from there. Images that another log of parts holds already (log_parts.hpp) are taken from there.
///
/// Several ranks write a part each, of the images they claim, which rank 0 collects in the end: the
/// log is the very same whatever their number. Where one is interrupted, all stop.
CertificationSummary certify_dataset(const Model& model, const std::string& model_sha256,
                                     const Dataset& dataset, const CertificationOptions& options,
                                     const std::filesystem::path& path);

/// Makes so many more draws of each image of the finished log at `path`, which the model must have
/// made, and replaces it by the log of all draws; until it is done, the new one grows beside it, as
/// PATH.extended. Of the options, the device, precision, micro-batch and `resume` count. Throws an
/// Error, besides those of certify_dataset, unless the log's ledger reserved alpha for a look at
/// that number of draws: who has seen counts and then wants more would stop when luck has it.
CertificationSummary extend_certification(const Model& model, const std::string& model_sha256,
                                          const Dataset& dataset,
                                          const CertificationOptions& options,
                                          std::uint32_t more_draws,
                                          const std::filesystem::path& path);

}  // namespace pixeldp
