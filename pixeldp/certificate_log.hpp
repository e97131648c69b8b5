#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/io/append_file.hpp"
#include "pixeldp/alpha_ledger.hpp"
#include "pixeldp/log_chain.hpp"
#include "pixeldp/precision.hpp"
#include "pixeldp/stopping.hpp"

namespace pixeldp {

// docs/certificate_log.md specifies the file.

/// Where the counts of a log come from: this program's draws, a log of format 1, the original
/// program's eval_data.json, a tab-separated log of randomised smoothing.
enum class CountSource { draws, format_1, eval_data, smoothing_log };
inline constexpr CountSource count_sources[] = {CountSource::draws, CountSource::format_1,
                                                CountSource::eval_data, CountSource::smoothing_log};

/// "draws", "format-1", "eval-data", "smoothing-log".
std::string_view name(CountSource source);
/// Whether another program drew them: then nothing is known of model, data, function and seed.
bool is_foreign(CountSource source);

/// What the lines of a log hold of each image's draws.
struct KeptStatistics {
  bool votes = true;
  bool sums = true;  ///< with the squares
  bool histogram = false;

  bool hold(ScoreType scores) const;
  bool operator==(const KeptStatistics&) const = default;
};

/// First line of a certificate log: all that the lines after it depend on.
struct CertificateLogHeader {
  CountSource source = CountSource::draws;
  std::string model_sha256;
  /// Of the file of the classifier that stands untouched behind the model's auto-encoder; empty
  /// where there is none.
  std::string classifier_sha256 = {};
  std::string dataset;         ///< name of the data set
  std::string dataset_sha256;  ///< of the files that hold the split
  std::string split;           ///< "train" or "test"
  Calibration calibration;
  /// Whether the model's file records no noise, and the certification gave it to a network that was
  /// trained without. Logs that do not say know no such noise.
  bool noise_at_certification = false;
  CertificateOptions options;
  /// What the certificates are about. "unrecorded" where a log does not say.
  BodyFunction function = {};
  std::uint64_t draws = 0;            ///< estimation draws per image, the most where they vary
  std::uint64_t selection_draws = 0;  ///< draws per image that chose the label; 0: the same draws
  /// By which scores the selection draws chose; none where there are none.
  std::optional<ScoreType> selected_by = {};
  std::uint64_t seed = 0;
  KeptStatistics statistics = {};
  Stopping stopping = {};
  AlphaLedger ledger = {};

  /// What its radii are worth.
  Standing standing() const { return pixeldp::standing(ledger, options, draws); }

  /// Names and both values of the fields that differ, one per line; empty when equal. Two
  /// sensitivities that differ by the rounding of two processors are no difference, for one log can
  /// be made to rest on the larger (with_sensitivity).
  std::string difference(const CertificateLogHeader& other) const;
  /// Names and values of all fields but the sensitivity, whose last digits are the processor's.
  std::vector<std::pair<std::string, std::string>> fields() const;
};

struct CertificateRecord {
  std::int64_t image = 0;
  int label = -1;  ///< -1, in a log of CountSource::eval_data: another one than the prediction
  int prediction = -1;
  std::uint64_t selection_draws = 0;
  ScoreStatistics statistics;  ///< those that the header says are kept
  double radius = 0.0;
};

struct CertificateLog {
  CertificateLogHeader header;
  std::vector<CertificateRecord> records;  ///< record i stands on line i + 2
  bool cut_short = false;                  ///< whether an incomplete last line was left out
  LogChain chain = {};                     ///< after the last line
};

/// A log, and the file that errors name.
struct LogPart {
  std::string source;
  CertificateLog log;
};

/// Reads a whole log of format 1 or 2, with its chain checked and every radius derived anew from
/// the counts (derive_radii). A last line that was cut short by a kill is left out; any other
/// damage is an Error that names file and line.
CertificateLog read_certificate_log(const std::filesystem::path& path);
/// The same of a text in memory, with the radii as they stand in it; `source` names it in errors.
CertificateLog parse_certificate_log(std::string_view text, std::string_view source);

/// Appends records to a log of format 2, each line at once, so that a kill loses at most the line
/// being written. What parse_certificate_log would refuse is refused here, before it is written.
/// The file is locked meanwhile: a second writer, of this or another process, is an Error.
class CertificateLogWriter {
 public:
  using Header = CertificateLogHeader;
  using Record = CertificateRecord;

  /// Starts a new log: throws an Error if the file exists already and holds anything but the header
  /// of a log (make_room, pixeldp/log_parts.hpp).
  static CertificateLogWriter create(const std::filesystem::path& path,
                                     const CertificateLogHeader& header);
  /// Continues a log, cutting off an incomplete last line; a file without a complete first line is
  /// started anew. Throws an Error that lists the differences when its header is not the given one,
  /// for a log of format 1, and for a radius that its counts do not prove (derive_radii).
  /// Where the log's sensitivity is the smaller by the rounding of two processors, the log is first
  /// replaced by one with the given sensitivity and radii derived by it; where it is the larger, it
  /// stays in force.
  static CertificateLogWriter resume(const std::filesystem::path& path,
                                     const CertificateLogHeader& header);

  /// What the certificates to append rest on.
  const CertificateLogHeader& header() const { return header_; }
  /// What the log held when it was continued, as read_certificate_log gives it; once.
  std::vector<CertificateRecord> take_records() { return std::move(records_); }
  /// Throws an Error when the record contradicts itself or the header, when its image is in the log
  /// already, and when the line could not be written (for example a full disk).
  void append(const CertificateRecord& record);
  /// Puts the lines into the order of the images, where they are in another one.
  void sort();
  /// Replaces the log by what merge_logs makes of it and these parts, which take_records() then
  /// gives. Throws what merge_logs does, with the log as it was.
  void merge(std::vector<LogPart> parts);

 private:
  CertificateLogWriter(std::filesystem::path path, CertificateLogHeader header)
      : path_(std::move(path)), header_(std::move(header)), file_(path_) {}
  void start();
  void replace(const CertificateLog& log);
  void count(std::int64_t image);

  std::filesystem::path path_;
  CertificateLogHeader header_;
  AppendFile file_;
  LogChain chain_;
  std::unordered_set<std::int64_t> images_;
  std::int64_t last_image_ = -1;
  bool in_order_ = true;
  std::vector<CertificateRecord> records_;
};

/// The text of a record's line, without its chain and end. Throws an Error when the record
/// contradicts itself or the header.
std::string certificate_line(const CertificateLogHeader& header, const CertificateRecord& record);

/// Writes a whole log at once, so that there is all of it or nothing. Throws an Error if the file
/// exists already and holds anything, if it could not be written, and for a record that
/// certificate_line refuses.
void write_certificate_log(const std::filesystem::path& path, const CertificateLog& log);

/// The shortest decimal that reads back as this very double and is not above its exact value.
std::string format_radius_down(double radius);

}  // namespace pixeldp
