#pragma once

#include <string_view>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

/// The certificate of a record's counts by the rules that the header names: a pure function of the
/// two, which does not look at the record's radius. A label that other draws have chosen stays
/// chosen, since the log holds none of those draws. A model without noise has a prediction only.
Certificate certify(const CertificateLogHeader& header, const CertificateRecord& record);

/// The same counts under another score type, bound, certificate or failure probability: a look at
/// counts that are known, whose standing the header tells (CertificateLogHeader::standing). Without
/// selection draws the scores choose the prediction anew. Throws an Error where the log does not
/// hold such scores, and for bounds that say nothing of counts that ended their draws.
CertificateLog recertified(CertificateLog log, const CertificateOptions& options);

/// What the metrics of certificates of the K first labels are of. An image is right there if its
/// label is among the K first, and certified if that label, whatever the prediction, provably stays
/// among them: its record gets the label for its prediction, with the radius of that. A label is
/// fixed before any draw, so that its bounds pay for no choice, and each of these radii fails with
/// probability at most alpha. Other records, and those of K = 1, stay as they are.
std::vector<CertificateRecord> records_of_labels(const CertificateLogHeader& header,
                                                 std::vector<CertificateRecord> records);

/// The same counts under a sensitivity that is the larger by the rounding of another processor.
CertificateLog with_sensitivity(CertificateLog log, double sensitivity);

/// The most that the header's draws can prove by its rules, whatever the network: the radius of an
/// image on whose label all draws agree, by the bounds that records_of_labels takes for the K first
/// labels. 0 without noise.
double largest_possible_radius(const CertificateLogHeader& header, int classes);

/// Puts the radius that the counts prove into every record: radii in a file are only what somebody
/// has written. Throws an Error that names `source` and the line where one is larger than that by
/// more than 1e-12 of it. A smaller one was proved as well, and gives way to the larger one.
void derive_radii(CertificateLog& log, std::string_view source);

}  // namespace pixeldp
