#include "engine/io/resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include <doctest/doctest.h>

#include "engine/io/image_folder.hpp"
#include "tests/real_data.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

Image made(std::int64_t width, std::int64_t height, std::int64_t channels) {
  Image image{.height = height, .width = width, .channels = channels, .pixels = {}};
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<std::uint8_t>(x * 37 + y * 91 + c * 50 + x * y));
  return image;
}

/// The weight of input pixel `x` in output pixel `i`: a triangle in real numbers.
double weight(std::int64_t x, std::int64_t i, double scale) {
  const double centre = (static_cast<double>(i) + 0.5) * scale;
  const double distance = std::abs(static_cast<double>(x) + 0.5 - centre) / std::max(scale, 1.0);
  return std::max(1.0 - distance, 0.0);
}

/// Output pixel (row, column) of the whole resized picture, without any rounding between.
double resized_at(const Image& image, std::int64_t rows, std::int64_t columns, std::int64_t row,
                  std::int64_t column, std::int64_t channel) {
  const double down = static_cast<double>(image.height) / static_cast<double>(rows);
  const double across = static_cast<double>(image.width) / static_cast<double>(columns);
  double sum = 0, weights = 0;
  for (std::int64_t y = 0; y < image.height; ++y)
    for (std::int64_t x = 0; x < image.width; ++x) {
      const double w = weight(y, row, down) * weight(x, column, across);
      const auto at = static_cast<std::size_t>((y * image.width + x) * image.channels + channel);
      sum += w * image.pixels[at];
      weights += w;
    }
  return sum / weights;
}

}  // namespace

TEST_CASE("pictures are resized as Pillow does, to the last bit") {
  // By Pillow 13.0 and Python's round().
  CHECK(resized_centre(made(9, 7, 1), 4, 3, 4).pixels ==
        Bytes{68, 118, 160, 121, 131, 93, 129, 113, 120, 146, 111, 108});
  CHECK(resized_centre(made(5, 8, 3), 2, 2, 2).pixels ==
        Bytes{102, 127, 130, 137, 152, 131, 122, 134, 137, 120, 130, 131});
  CHECK(resized_centre(made(3, 2, 1), 5, 4, 5).pixels ==
        Bytes{5, 21, 37, 53, 69, 14, 30, 46, 62, 78, 51, 67, 83, 99, 116, 87, 104, 120, 136, 153});
  // Margins of 2.5 and 1.5 pixels are 2 both.
  CHECK(resized_centre(made(7, 3, 1), 3, 2, 2).pixels == Bytes{74, 111, 167, 205});
  CHECK(resized_centre(made(5, 3, 1), 3, 2, 2).pixels == Bytes{74, 111, 167, 205});
  const Image same = made(6, 6, 3);
  CHECK(resized_centre(same, 6, 6, 6).pixels == same.pixels);
}

TEST_CASE("resizing is a triangle filter, but for the rounding of its two passes") {
  const std::int64_t sizes[][3] = {{23, 17, 8}, {17, 23, 16}, {9, 4, 11}, {40, 3, 2}, {5, 5, 1}};
  for (const auto& [width, height, side] : sizes) {
    CAPTURE(width);
    CAPTURE(side);
    const Image image = made(width, height, 3);
    const std::int64_t shorter = std::min(width, height);
    const std::int64_t rows = side * height / shorter, columns = side * width / shorter;
    const Image window = resized_centre(image, side, side, side);
    const std::int64_t top = std::lrint(static_cast<double>(rows - side) / 2);
    const std::int64_t left = std::lrint(static_cast<double>(columns - side) / 2);
    double error = 0;
    for (std::int64_t y = 0; y < side; ++y)
      for (std::int64_t x = 0; x < side; ++x)
        for (std::int64_t c = 0; c < 3; ++c)
          error = std::max(
              error, std::abs(window.pixels[static_cast<std::size_t>((y * side + x) * 3 + c)] -
                              resized_at(image, rows, columns, y + top, x + left, c)));
    CHECK(error < 1.01);
  }
  CHECK_FAILS(resized_centre(made(4, 4, 1), 3, 4, 2), "2x4 pixels");
  CHECK_FAILS(resized_centre(Image{}, 3, 3, 3), "0x0 pixels");
}

TEST_CASE("real photographs become the very pixels that Pillow makes of them") {
  const auto data = tests::real_data({"imagenet-sample"});
  if (!data) return;
  const TemporaryFolder folder;
  std::filesystem::create_directory_symlink(*data / "imagenet-sample", folder / "val");
  const Dataset set =
      load_dataset("image-folder", "test", folder.path(),
                   {.height = 64, .width = 64, .channels = 3, .classes = 200, .short_side = 72});
  REQUIRE(set.size() == 200);
  // By `for c in n*; do sha256sum $c/*; done | sha256sum`.
  CHECK(set.sha256() == "023fb4bc489ec41cfb8d0524d019a8f563f20aa2c0e25bead00d44129362ddc0");
  Bytes pixels(static_cast<std::size_t>(set.image_size()));
  Sha256 digest;
  for (std::int64_t i = 0; i < set.size(); i += 5) {
    set.read(i, pixels.data());
    digest.update(pixels);
  }
  CHECK(digest.hex() == "12422317dd3f7f001a7bfc786bca880e35819e3af6cda7b3d2ecc2ea585c976b");
}
