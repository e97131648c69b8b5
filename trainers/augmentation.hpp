#pragma once

#include <cstdint>

#include "engine/io/dataset.hpp"

namespace pixeldp {

/// How training images are varied: framed with `pad` black pixels on each side, a window of the
/// image's size cut out anywhere, and mirrored left to right half of the time.
struct Augmentation {
  int pad = 0;
  bool mirror = false;
};

/// How one image is placed: output pixel (row, column) is input pixel (row + down, column +
/// right), black outside the image, and then mirrored or not.
struct Placement {
  std::int64_t down = 0, right = 0;
  bool mirrored = false;
};

/// Follows from these alone: an image is varied alike whatever the batch, the thread, or where
/// training started again. The offsets are uniform over -pad ... pad.
Placement random_placement(const Augmentation& augmentation, std::uint64_t seed,
                           std::uint32_t image_id, std::uint32_t epoch);

/// Image `image` as floats [H, W, C], placed so. Black is the byte 0, that is `shift`.
void to_float(const Dataset& dataset, std::int64_t image, const Placement& placement, float* out,
              float shift);

}  // namespace pixeldp
