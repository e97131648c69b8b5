#pragma once

#include <cstdint>
#include <string>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp::bench {

/// How far two logs of the same images and draws agree: of one model on two devices, or in two
/// precisions.
struct VoteDifference {
  std::int64_t images = 0;       ///< in both logs
  std::int64_t only_one = 0;     ///< in one of them
  std::uint64_t draws = 0;       ///< of all of them
  std::uint64_t votes = 0;       ///< draws that voted otherwise, at the least
  std::int64_t differing = 0;    ///< images whose votes differ
  std::int64_t predictions = 0;  ///< images whose predictions differ
  double radius = 0.0;           ///< the most that a radius differs
};

/// Throws an Error for logs without votes, whose headers differ in more than the precision, or
/// without a common image.
VoteDifference difference(const CertificateLog& log, const CertificateLog& other);

/// Prints the difference of two files.
void compare_votes(const std::string& log, const std::string& other, bool json);

}  // namespace pixeldp::bench
