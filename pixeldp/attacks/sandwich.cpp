#include "pixeldp/attacks/sandwich.hpp"

#include "engine/error.hpp"

namespace pixeldp {

bool violates(const AttackRecord& record, const CertificateRecord& certificate) {
  constexpr double failure = 1e-6;
  if (!(certificate.radius > 0.0)) return false;
  const int label = certificate.prediction;
  return shows_another(statistics_of_votes(record.clean_votes), label, failure) ||
         (record.succeeds_within(certificate.radius) &&
          shows_another(statistics_of_votes(record.votes), label, failure));
}

Sandwich sandwich(const CertificatesUnderAttack& certificates,
                  std::span<const AttackRecord> records, std::span<const double> sizes) {
  Sandwich result;
  for (const double size : sizes) result.points.push_back({.size = size});
  for (const AttackRecord& record : records) {
    const auto found = certificates.records.find(record.image);
    if (found == certificates.records.end()) continue;
    const CertificateRecord& certificate = found->second;
    ++result.images;
    result.tested += certificate.radius > 0.0;
    if (violates(record, certificate)) result.violations.push_back(record.image);
    for (Sandwich::Point& point : result.points) {
      point.certified_accuracy += certificate.prediction == record.label &&
                                  certificate.radius > 0.0 && certificate.radius >= point.size;
      point.accuracy_under_attack += record.clean_right() && !record.succeeds_within(point.size);
      point.accuracy += record.clean_right();
    }
  }
  if (result.images == 0) fail("none of the attacked images has a certificate");
  const auto images = static_cast<double>(result.images);
  for (Sandwich::Point& point : result.points) {
    point.certified_accuracy /= images;
    point.accuracy_under_attack /= images;
    point.accuracy /= images;
  }
  result.explained = explained_by_chance(result.tested, certificates.header.options.alpha);
  return result;
}

}  // namespace pixeldp
