#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "pixeldp/certificate.hpp"
#include "pixeldp/precision.hpp"

namespace pixeldp {

/// First line of a certificate log: all that the lines after it depend on.
struct CertificateLogHeader {
  static constexpr int format_version = 1;

  std::string model_sha256;
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
  std::uint64_t draws = 0;            ///< estimation draws per image
  std::uint64_t selection_draws = 0;  ///< draws per image that chose the label; 0: the same draws
  std::uint64_t seed = 0;

  /// Names and both values of the fields that differ, one per line; empty when equal. Two
  /// sensitivities that differ by the rounding of two processors are no difference, for one log can
  /// be made to rest on the larger (with_sensitivity).
  std::string difference(const CertificateLogHeader& other) const;
};

struct CertificateRecord {
  std::int64_t image = 0;
  int label = -1;
  int prediction = -1;
  std::uint64_t selection_draws = 0;
  ScoreStatistics statistics;  ///< votes for argmax scores; sums and squares for softmax scores
  double radius = 0.0;
};

struct CertificateLog {
  CertificateLogHeader header;
  std::vector<CertificateRecord> records;  ///< record i stands on line i + 2
  bool cut_short = false;                  ///< whether an incomplete last line was left out
};

/// Reads a whole log, with every radius derived anew from the counts (derive_radii). A last line
/// that was cut short by a kill is left out; any other damage is an Error that names file and line.
CertificateLog read_certificate_log(const std::filesystem::path& path);
/// The same of a text in memory, with the radii as they stand in it; `source` names it in errors.
CertificateLog parse_certificate_log(std::string_view text, std::string_view source);

/// Appends records to a log, one flushed line each, so that a kill loses at most the line being
/// written. What parse_certificate_log would refuse is refused here, before it is written.
class CertificateLogWriter {
 public:
  /// Starts a new log: throws an Error if the file exists already and holds anything.
  static CertificateLogWriter create(const std::filesystem::path& path,
                                     const CertificateLogHeader& header);
  /// Continues a log, cutting off an incomplete last line; a file without a complete first line is
  /// started anew. Throws an Error that lists the differences when its header is not the given one.
  /// Where the log's sensitivity is the smaller by the rounding of two processors, the log is first
  /// replaced by one with the given sensitivity and radii derived by it; where it is the larger, it
  /// stays in force.
  static CertificateLogWriter resume(const std::filesystem::path& path,
                                     const CertificateLogHeader& header);

  /// What the certificates to append rest on.
  const CertificateLogHeader& header() const { return header_; }
  /// Writes the statistics that the log's score type keeps. Throws an Error when the record
  /// contradicts itself or the header, when its image is in the log already, and when the line
  /// could not be written (for example a full disk).
  void append(const CertificateRecord& record);

 private:
  CertificateLogWriter(std::filesystem::path path, CertificateLogHeader header)
      : path_(std::move(path)), header_(std::move(header)) {}
  void open(std::ios::openmode mode);
  void write_line(const std::string& line);

  std::filesystem::path path_;
  CertificateLogHeader header_;
  std::unordered_set<std::int64_t> images_;
  std::ofstream file_;
};

/// The line of a record, without its end: the statistics that the header's score type keeps. Throws
/// an Error when the record contradicts itself or the header.
std::string certificate_line(const CertificateLogHeader& header, const CertificateRecord& record);

/// Writes a whole log at once, so that there is all of it or nothing. Throws an Error if the file
/// exists already and holds anything, if it could not be written, and for a record that
/// certificate_line refuses.
void write_certificate_log(const std::filesystem::path& path, const CertificateLog& log);

/// The shortest decimal that reads back as this very double and is not above its exact value.
std::string format_radius_down(double radius);

}  // namespace pixeldp
