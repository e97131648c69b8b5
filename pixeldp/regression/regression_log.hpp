#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/io/append_file.hpp"
#include "pixeldp/log_chain.hpp"
#include "pixeldp/precision.hpp"
#include "pixeldp/regression/output_certificate.hpp"

namespace pixeldp {

// docs/regression.md specifies the file.

/// First line of the log of a regression network: all that the lines after it depend on.
struct RegressionLogHeader {
  std::string model_sha256 = {}, dataset = {}, dataset_sha256 = {}, split = {};
  kernels::RealOutput output = {};
  Calibration calibration = {};
  OutputOptions options = {};
  BodyFunction function = {};
  std::uint64_t seed = 0, draws = 0;
  std::optional<double> radius = {};  ///< lines say the interval within it
  std::optional<double> move = {};    ///< lines say the radius within which predictions move so far
  /// The certificates that were decided on before the first draw: each fails with its own alpha.
  std::vector<OutputOptions> ledger = {};

  /// Whether the options stand in the ledger. Else the log is an exploration: its rule was chosen
  /// when the draws were known, and alpha is not the probability that it fails.
  bool reserved() const;
  /// Names and both values of what differs, one per line; empty when equal, but for a sensitivity
  /// that two processors round differently.
  std::string difference(const RegressionLogHeader& other) const;
  /// All but the sensitivity, by name.
  std::vector<std::pair<std::string, std::string>> fields() const;
};

struct RegressionRecord {
  std::int64_t image = 0;
  double label = 0.0;
  OutputStatistics statistics = {};
  // What follows from the statistics (derive).
  double prediction = 0.0;
  std::optional<OutputInterval> interval = {};  ///< where the header has a radius
  std::optional<double> radius = {};            ///< where it has a move
};

/// Fills in what follows from a record's statistics.
void derive(const RegressionLogHeader& header, RegressionRecord& record);

/// The certificate that a record is evidence for.
OutputCertificate certificate_of(const RegressionLogHeader& header, const RegressionRecord& record);

struct RegressionLog {
  RegressionLogHeader header = {};
  std::vector<RegressionRecord> records = {};
  bool cut_short = false;  ///< whether an incomplete last line was left out
};

/// Whether a text or a file begins as such a log does; false where there is no file.
inline bool is_regression_log_text(std::string_view text) {
  return text.starts_with("{\"regression_log\":");
}
bool is_regression_log(const std::filesystem::path& path);

/// Reads a whole log. Its chain is checked, every line must be the very text that this program
/// writes for its numbers, and what is derived must follow from the integers. A last line that was
/// cut short by a kill is left out; any other damage is an Error that names file and line.
RegressionLog read_regression_log(const std::filesystem::path& path);
RegressionLog parse_regression_log(std::string_view text, std::string_view source);

/// Writes a whole log, or nothing. Throws an Error where there is such a file already.
void write_regression_log(const std::filesystem::path& path, const RegressionLog& log);

/// The same integers under a sensitivity that is the larger by the rounding of another processor.
RegressionLog with_sensitivity(RegressionLog log, double sensitivity);

/// The same integers under another prediction, certificate, bound or alpha, and asked for other
/// radii and moves, which costs nothing: those of one certificate hold together. In the order of
/// the images. Throws what check_output_options does.
RegressionLog recertified(RegressionLog log, const OutputOptions& options,
                          std::optional<double> radius, std::optional<double> move);

/// One log of several under the same header, in the order of the images: what one job would have
/// written. `repeated` counts lines that two have alike. Throws an Error for headers that differ
/// and for images with different lines. There is at least one, each with the file that errors name.
struct RegressionLogPart {
  std::string source;
  RegressionLog log;
};
RegressionLog merge_regression_logs(std::vector<RegressionLogPart> parts, std::size_t& repeated);

/// A log that grows, as CertificateLogWriter does for classifiers, which says what each does.
class RegressionLogWriter {
 public:
  using Header = RegressionLogHeader;
  using Record = RegressionRecord;

  static RegressionLogWriter create(const std::filesystem::path& path,
                                    const RegressionLogHeader& header);
  static RegressionLogWriter resume(const std::filesystem::path& path,
                                    const RegressionLogHeader& header);

  const RegressionLogHeader& header() const { return header_; }
  std::vector<RegressionRecord> take_records() { return std::move(records_); }
  void append(const RegressionRecord& record);
  void sort();
  void merge(std::vector<RegressionLogPart> parts);

 private:
  RegressionLogWriter(std::filesystem::path path, RegressionLogHeader header)
      : path_(std::move(path)), header_(std::move(header)), file_(path_) {}
  void start();
  void take(RegressionLog log);
  void replace(RegressionLog log);
  void count(std::int64_t image);

  std::filesystem::path path_;
  RegressionLogHeader header_;
  AppendFile file_;
  LogChain chain_;
  std::unordered_set<std::int64_t> images_;
  std::int64_t last_ = -1;
  bool in_order_ = true;
  std::vector<RegressionRecord> records_;
};

/// collect_parts (log_parts.hpp) for such a log.
void collect_parts(RegressionLogWriter& log, const std::filesystem::path& path);

}  // namespace pixeldp
