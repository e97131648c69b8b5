#include "engine/io/png_data_uri.hpp"

#include <openssl/evp.h>
#include <png.h>

#include "engine/error.hpp"

namespace pixeldp {

Bytes encode_png(const Image& image) {
  if ((image.channels != 1 && image.channels != 3) || image.height < 1 || image.width < 1 ||
      std::ssize(image.pixels) != image.height * image.width * image.channels) {
    fail("{} bytes are no picture of {}x{} pixels in {} channels", image.pixels.size(), image.width,
         image.height, image.channels);
  }
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  Bytes file(size);
  if (png_image_write_to_memory(&png, file.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0)
    fail("a picture of {}x{} pixels cannot be written as PNG: {}", image.width, image.height,
         png.message);
  file.resize(size);
  return file;
}

std::string png_data_uri(const Image& image) {
  const Bytes file = encode_png(image);
  // Four characters for every three bytes, and a zero.
  std::string text((file.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), file.data(),
                                     static_cast<int>(file.size()));
  text.resize(static_cast<std::size_t>(length));
  return "data:image/png;base64," + text;
}

}  // namespace pixeldp
