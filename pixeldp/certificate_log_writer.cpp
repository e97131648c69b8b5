#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/notice.hpp"
#include "pixeldp/certificate_log.hpp"
#include "pixeldp/certificate_log_check.hpp"
#include "pixeldp/log_json.hpp"
#include "pixeldp/log_parts.hpp"
#include "pixeldp/merge.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const AlphaLedger& ledger) {
  Json looks = Json::array();
  for (const Look& look : ledger) {
    looks.push_back({{"alpha", look.alpha},
                     {"draws", look.draws},
                     {"score_type", name(look.scores)},
                     {"bound", name(look.bound)}});
  }
  return looks;
}

/// All of a header but what its stopping rule adds, and the ledger.
Json first_keys(const CertificateLogHeader& header) {
  const Calibration& calibration = header.calibration;
  Json json = {{"format_version", 2},
               {"source", name(header.source)},
               {"model_sha256", header.model_sha256},
               {"classifier_sha256", header.classifier_sha256},
               {"dataset", header.dataset},
               {"dataset_sha256", header.dataset_sha256},
               {"split", header.split},
               {"mechanism", name(calibration.mechanism)},
               {"noise_scale", calibration.noise_scale},
               {"noise_at_certification", header.noise_at_certification}};
  json.update(construction_keys(calibration));
  json["attack_norm"] = name(calibration.attack_norm);
  json["sensitivity"] = calibration.sensitivity;
  if (calibration.lattice_step != 0.0) json["lattice_step"] = calibration.lattice_step;
  json.update(charged_keys(calibration));
  json["score_type"] = name(header.options.scores);
  json["bound"] = name(header.options.bound);
  json["certificate"] = name(header.options.kind);
  if (header.options.top != 1) json["top"] = header.options.top;
  json["alpha"] = header.options.alpha;
  json.update(function_keys(header.function));
  json.update({{"seed", is_foreign(header.source) ? Json() : Json(header.seed)},
               {"draws", header.draws},
               {"selection_draws", header.selection_draws},
               {"selected_by", header.selected_by ? Json(name(*header.selected_by)) : Json()},
               {"statistics", names_of(header.statistics)},
               {"stopping", name(header.stopping.rule)}});
  if (header.classifier_sha256.empty()) json.erase("classifier_sha256");
  return json;
}

Json to_json(const CertificateLogHeader& header) {
  Json json = first_keys(header);
  const Stopping& stopping = header.stopping;
  if (stopping.rule != StoppingRule::fixed) {
    json["target"] = stopping.target;
    json[stopping.at_last ? "futility_at_last" : "futility"] = stopping.futility;
    json["looks"] = stopping.looks;
    json["stopping_certificate"] = name(stopping.kind);
    json["stopping_alpha"] = stopping.alpha;
  }
  json["ledger"] = to_json(header.ledger);
  return json;
}

/// A log as text, and its chain.
struct WrittenLog {
  explicit WrittenLog(const CertificateLog& log) : text(to_json(log.header).dump()), chain(text) {
    text += '\n';
    for (const CertificateRecord& record : log.records)
      text += chain.line(certificate_line(log.header, record)) + '\n';
  }

  std::string text;
  LogChain chain;
};

bool holds_anything(const std::filesystem::path& path) {
  std::error_code none;
  return std::filesystem::is_regular_file(path, none) && std::filesystem::file_size(path, none) > 0;
}

}  // namespace

