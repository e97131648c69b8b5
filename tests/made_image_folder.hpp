#pragma once

#include <fmt/format.h>

#include "engine/io/dataset.hpp"
#include "tests/made_png.hpp"

namespace pixeldp::tests {

inline void write_in(const std::filesystem::path& file, const Bytes& contents) {
  std::filesystem::create_directories(file.parent_path());
  write_file_atomically(file, contents);
}

/// A PNG picture of bytes H, W, C.
inline Bytes png_of(const std::uint8_t* pixels, std::uint32_t height, std::uint32_t width,
                    std::uint32_t channels) {
  MadePng png{
      .width = width, .height = height, .colour = channels == 1 ? MadePng::grey : MadePng::rgb};
  png.sample = [=](std::uint32_t x, std::uint32_t y, int c) {
    return pixels[(y * width + x) * channels + static_cast<std::uint32_t>(c)];
  };
  return png.bytes();
}

/// The images of a data set as a split of an image folder, ROOT/FOLDER/class LABEL/NUMBER.png.
inline void write_as_folder(const Dataset& set, const std::filesystem::path& folder) {
  Bytes pixels(static_cast<std::size_t>(set.image_size()));
  for (std::int64_t i = 0; i < set.size(); ++i) {
    set.read(i, pixels.data());
    write_in(
        folder / fmt::format("class {}", set.labels[static_cast<std::size_t>(i)]) /
            fmt::format("{:05}.png", i),
        png_of(pixels.data(), static_cast<std::uint32_t>(set.height),
               static_cast<std::uint32_t>(set.width), static_cast<std::uint32_t>(set.channels)));
  }
}

}  // namespace pixeldp::tests
