#include <array>
#include <csetjmp>
#include <cstdio>
#include <memory>

#include <jpeglib.h>
// After jpeglib.h, which it needs.
#include <jerror.h>

#include "engine/error.hpp"
#include "engine/io/file_kind.hpp"
#include "engine/io/image.hpp"

#ifndef LIBJPEG_TURBO_VERSION
#error "libjpeg-turbo is needed: other libraries make other pixels of the same file"
#endif

namespace pixeldp {
namespace {

struct Reader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf failed{};
  std::array<char, JMSG_LENGTH_MAX> message{};
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto& reader = *static_cast<Reader*>(info->client_data);
  info->err->format_message(info, reader.message.data());
  std::longjmp(reader.failed, 1);
}

/// libjpeg goes on where data are damaged or missing, and makes the rest of the picture up. What
/// changes no pixel may pass, and bytes between the parts of a file, which whole pictures have too.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // no warning, but a trace of what it does
  const int code = info->err->msg_code;
  if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
      code == JWRN_NOT_SEQUENTIAL)
    return;
  on_error(info);
}

/// Each scan of a progressive picture takes as long as the first one, and takes next to no bytes.
void limit_scans(j_common_ptr info) {
  constexpr int most_scans = 500;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= most_scans) return;
  auto& reader = *static_cast<Reader*>(info->client_data);
  std::snprintf(reader.message.data(), reader.message.size(), "more than %d scans", most_scans);
  std::longjmp(reader.failed, 1);
}

// A failure leaves these two by longjmp, past the frames of libjpeg: they hold nothing that would
// have to be destroyed.

bool read_header(Reader& reader, ByteView file) {
  if (setjmp(reader.failed) != 0) return false;
  jpeg_create_decompress(&reader.info);
  reader.progress.progress_monitor = limit_scans;
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, file.data(), file.size());
  jpeg_read_header(&reader.info, TRUE);
  return true;
}

bool decode(Reader& reader, std::uint8_t* values) {
  jpeg_decompress_struct& info = reader.info;
  if (setjmp(reader.failed) != 0) return false;
  jpeg_start_decompress(&info);
  const std::size_t stride =
      std::size_t{info.output_width} * static_cast<std::size_t>(info.output_components);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = values + info.output_scanline * stride;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return true;
}

/// What libjpeg is asked for: grey, red, green and blue, or four inks. Others are refused.
J_COLOR_SPACE colours_of(const jpeg_decompress_struct& info, std::string_view what) {
  if (info.jpeg_color_space == JCS_GRAYSCALE) return JCS_GRAYSCALE;
  if (info.jpeg_color_space == JCS_YCbCr || info.jpeg_color_space == JCS_RGB) return JCS_RGB;
  if (info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK) return JCS_CMYK;
  fail("{}: a JPEG picture of {} channels is neither grey nor in colour", what,
       info.num_components);
}

/// Inks to red, green and blue as PIL converts them, which takes all for inverted, as Adobe's
/// programs write them: a channel is k - (255 - c) k / 255, the quotient to nearest, with c its
/// ink and k black as they are stored.
Bytes without_inks(const Bytes& inks) {
  Bytes values;
  values.reserve(inks.size() / 4 * 3);
  for (std::size_t at = 0; at < inks.size(); at += 4)
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned k = inks[at + 3], product = (255u - inks[at + c]) * k + 128;
      values.push_back(static_cast<std::uint8_t>(k - ((product + (product >> 8)) >> 8)));
    }
  return values;
}

}  // namespace

Image parse_jpeg(ByteView file, std::int64_t channels, std::string_view what) {
  Reader reader;
  jpeg_decompress_struct& info = reader.info;
  info.err = jpeg_std_error(&reader.errors);
  info.client_data = &reader;
  reader.errors.error_exit = on_error;
  reader.errors.emit_message = on_message;
  const std::unique_ptr<jpeg_decompress_struct, void (*)(j_decompress_ptr)> release(
      &info, jpeg_destroy_decompress);
  if (!read_header(reader, file)) {
    const FileKind kind = file_kind(file);
    fail("{}: not a readable JPEG picture: {}{}", what, reader.message.data(),
         kind == FileKind::jpeg ? "" : hint(kind));
  }
  check_sides(info.image_width, info.image_height, what);
  const J_COLOR_SPACE colours = colours_of(info, what);
  const bool colour = colours != JCS_GRAYSCALE;
  if (info.arith_code)
    fail("{}: a JPEG picture in arithmetic coding, which few programs read", what);
  // Huffman coding takes a bit at least for each block of 8x8 pixels.
  constexpr std::size_t pixels_of_byte = 8 * 8 * 8;
  const std::size_t pixels = std::size_t{info.image_width} * info.image_height;
  if (pixels / pixels_of_byte > file.size())
    fail("{}: damaged JPEG picture: {} bytes cannot hold {}x{} pixels", what, file.size(),
         info.image_width, info.image_height);

  // In integers, with the same bits on every processor.
  info.dct_method = JDCT_ISLOW;
  info.do_fancy_upsampling = TRUE;
  info.do_block_smoothing = FALSE;
  info.out_color_space = colours;
  Bytes values(pixels * (colours == JCS_CMYK ? 4 : colour ? 3 : 1));
  if (!decode(reader, values.data()))
    fail("{}: damaged JPEG picture: {}", what, reader.message.data());
  if (colours == JCS_CMYK) values = without_inks(values);
  return {.height = info.image_height,
          .width = info.image_width,
          .channels = channels,
          .pixels = in_channels(std::move(values), colour, channels)};
}

}  // namespace pixeldp