std::string CertificateLogHeader::difference(const CertificateLogHeader& other) const {
  Json mine = to_json(*this);
  Json theirs = to_json(other);
  if (same_but_for_rounding(calibration.sensitivity, other.calibration.sensitivity))
    theirs["sensitivity"] = mine["sensitivity"];
  std::string text;
  for (const auto& entry : theirs.items()) mine.emplace(entry.key(), nullptr);
  for (const auto& [key, value] : mine.items()) {
    if (value != theirs[key]) {
      text += fmt::format("{}{}: {} and {}", text.empty() ? "" : "\n", key, value.dump(),
                          theirs[key].dump());
    }
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> CertificateLogHeader::fields() const {
  std::vector<std::pair<std::string, std::string>> texts;
  const Json all = to_json(*this);
  for (const auto& [key, value] : all.items())
    if (key != "sensitivity") texts.emplace_back(key, value.dump());
  return texts;
}

void CertificateLogWriter::start() {
  if (const auto text = fault(header_)) fail("{}: {}", path_.string(), *text);
  const std::string line = to_json(header_).dump();
  if (!file_.begin(line + '\n'))
    fail("{}: cannot write the certificate log; is the disk full?", path_.string());
  chain_ = LogChain(line);
}

/// The file that takes the log's place is locked before the old one is given up.
void CertificateLogWriter::replace(const CertificateLog& log) {
  const WrittenLog written(log);
  write_file_atomically(path_, written.text);
  file_ = AppendFile(path_);
  chain_ = written.chain;
}

void CertificateLogWriter::count(std::int64_t image) {
  images_.insert(image);
  in_order_ = in_order_ && image > last_image_;
  last_image_ = image;
}

CertificateLogWriter CertificateLogWriter::create(const std::filesystem::path& path,
                                                  const CertificateLogHeader& header) {
  if (const auto text = fault(header)) fail("{}: {}", path.string(), *text);
  CertificateLogWriter writer(path, header);
  make_room(writer.file_, path, "a certificate log", [&](std::string_view text) {
    return parse_certificate_log(text, path.string()).records.size();
  });
  writer.start();
  return writer;
}

CertificateLogWriter CertificateLogWriter::resume(const std::filesystem::path& path,
                                                  const CertificateLogHeader& header) {
  if (!std::filesystem::exists(path)) fail("{}: there is no log to continue", path.string());
  CertificateLogWriter writer(path, header);  // locks it before it is read
  const Bytes bytes = read_file(path);
  const std::string_view text = as_text(bytes);
  const std::size_t last = text.rfind('\n');
  if (last == std::string_view::npos) {
    check_cut_header(text, to_json(header).dump(), path, "a certificate log");
    writer.file_.truncate(0);
    writer.start();
    return writer;
  }
  CertificateLog log = parse_certificate_log(text, path.string());
  if (log.header.source != CountSource::draws) {
    fail(
        "{}: a log whose counts come from elsewhere ({}) cannot be continued: begin another one "
        "with --output",
        path.string(), name(log.header.source));
  }
  if (const std::string difference = log.header.difference(header); !difference.empty()) {
    fail(
        "{}: the log cannot be continued, it was made under other conditions (the log's first, "
        "yours second):\n{}",
        path.string(), difference);
  }
  derive_radii(log, path.string());
  const double before = log.header.calibration.sensitivity, now = header.calibration.sensitivity;
  writer.chain_ = log.chain;
  if (before < now) {
    log = with_sensitivity(std::move(log), now);
    writer.replace(log);
    notice(
        "{}: its sensitivity {} gives way to {}, which this processor computes; its radii rest on "
        "the larger now",
        path.string(), before, now);
  } else if (last + 1 < text.size()) {
    writer.file_.truncate(last + 1);
  }
  writer.header_ = log.header;
  for (const CertificateRecord& record : log.records) writer.count(record.image);
  writer.records_ = std::move(log.records);
  return writer;
}

void CertificateLogWriter::append(const CertificateRecord& record) {
  if (images_.contains(record.image)) {
    fail("{}: image {} is in the certificate log already", path_.string(), record.image);
  }
  if (!file_.write(chain_.line(certificate_line(header_, record)) + '\n')) {
    fail(
        "{}: cannot write to the certificate log; is the disk full? What it holds is kept, and can "
        "be continued",
        path_.string());
  }
  count(record.image);
}

void CertificateLogWriter::sort() {
  if (in_order_) return;
  CertificateLog log = parse_certificate_log(as_text(read_file(path_)), path_.string());
  std::ranges::sort(log.records, {}, &CertificateRecord::image);
  replace(log);
  last_image_ = log.records.back().image;
  in_order_ = true;
}

void CertificateLogWriter::merge(std::vector<LogPart> parts) {
  parts.insert(parts.begin(),
               {path_.string(), parse_certificate_log(as_text(read_file(path_)), path_.string())});
  MergedLog merged = merge_logs(parts);
  replace(merged.log);
  header_ = merged.log.header;
  images_.clear();
  last_image_ = -1;
  in_order_ = true;
  for (const CertificateRecord& record : merged.log.records) count(record.image);
  records_ = std::move(merged.log.records);
}

void write_certificate_log(const std::filesystem::path& path, const CertificateLog& log) {
  if (const auto text = fault(log.header)) fail("{}: {}", path.string(), *text);
  if (holds_anything(path)) {
    fail("{}: the file exists already; choose another name, or move it away", path.string());
  }
  write_file_atomically(path, WrittenLog(log).text);
}

std::string certificate_line(const CertificateLogHeader& header, const CertificateRecord& record) {
  if (const auto text = fault(header, record)) fail("image {}: {}", record.image, *text);
  const ScoreStatistics& statistics = record.statistics;
  std::string line = fmt::format(
      "{{\"image\": {}, \"label\": {}, \"prediction\": {}, \"selection_draws\": {}, \"draws\": {}",
      record.image, record.label < 0 ? "null" : std::to_string(record.label), record.prediction,
      record.selection_draws, statistics.draws);
  const auto add = [&](const char* key, const std::vector<std::uint64_t>& values) {
    line += fmt::format(", \"{}\": [{}]", key, fmt::join(values, ", "));
  };
  if (header.statistics.votes) add("votes", statistics.votes);
  if (header.statistics.sums) {
    add("sums", statistics.sums);
    add("squares", statistics.squares);
  }
  if (header.statistics.histogram) add("histogram", statistics.histogram);
  return line + fmt::format(", \"radius\": {}", format_radius_down(record.radius));
}

std::string format_radius_down(double radius) {
  if (!std::isfinite(radius) || radius < 0) {
    fail("a radius must be a finite number from 0 up, not {}", radius);
  }
  // All digits of the double, cut off after as few decimals as still name it: cutting rounds down.
  const std::string exact = fmt::format("{:.1074f}", radius + 0.0);  // + 0.0: no "-0"
  const std::size_t point = exact.find('.');
  for (std::size_t length = point; length <= exact.size(); ++length) {
    if (length == point + 1) continue;  // "0." is no number of JSON
    double value = 0.0;
    std::from_chars(exact.data(), exact.data() + length, value);
    if (value == radius) return exact.substr(0, length);
  }
  return exact;
}

}  // namespace pixeldp
