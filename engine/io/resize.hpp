#pragma once

#include <cstdint>

#include "engine/io/image.hpp"

namespace pixeldp {

/// The height x width pixels in the middle of the picture, after both its sides were multiplied so
/// that the shorter one is `short_side` pixels, which must be height and width at least. The longer
/// one is rounded down, an odd margin is halved to even.
///
/// Resized by Pillow's antialiased bilinear filter (libImaging/Resample.c; what torchvision's
/// Resize does to PIL images, followed by its CenterCrop): a triangle as wide as two input pixels
/// or, where the picture shrinks, two output pixels; across, then down, each rounded to bytes, with
/// weights in fixed point of 22 bits. The same bytes as Pillow's, on every machine.
Image resized_centre(const Image& image, std::int64_t short_side, std::int64_t height,
                     std::int64_t width);

}  // namespace pixeldp
