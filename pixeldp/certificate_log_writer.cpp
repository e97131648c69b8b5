#include <charconv>
#include <cmath>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/notice.hpp"
#include "pixeldp/certificate_log.hpp"
#include "pixeldp/certificate_log_check.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const CertificateLogHeader& header) {
  const Calibration& calibration = header.calibration;
  const auto of_construction = [&](double Construction::*value) {
    return calibration.construction ? Json((*calibration.construction).*value) : Json();
  };
  return {{"format_version", CertificateLogHeader::format_version},
          {"model_sha256", header.model_sha256},
          {"dataset", header.dataset},
          {"dataset_sha256", header.dataset_sha256},
          {"split", header.split},
          {"mechanism", name(calibration.mechanism)},
          {"noise_scale", calibration.noise_scale},
          {"noise_at_certification", header.noise_at_certification},
          {"epsilon", of_construction(&Construction::epsilon)},
          {"delta", of_construction(&Construction::delta)},
          {"construction_bound", of_construction(&Construction::bound)},
          {"attack_norm", name(calibration.attack_norm)},
          {"sensitivity", calibration.sensitivity},
          {"score_type", name(header.options.scores)},
          {"bound", name(header.options.bound)},
          {"certificate", name(header.options.kind)},
          {"alpha", header.options.alpha},
          {"precision", header.function.precision},
          {"residual_precision", header.function.residual_precision},
          {"algorithm", header.function.algorithm},
          {"seed", header.seed},
          {"draws", header.draws},
          {"selection_draws", header.selection_draws}};
}

std::string text_of(const CertificateLog& log) {
  std::string text = to_json(log.header).dump() + '\n';
  for (const CertificateRecord& record : log.records)
    text += certificate_line(log.header, record) + '\n';
  return text;
}

bool holds_anything(const std::filesystem::path& path) {
  std::error_code none;
  return std::filesystem::is_regular_file(path, none) && std::filesystem::file_size(path, none) > 0;
}

}  // namespace

std::string CertificateLogHeader::difference(const CertificateLogHeader& other) const {
  const Json mine = to_json(*this);
  Json theirs = to_json(other);
  if (same_but_for_rounding(calibration.sensitivity, other.calibration.sensitivity))
    theirs["sensitivity"] = mine["sensitivity"];
  std::string text;
  for (const auto& [key, value] : mine.items()) {
    if (value != theirs[key]) {
      text += fmt::format("{}{}: {} and {}", text.empty() ? "" : "\n", key, value.dump(),
                          theirs[key].dump());
    }
  }
  return text;
}

void CertificateLogWriter::open(std::ios::openmode mode) {
  file_.open(path_, mode | std::ios::binary);
  if (!file_) fail("{}: cannot open the certificate log for writing", path_.string());
}

void CertificateLogWriter::write_line(const std::string& line) {
  file_ << line << '\n' << std::flush;
  if (!file_) {
    fail(
        "{}: cannot write to the certificate log; is the disk full? What it holds is kept, and "
        "can be continued",
        path_.string());
  }
}

CertificateLogWriter CertificateLogWriter::create(const std::filesystem::path& path,
                                                  const CertificateLogHeader& header) {
  if (const auto text = fault(header)) fail("{}: {}", path.string(), *text);
  if (holds_anything(path)) {
    fail("{}: there is a certificate log already; continue it with --resume, or move it away",
         path.string());
  }
  CertificateLogWriter writer(path, header);
  writer.open(std::ios::trunc);
  writer.write_line(to_json(header).dump());
  return writer;
}

CertificateLogWriter CertificateLogWriter::resume(const std::filesystem::path& path,
                                                  const CertificateLogHeader& header) {
  const Bytes bytes = read_file(path);
  const std::string_view text = as_text(bytes);
  const std::size_t last = text.rfind('\n');
  if (last == std::string_view::npos) {
    std::filesystem::resize_file(path, 0);
    return create(path, header);
  }
  CertificateLog log = parse_certificate_log(text, path.string());
  if (const std::string difference = log.header.difference(header); !difference.empty()) {
    fail(
        "{}: the log cannot be continued, it was made under other conditions (the log's first, "
        "yours second):\n{}",
        path.string(), difference);
  }
  const double before = log.header.calibration.sensitivity, now = header.calibration.sensitivity;
  if (before < now) {
    derive_radii(log, path.string());
    log = with_sensitivity(std::move(log), now);
    write_file_atomically(path, text_of(log));
    notice(
        "{}: its sensitivity {} gives way to {}, which this processor computes; its radii rest on "
        "the larger now",
        path.string(), before, now);
  } else if (last + 1 < text.size()) {
    std::filesystem::resize_file(path, last + 1);
  }
  CertificateLogWriter writer(path, log.header);
  for (const CertificateRecord& record : log.records) writer.images_.insert(record.image);
  writer.open(std::ios::app);
  return writer;
}

void CertificateLogWriter::append(const CertificateRecord& record) {
  if (images_.contains(record.image)) {
    fail("{}: image {} is in the certificate log already", path_.string(), record.image);
  }
  write_line(certificate_line(header_, record));
  images_.insert(record.image);
}

void write_certificate_log(const std::filesystem::path& path, const CertificateLog& log) {
  if (const auto text = fault(log.header)) fail("{}: {}", path.string(), *text);
  if (holds_anything(path)) {
    fail("{}: the file exists already; choose another name, or move it away", path.string());
  }
  write_file_atomically(path, text_of(log));
}

std::string certificate_line(const CertificateLogHeader& header, const CertificateRecord& record) {
  if (const auto text = fault(header, record)) fail("image {}: {}", record.image, *text);
  const ScoreStatistics& statistics = record.statistics;
  const std::string kept =
      header.options.scores == ScoreType::argmax
          ? fmt::format("\"counts\": [{}]", fmt::join(statistics.votes, ", "))
          : fmt::format("\"sums\": [{}], \"squares\": [{}]", fmt::join(statistics.sums, ", "),
                        fmt::join(statistics.squares, ", "));
  return fmt::format(
      "{{\"image\": {}, \"label\": {}, \"prediction\": {}, \"selection_draws\": {}, "
      "\"draws\": {}, {}, \"radius\": {}}}",
      record.image, record.label, record.prediction, record.selection_draws, statistics.draws, kept,
      format_radius_down(record.radius));
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
