#include "engine/io/image.hpp"

#include <memory>

#include <png.h>

#include "engine/error.hpp"

namespace pixeldp {

Image parse_png(ByteView file, std::int64_t channels, std::string_view what) {
  constexpr png_uint_32 largest_side = 16384;
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, void (*)(png_image*)> release(&png, png_image_free);
  if (!png_image_begin_read_from_memory(&png, file.data(), file.size())) {
    fail("{}: not a readable PNG picture: {}", what, png.message);
  }
  if (png.width > largest_side || png.height > largest_side) {
    fail("{}: the picture has {}x{} pixels; at most {} on a side are read", what, png.width,
         png.height, largest_side);
  }
  png.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  Image image{.height = png.height,
              .width = png.width,
              .channels = channels,
              .pixels = Bytes(PNG_IMAGE_SIZE(png))};
  const png_color black{};
  if (!png_image_finish_read(&png, &black, image.pixels.data(), 0, nullptr)) {
    fail("{}: damaged PNG picture: {}", what, png.message);
  }
  return image;
}

Image read_image(const std::filesystem::path& path, std::int64_t channels) {
  return parse_png(read_file(path), channels, path.string());
}

}  // namespace pixeldp
