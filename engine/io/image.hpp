#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "engine/io/file.hpp"

namespace pixeldp {

/// A picture as bytes, H, W, C; C is 1 (grey) or 3 (red, green, blue).
struct Image {
  std::int64_t height = 0, width = 0, channels = 0;
  Bytes pixels;
};

/// Decodes a PNG picture of any colour type, depth and interlacing, converting it to `channels` (1
/// or 3). Values are taken as they are stored, whatever light the picture says they stand for
/// (gAMA, cHRM, sRGB, iCCP): 16 bits are rounded to 8, so that 257 v is v, and fewer stretched;
/// transparency is laid over black, v times alpha / 255; colours become grey by .299 R + .587 G +
/// .114 B. `what` names the picture in the Error thrown when it is damaged, no PNG, or larger than
/// 16,384 pixels on a side.
Image parse_png(ByteView file, std::int64_t channels, std::string_view what);

/// Decodes a JPEG picture, baseline or progressive, in grey, colour or CMYK, converting it to
/// `channels` (1 or 3; colours become grey as above, four inks red, green and blue as PIL converts
/// them). Values are taken as they are stored: neither a colour profile nor the orientation of Exif
/// is looked at. The same bits on every processor, those of PIL's convert("RGB"). `what` names the
/// picture in the Error thrown when it is damaged or cut short, no JPEG, of 12 bits, or larger than
/// 16,384 pixels on a side.
Image parse_jpeg(ByteView file, std::int64_t channels, std::string_view what);

/// One of the two: the file's first bytes say which, not its name.
Image parse_image(ByteView file, std::int64_t channels, std::string_view what);

/// Reads a picture file.
Image read_image(const std::filesystem::path& path, std::int64_t channels);

// What both decoders need.

/// Throws an Error about a picture of more than 16,384 pixels on a side.
void check_sides(std::int64_t width, std::int64_t height, std::string_view what);

/// Values in colour (red, green, blue) or grey, as a picture of `channels` has them.
Bytes in_channels(Bytes values, bool colour, std::int64_t channels);

}  // namespace pixeldp
