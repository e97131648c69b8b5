#include "engine/io/image.hpp"

#include <memory>

#include <png.h>

#include "engine/error.hpp"
#include "engine/io/file_kind.hpp"

namespace pixeldp {
namespace {

/// The picture without what says which light its values stand for (gAMA, cHRM, sRGB, iCCP). libpng
/// would convert the values by it, while those who train and measure networks (PIL, OpenCV,
/// browsers without colour management) take them as they are.
Bytes without_colour_spaces(ByteView file) {
  constexpr std::size_t signature = 8, frame = 12;  // of a chunk: length, type, check sum
  Bytes kept(file.begin(),
             file.begin() + static_cast<std::ptrdiff_t>(std::min(signature, file.size())));
  kept.reserve(file.size());
  file = file.subspan(kept.size());
  while (file.size() >= frame) {
    const std::size_t length = std::size_t{file[0]} << 24 | std::size_t{file[1]} << 16 |
                               std::size_t{file[2]} << 8 | std::size_t{file[3]};
    if (length > file.size() - frame) break;  // cut short: libpng says so
    const ByteView chunk = file.first(length + frame);
    const std::string_view type = as_text(chunk.subspan(4, 4));
    if (type != "gAMA" && type != "cHRM" && type != "sRGB" && type != "iCCP")
      kept.insert(kept.end(), chunk.begin(), chunk.end());
    file = file.subspan(chunk.size());
  }
  kept.insert(kept.end(), file.begin(), file.end());
  return kept;
}

/// The picture's values over black, in 8 bits, to nearest: one for each pixel or, with `colour`,
/// three.
Bytes values_over_black(png_image& png, bool colour, std::string_view what) {
  const std::size_t channels = colour ? 3 : 1;
  Bytes values;
  values.reserve(std::size_t{png.height} * png.width * channels);
  const auto decode = [&](png_uint_32 format, auto& stored) {
    png.format = format;
    stored.resize(PNG_IMAGE_SIZE(png) / sizeof(stored[0]));
    if (!png_image_finish_read(&png, nullptr, stored.data(), 0, nullptr))
      fail("{}: damaged PNG picture: {}", what, png.message);
  };
  if ((png.format & PNG_FORMAT_FLAG_LINEAR) != 0) {
    // 16 bits, which libpng takes for proportional to light, and so hands out as they are but for
    // the multiplication by alpha. (Its own way to 8 bits mixes up the rows of interlaced
    // pictures.)
    std::vector<png_uint_16> stored;
    decode(colour ? PNG_FORMAT_LINEAR_RGB_ALPHA : PNG_FORMAT_LINEAR_Y_ALPHA, stored);
    for (std::size_t at = 0; at < stored.size(); at += channels + 1)
      for (std::size_t c = 0; c < channels; ++c)
        values.push_back(static_cast<std::uint8_t>((stored[at + c] + 128) / 257));
  } else {
    Bytes stored;
    decode(colour ? PNG_FORMAT_RGBA : PNG_FORMAT_GA, stored);
    for (std::size_t at = 0; at < stored.size(); at += channels + 1)
      for (std::size_t c = 0; c < channels; ++c)
        values.push_back(
            static_cast<std::uint8_t>((stored[at + c] * stored[at + channels] + 127) / 255));
  }
  return values;
}

/// Luma of ITU-R BT.601, .299 R + .587 G + .114 B of the values as they are stored, to nearest; of
/// grey values the grey value.
std::uint8_t luma(std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  return static_cast<std::uint8_t>((19595u * red + 38470u * green + 7471u * blue + 32768u) >> 16);
}

}  // namespace

void check_sides(std::int64_t width, std::int64_t height, std::string_view what) {
  constexpr std::int64_t largest_side = 16384;
  if (width > largest_side || height > largest_side)
    fail("{}: the picture has {}x{} pixels; at most {} on a side are read", what, width, height,
         largest_side);
  constexpr std::int64_t most_pixels = std::int64_t{1} << 27;  // or a few bytes took gigabytes
  if (width * height > most_pixels)
    fail("{}: the picture has {}x{} pixels; at most {} in all are read", what, width, height,
         most_pixels);
}

Bytes in_channels(Bytes values, bool colour, std::int64_t channels) {
  if (channels != 1 && channels != 3) fail("no picture has {} channels, but 1 or 3", channels);
  if (colour == (channels == 3)) return values;
  Bytes converted;
  converted.reserve(colour ? values.size() / 3 : values.size() * 3);
  if (colour) {
    for (std::size_t at = 0; at < values.size(); at += 3)
      converted.push_back(luma(values[at], values[at + 1], values[at + 2]));
  } else {
    for (const std::uint8_t value : values) converted.insert(converted.end(), 3, value);
  }
  return converted;
}

Image parse_png(ByteView file, std::int64_t channels, std::string_view what) {
  const Bytes plain = without_colour_spaces(file);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, void (*)(png_image*)> release(&png, png_image_free);
  if (!png_image_begin_read_from_memory(&png, plain.data(), plain.size())) {
    const FileKind kind = file_kind(file);
    fail("{}: not a readable PNG picture: {}{}", what, png.message,
         kind == FileKind::png ? "" : hint(kind));
  }
  check_sides(png.width, png.height, what);
  const bool colour = (png.format & PNG_FORMAT_FLAG_COLOR) != 0;
  return {.height = png.height,
          .width = png.width,
          .channels = channels,
          .pixels = in_channels(values_over_black(png, colour, what), colour, channels)};
}

Image parse_image(ByteView file, std::int64_t channels, std::string_view what) {
  const FileKind kind = file_kind(file);
  if (kind == FileKind::jpeg) return parse_jpeg(file, channels, what);
  if (kind == FileKind::png) return parse_png(file, channels, what);
  fail("{}: neither a PNG nor a JPEG picture{}", what, hint(kind));
}

Image read_image(const std::filesystem::path& path, std::int64_t channels) {
  return parse_image(read_file(path), channels, path.string());
}

}  // namespace pixeldp
