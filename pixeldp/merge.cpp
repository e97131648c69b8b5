#include "pixeldp/merge.hpp"

#include <algorithm>
#include <map>

#include "engine/error.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp {
namespace {

/// A record, and where it stands.
struct Found {
  const LogPart* part = nullptr;
  std::size_t index = 0;

  const CertificateRecord& record() const { return part->log.records[index]; }
  std::string place() const { return fmt::format("{}:{}", part->source, index + 2); }
};

/// The parts under one header.
std::vector<LogPart> under_one_header(std::span<const LogPart> parts) {
  const LogPart& model = parts.front();
  double sensitivity = 0.0;
  for (const LogPart& part : parts) {
    if (const auto difference = model.log.header.difference(part.log.header); !difference.empty()) {
      fail("{} and {} cannot be merged, they were made under other conditions (in this order):\n{}",
           model.source, part.source, difference);
    }
    sensitivity = std::max(sensitivity, part.log.header.calibration.sensitivity);
  }
  std::vector<LogPart> alike(parts.begin(), parts.end());
  for (LogPart& part : alike)
    if (part.log.header.calibration.sensitivity < sensitivity)
      part.log = with_sensitivity(std::move(part.log), sensitivity);
  return alike;
}

}  // namespace

MergedLog merge_logs(std::span<const LogPart> given) {
  if (given.empty()) fail("there are no certificate logs to merge");
  const std::vector<LogPart> parts = under_one_header(given);
  const LogPart& model = parts.front();
  MergedLog merged;
  merged.log.header = model.log.header;
  std::map<std::int64_t, Found> by_image;
  for (const LogPart& part : parts) {
    for (std::size_t index = 0; index < part.log.records.size(); ++index) {
      const Found found{&part, index};
      const auto [at, is_new] = by_image.emplace(found.record().image, found);
      const Found& first = by_image.begin()->second;
      if (first.record().statistics.classes() != found.record().statistics.classes()) {
        fail("{}: {} classes, but {} in {}", found.place(), found.record().statistics.classes(),
             first.record().statistics.classes(), first.place());
      }
      if (is_new) continue;
      const Found& other = at->second;
      if (certificate_line(model.log.header, found.record()) !=
          certificate_line(model.log.header, other.record())) {
        fail("{}: image {} has another line than in {}: one of the logs was changed", found.place(),
             found.record().image, other.place());
      }
      ++merged.repeated;
    }
  }
  for (const auto& [image, found] : by_image) merged.log.records.push_back(found.record());
  return merged;
}

}  // namespace pixeldp
