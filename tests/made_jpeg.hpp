#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

#include "engine/io/file.hpp"

namespace pixeldp::tests {

/// A JPEG picture of the values 0 to 255 of its pixels.
struct MadeJpeg {
  std::uint32_t width = 1, height = 1;
  J_COLOR_SPACE colour = JCS_GRAYSCALE;  ///< or JCS_RGB, stored as YCbCr, or JCS_CMYK
  int quality = 100;
  bool progressive = false, subsampled = false, arithmetic = false;

  /// sample(x, y, channel)
  template <typename Sample>
  Bytes bytes(Sample sample) const {
    jpeg_compress_struct info{};
    jpeg_error_mgr errors{};
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char* file = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &file, &size);
    info.image_width = width;
    info.image_height = height;
    info.in_color_space = colour;
    info.input_components = colour == JCS_GRAYSCALE ? 1 : colour == JCS_RGB ? 3 : 4;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    if (!subsampled) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
    if (progressive) jpeg_simple_progression(&info);
    info.arith_code = arithmetic;
    jpeg_start_compress(&info, TRUE);
    Bytes line(std::size_t{width} * static_cast<std::size_t>(info.input_components));
    for (std::uint32_t y = 0; y < height; ++y) {
      std::size_t at = 0;
      for (std::uint32_t x = 0; x < width; ++x)
        for (int c = 0; c < info.input_components; ++c)
          line[at++] = static_cast<std::uint8_t>(sample(x, y, c));
      JSAMPROW row = line.data();
      jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    const Bytes made(file, file + size);
    jpeg_destroy_compress(&info);
    std::free(file);
    return made;
  }
};

}  // namespace pixeldp::tests
