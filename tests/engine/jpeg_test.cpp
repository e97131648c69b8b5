#include <cmath>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "engine/io/image.hpp"
#include "tests/made_jpeg.hpp"
#include "tests/made_png.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using tests::MadeJpeg;

namespace {

/// Smooth: what a JPEG of the best quality holds to a few levels.
int smooth(std::uint32_t x, std::uint32_t y, int channel) {
  return static_cast<int>(20 + 6 * x + 4 * y + 30 * static_cast<std::uint32_t>(channel)) % 256;
}

/// The largest difference from the values that were written.
int error_of(const Image& image, int channels) {
  int error = 0;
  const std::uint8_t* pixel = image.pixels.data();
  for (std::uint32_t y = 0; y < image.height; ++y)
    for (std::uint32_t x = 0; x < image.width; ++x)
      for (int c = 0; c < channels; ++c)
        error = std::max(error, std::abs(*pixel++ - smooth(x, y, c)));
  return error;
}

}  // namespace

TEST_CASE("JPEG pictures in grey and colour, baseline and progressive, have the values stored") {
  for (const bool progressive : {false, true}) {
    for (const bool subsampled : {false, true}) {
      CAPTURE(progressive);
      CAPTURE(subsampled);
      const MadeJpeg grey{.width = 19, .height = 13, .progressive = progressive};
      const Image one = parse_jpeg(grey.bytes(smooth), 1, "made");
      CHECK(one.width == 19);
      CHECK(one.height == 13);
      REQUIRE(one.pixels.size() == 19 * 13);
      CHECK(error_of(one, 1) <= 1);
      const Image three = parse_jpeg(grey.bytes(smooth), 3, "made");
      for (std::size_t i = 0; i < one.pixels.size() * 3; ++i)
        REQUIRE(three.pixels[i] == one.pixels[i / 3]);

      const MadeJpeg colour{.width = 19,
                            .height = 13,
                            .colour = JCS_RGB,
                            .progressive = progressive,
                            .subsampled = subsampled};
      const Image rgb = parse_jpeg(colour.bytes(smooth), 3, "made");
      REQUIRE(rgb.pixels.size() == 19 * 13 * 3);
      CHECK(error_of(rgb, 3) <= (subsampled ? 8 : 3));
      const Image luma = parse_jpeg(colour.bytes(smooth), 1, "made");
      for (std::size_t i = 0; i < luma.pixels.size(); ++i) {
        const std::uint8_t* const v = &rgb.pixels[3 * i];
        REQUIRE(std::abs(luma.pixels[i] - (0.299 * v[0] + 0.587 * v[1] + 0.114 * v[2])) < 0.51);
      }
    }
  }
}

TEST_CASE("four inks become red, green and blue, as they are stored inverted") {
  const auto inks = [](std::uint32_t x, std::uint32_t y, int ink) {
    return ink == 3 ? 255 - static_cast<int>(8 * y) : smooth(x, y, ink);
  };
  const Bytes file = MadeJpeg{.width = 16, .height = 8, .colour = JCS_CMYK}.bytes(inks);
  const Image image = parse_jpeg(file, 3, "made");
  REQUIRE(image.pixels.size() == 16 * 8 * 3);
  int error = 0;
  for (std::uint32_t y = 0; y < 8; ++y)
    for (std::uint32_t x = 0; x < 16; ++x)
      for (int c = 0; c < 3; ++c) {
        const double right = inks(x, y, c) * inks(x, y, 3) / 255.0;
        error = std::max(error,
                         static_cast<int>(std::abs(
                             image.pixels[(y * 16 + x) * 3 + static_cast<unsigned>(c)] - right)));
      }
  CHECK(error <= 3);
  CHECK(parse_jpeg(file, 1, "made").pixels.size() == 16 * 8);
}

TEST_CASE("the first bytes say whether a picture is PNG or JPEG") {
  const Bytes jpeg = MadeJpeg{.width = 8, .height = 8}.bytes(smooth);
  tests::MadePng png{.width = 8, .height = 8, .sample = [](auto x, auto y, int) { return x + y; }};
  CHECK(parse_image(jpeg, 1, "a.png").pixels == parse_jpeg(jpeg, 1, "a").pixels);
  CHECK(parse_image(png.bytes(), 1, "a.jpg").pixels == parse_png(png.bytes(), 1, "a").pixels);
  CHECK_FAILS(parse_image(as_bytes("GIF89a"), 1, "a.jpg"),
              "a.jpg: neither a PNG nor a JPEG picture; it is a GIF picture");
}

TEST_CASE("JPEG pictures that are damaged, or of no known colours, are refused by name") {
  const auto refused = [](const Bytes& file, const char* part) {
    CHECK_FAILS(parse_jpeg(file, 3, "a.jpg"), part);
    CHECK_FAILS(parse_jpeg(file, 3, "a.jpg"), "a.jpg: ");
  };
  const MadeJpeg colour{.width = 40, .height = 40, .colour = JCS_RGB};
  const Bytes good = colour.bytes(smooth);
  for (const std::size_t missing : {std::size_t{2}, std::size_t{40}, good.size() / 2}) {
    CAPTURE(missing);
    refused(Bytes(good.begin(), good.end() - static_cast<std::ptrdiff_t>(missing)),
            "damaged JPEG picture: Premature end");
  }
  refused(Bytes(good.begin(), good.begin() + 30), "not a readable JPEG picture");
  refused({}, "it is empty");
  refused(tests::MadePng{.sample = [](auto, auto, int) { return 1u; }}.bytes(),
          "it is a PNG picture");
  Bytes flipped = good;  // within the coded pixels
  for (std::size_t i = good.size() - 60; i < good.size() - 20; ++i) flipped[i] = 0xfe;
  refused(flipped, "damaged JPEG picture");
  refused(MadeJpeg{.arithmetic = true}.bytes(smooth), "arithmetic coding");

  // The frame header: marker, length, bits of a value, height, width.
  const auto changed = [&](std::size_t offset, Bytes values) {
    Bytes file = good;
    for (std::size_t i = 0; i + 1 < file.size(); ++i)
      if (file[i] == 0xff && file[i + 1] == 0xc0) {
        std::copy(values.begin(), values.end(),
                  file.begin() + static_cast<std::ptrdiff_t>(i + offset));
        return file;
      }
    return Bytes();
  };
  refused(changed(4, {12}), "precision 12");
  refused(changed(5, {0, 0}), "not a readable JPEG picture");  // no rows
  refused(changed(7, {0, 0}), "not a readable JPEG picture");  // no columns
  refused(changed(5, {0x7f, 0xff}), "at most 16384 on a side");
  refused(changed(5, {0x3f, 0xff, 0x3f, 0xff}), "at most 134217728 in all");
  refused(changed(5, {0x1f, 0xff, 0x3f, 0xff}), "cannot hold 16383x8191 pixels");
  // Bytes between the last block and the end change no pixel.
  Bytes more = good;
  more.insert(more.end() - 2, 5, 0x55);
  CHECK(parse_jpeg(more, 3, "more").pixels == parse_jpeg(good, 3, "good").pixels);
}
