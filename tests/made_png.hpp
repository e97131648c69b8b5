#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <zlib.h>

#include "engine/io/file.hpp"

namespace pixeldp::tests {

/// A PNG picture of any kind, written by the letter of its specification (W3C, 2003): the encoder
/// shares nothing with the library that reads it.
struct MadePng {
  enum Colour : std::uint8_t { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgb_alpha = 6 };

  std::uint32_t width = 1, height = 1;
  int depth = 8;  ///< bits of a sample
  Colour colour = grey;
  bool interlaced = false;
  /// Sample `channel` of a pixel, below 2^depth.
  std::function<std::uint32_t(std::uint32_t x, std::uint32_t y, int channel)> sample = {};
  /// Further chunks between header and pixels: type and contents.
  std::vector<std::pair<std::string, Bytes>> chunks = {};

  int channels() const {
    switch (colour) {
      case grey:
      case palette:
        return 1;
      case grey_alpha:
        return 2;
      case rgb:
        return 3;
      case rgb_alpha:
        return 4;
    }
    return 0;
  }

  Bytes bytes() const {
    Bytes file{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, header;
    append(header, width);
    append(header, height);
    for (const int value : {depth, int{colour}, 0, 0, int{interlaced}})
      header.push_back(static_cast<std::uint8_t>(value));
    append_chunk(file, "IHDR", header);
    for (const auto& [type, contents] : chunks) append_chunk(file, type, contents);
    append_chunk(file, "IDAT", compressed(scanlines()));
    append_chunk(file, "IEND", {});
    return file;
  }

 private:
  static void append(Bytes& bytes, std::uint32_t value) {
    for (const int shift : {24, 16, 8, 0})
      bytes.push_back(static_cast<std::uint8_t>(value >> shift));
  }

  static void append_chunk(Bytes& file, std::string_view type, const Bytes& contents) {
    append(file, static_cast<std::uint32_t>(contents.size()));
    const std::size_t start = file.size();
    for (const char c : type) file.push_back(static_cast<std::uint8_t>(c));
    file.insert(file.end(), contents.begin(), contents.end());
    append(file, static_cast<std::uint32_t>(
                     crc32(0, file.data() + start, static_cast<uInt>(file.size() - start))));
  }

  static Bytes compressed(const Bytes& bytes) {
    uLongf size = compressBound(bytes.size());
    Bytes stream(size);
    compress(stream.data(), &size, bytes.data(), bytes.size());
    stream.resize(size);
    return stream;
  }

  /// Every pixel from (x0, y0) on in steps of dx and dy, each line behind its filter, none.
  void append_pass(Bytes& lines, std::uint32_t x0, std::uint32_t y0, std::uint32_t dx,
                   std::uint32_t dy) const {
    for (std::uint32_t y = y0; x0 < width && y < height; y += dy) {
      lines.push_back(0);
      std::uint32_t bits = 0;
      int filled = 0;
      for (std::uint32_t x = x0; x < width; x += dx) {
        for (int c = 0; c < channels(); ++c) {
          const std::uint32_t value = sample(x, y, c);
          if (depth == 16) lines.push_back(static_cast<std::uint8_t>(value >> 8));
          if (depth >= 8) {
            lines.push_back(static_cast<std::uint8_t>(value));
            continue;
          }
          bits = bits << depth | value;
          if ((filled += depth) == 8) lines.push_back(static_cast<std::uint8_t>(bits)), filled = 0;
        }
      }
      if (filled > 0) lines.push_back(static_cast<std::uint8_t>(bits << (8 - filled)));
    }
  }

  Bytes scanlines() const {
    Bytes lines;
    if (!interlaced) {
      append_pass(lines, 0, 0, 1, 1);
      return lines;
    }
    constexpr std::uint32_t adam7[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                           {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    for (const auto& [x0, y0, dx, dy] : adam7) append_pass(lines, x0, y0, dx, dy);
    return lines;
  }
};

}  // namespace pixeldp::tests
