#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pixeldp/attacks/attacked_model.hpp"
#include "pixeldp/attacks/image_log.hpp"
#include "pixeldp/precision.hpp"

namespace pixeldp {

/// First line of an attack log: all that the lines after it depend on.
struct AttackLogHeader {
  static constexpr int format_version = 1;

  std::string model_sha256, dataset, dataset_sha256, split;
  Calibration calibration;  ///< the noise of the model
  bool noise_at_certification = false;
  BodyFunction function;  ///< what was judged
  AttackOptions options;
  /// Of the certificate log that attacks are held against; empty: none.
  std::string certificates_sha256;
};

/// What an attack made of an image.
struct AttackRecord {
  std::int64_t image = 0;
  int label = -1;
  std::optional<int> target = {};               ///< of an attack towards a label
  std::optional<double> size = {};              ///< how far pictures could be
  std::vector<std::uint64_t> clean_votes = {};  ///< the judge's, on the image itself
  std::vector<std::uint64_t> votes = {};        ///< and on the picture of a success
  std::optional<double> distance = {};  ///< of that picture, in the norm of the attack; success
  std::int64_t restart = -1;            ///< which found it; -1: it is the image itself
  /// Of an attack on certified predictions: the nearest picture of each Outcome, as far as the
  /// attack looked.
  std::array<std::optional<double>, outcomes> nearest = {};

  int clean_prediction() const;
  bool clean_right() const { return clean_prediction() == label; }
  /// Whether a picture succeeded that is no farther than this.
  bool succeeds_within(double far) const { return distance && *distance <= far; }
};

/// The log of attacks on a classifier (ImageLog).
class AttackLog {
 public:
  AttackLog(std::filesystem::path path, const AttackLogHeader& header, bool resume);

  const std::map<std::int64_t, AttackRecord>& records() const { return records_; }  ///< by image
  void append(AttackRecord record);

 private:
  std::map<std::int64_t, AttackRecord> records_;
  ImageLog log_;
};

}  // namespace pixeldp
