#pragma once

#include <span>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

struct MergedLog {
  CertificateLog log;        ///< in the order of the images
  std::size_t repeated = 0;  ///< lines left out because another part has the very same
};

/// One log of the parts of a certification: what a single job would have written for all their
/// images. Parts whose sensitivities differ by the rounding of their processors get the largest,
/// and radii derived by it. Throws an Error when there is no part; when the headers of two differ,
/// with their files, keys and values; and when two have different lines for an image, or different
/// numbers of classes, with files and lines.
MergedLog merge_logs(std::span<const LogPart> parts);

}  // namespace pixeldp
