#include <algorithm>
#include <map>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/notice.hpp"
#include "pixeldp/log_parts.hpp"
#include "pixeldp/regression/regression_log_text.hpp"

namespace pixeldp {
namespace {

/// A log as text, and its chain.
struct WrittenRegressionLog {
  explicit WrittenRegressionLog(const RegressionLog& log)
      : text(header_text(log.header)), chain(text) {
    text += '\n';
    for (const RegressionRecord& record : log.records) text += chain.line(line_text(record)) + '\n';
  }

  std::string text;
  LogChain chain;
};

}  // namespace

void write_regression_log(const std::filesystem::path& path, const RegressionLog& log) {
  if (std::filesystem::exists(path))
    fail("{}: the file exists already; choose another name, or move it away", path.string());
  write_file_atomically(path, WrittenRegressionLog(log).text);
}

RegressionLog with_sensitivity(RegressionLog log, double sensitivity) {
  if (log.header.calibration.sensitivity == sensitivity) return log;
  log.header.calibration.sensitivity = sensitivity;
  for (RegressionRecord& record : log.records) derive(log.header, record);
  return log;
}

RegressionLog merge_regression_logs(std::vector<RegressionLogPart> parts, std::size_t& repeated) {
  if (parts.empty()) fail("there are no logs to merge");
  const RegressionLogPart& first = parts.front();
  double sensitivity = 0.0;
  for (const RegressionLogPart& part : parts) {
    if (const std::string other = first.log.header.difference(part.log.header); !other.empty())
      fail("{} and {} cannot be merged, they were made under other conditions (in this order):{}",
           first.source, part.source, other);
    sensitivity = std::max(sensitivity, part.log.header.calibration.sensitivity);
  }
  std::map<std::int64_t, const RegressionRecord*> by_image;
  repeated = 0;
  for (RegressionLogPart& part : parts) {
    part.log = with_sensitivity(std::move(part.log), sensitivity);
    for (const RegressionRecord& record : part.log.records) {
      const auto [at, is_new] = by_image.emplace(record.image, &record);
      if (is_new) continue;
      if (line_text(*at->second) != line_text(record))
        fail("{}: image {} has another line than in a log before it: one of them was changed",
             part.source, record.image);
      ++repeated;
    }
  }
  RegressionLog merged{.header = first.log.header};
  for (const auto& [image, record] : by_image) merged.records.push_back(*record);
  return merged;
}

void collect_parts(RegressionLogWriter& log, const std::filesystem::path& path) {
  collect_parts(path, [&](std::span<const std::filesystem::path> paths) {
    std::vector<RegressionLogPart> parts;
    for (const auto& part : paths) parts.push_back({part.string(), read_regression_log(part)});
    log.merge(std::move(parts));
  });
}

RegressionLogWriter RegressionLogWriter::create(const std::filesystem::path& path,
                                                const RegressionLogHeader& header) {
  RegressionLogWriter writer(path, header);
  make_room(writer.file_, path, "a certificate log", [&](std::string_view text) {
    return parse_regression_log(text, path.string()).records.size();
  });
  writer.start();
  return writer;
}

RegressionLogWriter RegressionLogWriter::resume(const std::filesystem::path& path,
                                                const RegressionLogHeader& header) {
  if (!std::filesystem::exists(path)) fail("{}: there is no log to continue", path.string());
  RegressionLogWriter writer(path, header);  // locks it before it is read
  const Bytes bytes = read_file(path);
  const std::size_t complete = as_text(bytes).rfind('\n') + 1;  // 0 where there is none
  if (complete == 0) {
    check_cut_header(as_text(bytes), header_text(header), path, "a certificate log");
    writer.file_.truncate(0);
    writer.start();
    return writer;
  }
  RegressionLog log = parse_regression_log(as_text(bytes).substr(0, complete), path.string());
  if (const std::string other = log.header.difference(header); !other.empty())
    fail(
        "{}: the log cannot be continued, it was made under other conditions (the log's first, "
        "yours second):{}",
        path.string(), other);
  const double before = log.header.calibration.sensitivity, now = header.calibration.sensitivity;
  if (before < now) {
    writer.replace(with_sensitivity(std::move(log), now));
    notice(
        "{}: its sensitivity {} gives way to {}, which this processor computes; what it certifies "
        "rests on the larger now",
        path.string(), before, now);
    return writer;
  }
  writer.file_.truncate(complete);
  writer.take(std::move(log));
  return writer;
}

void RegressionLogWriter::start() {
  const std::string line = header_text(header_);
  if (!file_.begin(line + '\n'))
    fail("{}: cannot write the certificate log; is the disk full?", path_.string());
  chain_ = LogChain(line);
}

/// What the file holds is that log.
void RegressionLogWriter::take(RegressionLog log) {
  chain_ = WrittenRegressionLog(log).chain;
  header_ = log.header;
  images_.clear();
  last_ = -1;
  in_order_ = true;
  for (const RegressionRecord& record : log.records) count(record.image);
  records_ = std::move(log.records);
}

/// The file that takes the log's place is locked before the old one is given up.
void RegressionLogWriter::replace(RegressionLog log) {
  write_file_atomically(path_, WrittenRegressionLog(log).text);
  file_ = AppendFile(path_);
  take(std::move(log));
}

void RegressionLogWriter::count(std::int64_t image) {
  images_.insert(image);
  in_order_ = in_order_ && image > last_;
  last_ = image;
}

void RegressionLogWriter::append(const RegressionRecord& record) {
  if (const std::string wrong = fault(header_, record); !wrong.empty())
    fail("image {}: {}", record.image, wrong);
  if (images_.contains(record.image))
    fail("{}: image {} is in the certificate log already", path_.string(), record.image);
  if (!file_.write(chain_.line(line_text(record)) + '\n'))
    fail("{}: cannot write to the certificate log; is the disk full? What it holds is kept",
         path_.string());
  count(record.image);
}

void RegressionLogWriter::sort() {
  if (in_order_) return;
  RegressionLog log = read_regression_log(path_);
  std::ranges::sort(log.records, {}, &RegressionRecord::image);
  replace(std::move(log));
}

void RegressionLogWriter::merge(std::vector<RegressionLogPart> parts) {
  parts.insert(parts.begin(), {path_.string(), read_regression_log(path_)});
  std::size_t repeated = 0;
  replace(merge_regression_logs(std::move(parts), repeated));
}

}  // namespace pixeldp
