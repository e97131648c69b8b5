#include "bench/votes.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/error.hpp"

namespace pixeldp::bench {

VoteDifference difference(const CertificateLog& log, const CertificateLog& other) {
  CertificateLogHeader header = other.header;
  header.function = log.header.function;
  if (const std::string differences = log.header.difference(header); !differences.empty())
    fail("the logs are not of the same draws:\n{}", differences);
  std::map<std::int64_t, const CertificateRecord*> others;
  for (const CertificateRecord& record : other.records) others[record.image] = &record;
  VoteDifference found;
  for (const CertificateRecord& a : log.records) {
    const auto at = others.find(a.image);
    if (at == others.end()) continue;
    const CertificateRecord& b = *at->second;
    const auto &ours = a.statistics.votes, &theirs = b.statistics.votes;
    if (ours.empty() || ours.size() != theirs.size() || a.statistics.draws != b.statistics.draws)
      fail("image {}: the logs do not both hold votes of the same number of draws", a.image);
    std::uint64_t moved = 0;  // votes that a label has more in one log than in the other
    for (std::size_t c = 0; c < ours.size(); ++c)
      moved += std::max(ours[c], theirs[c]) - std::min(ours[c], theirs[c]);
    ++found.images;
    found.draws += a.statistics.draws;
    found.votes += moved / 2;
    found.differing += moved > 0;
    found.predictions += a.prediction != b.prediction;
    found.radius = std::max(found.radius, std::abs(a.radius - b.radius));
  }
  if (found.images == 0) fail("the logs have no image in common");
  found.only_one = std::ssize(log.records) + std::ssize(other.records) - 2 * found.images;
  return found;
}

void compare_votes(const std::string& log, const std::string& other, bool json) {
  const VoteDifference d = difference(read_certificate_log(log), read_certificate_log(other));
  if (json) {
    const nlohmann::json report = {{"images", d.images},
                                   {"images_in_one_log_only", d.only_one},
                                   {"draws", d.draws},
                                   {"votes_that_differ", d.votes},
                                   {"images_that_differ", d.differing},
                                   {"predictions_that_differ", d.predictions},
                                   {"largest_difference_of_a_radius", d.radius}};
    fmt::print("{}\n", report.dump());
    return;
  }
  if (d.only_one > 0) fmt::print("{} images are in one of the logs only\n", d.only_one);
  fmt::print(
      "{} of {} votes differ ({:.2g} %), in {} of {} images; {} predictions differ; radii differ "
      "by "
      "up to {:.3g}\n",
      d.votes, d.draws, 100.0 * static_cast<double>(d.votes) / static_cast<double>(d.draws),
      d.differing, d.images, d.predictions, d.radius);
}

}  // namespace pixeldp::bench
