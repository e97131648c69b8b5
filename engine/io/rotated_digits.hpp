#pragma once

#include <cstdint>

#include "engine/io/dataset.hpp"

namespace pixeldp {

/// Angles of the data set mnist-angle lie between minus and plus so many degrees.
inline constexpr double largest_angle = 45.0;

/// The angle of an image, in degrees: uniform, and a function of this number (Dataset::image_id)
/// alone.
float angle_of(std::uint32_t image_id);

/// An image [height, width] of one channel, turned counterclockwise about its middle by so many
/// degrees: bilinear between the pixels, 0 beyond them. In whole numbers once the sine and the
/// cosine are rounded to 2^-16, so that every machine gives the same bytes.
Bytes rotated(ByteView pixels, std::int64_t height, std::int64_t width, double degrees);

/// Makes of a split of digits one whose label is the angle by which each image is turned: targets
/// take the place of labels, and the SHA-256 is that of the turned images, one after the other, and
/// their labels, little-endian floats, behind them.
void rotate_digits(Dataset& dataset);

}  // namespace pixeldp
