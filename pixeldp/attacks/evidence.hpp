#pragma once

#include <filesystem>
#include <span>

#include "pixeldp/attacks/attacking.hpp"

namespace pixeldp {

/// Writes a picture as FOLDER/IMAGE.png, for looking at and for 'pixeldp predict': its pixels are
/// rounded to 8 bits.
void save_picture(const std::filesystem::path& folder, std::int64_t image, const Dataset& dataset,
                  std::span<const float> picture, PixelRange pixels);

/// Where a record contradicts the certificate of its image (violates), writes FOLDER/IMAGE.png and
/// FOLDER/IMAGE.json with the picture's pixels as they are, the seed and the counts.
void save_if_violation(const std::filesystem::path& folder,
                       const CertificatesUnderAttack& certificates, const AttackLogHeader& header,
                       const AttackRecord& record, const Dataset& dataset,
                       std::span<const float> picture, PixelRange pixels);

}  // namespace pixeldp
