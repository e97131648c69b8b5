#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
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

/// An attack log that is read only, its lines word for word.
struct AttackLogContents {
  struct Line {
    std::string text;
    std::size_t number = 0;  ///< in the file
    AttackRecord record;
  };
  std::string source = {};               ///< the file
  std::string header = {};               ///< its first line
  std::string dataset = {}, split = {};  ///< from it, and so are
  AttackOptions options = {};            ///< these, but for how predictions are certified
  std::vector<Line> lines = {};          ///< of the images, in the order of the file
  /// The number of a last line that was cut short, and left out.
  std::optional<std::size_t> cut = {};

  std::vector<AttackRecord> records() const;
};

/// Whether a file's first line is that of attacks on a classifier.
bool is_attack_log(const std::filesystem::path& path);

/// Throws an Error that names file and line for damage other than a last line cut short.
AttackLogContents read_attack_log(const std::filesystem::path& path);

struct MergedAttackLog {
  AttackLogContents log;     ///< in the order of the images
  std::size_t repeated = 0;  ///< lines left out because another part has the very same
};

/// One log of attacks on the images of several: what a single job would have written. Throws an
/// Error when the headers of two differ, with files, keys and values, and when two have different
/// lines for an image, with files and lines.
MergedAttackLog merge_attack_logs(std::span<const AttackLogContents> parts);

/// All or nothing. Throws an Error where the file is there already.
void write_attack_log(const std::filesystem::path& path, const AttackLogContents& log);

}  // namespace pixeldp
