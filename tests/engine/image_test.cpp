#include "engine/io/image.hpp"

#include <array>
#include <cmath>
#include <string>

#include "tests/made_png.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using tests::MadePng;

namespace {

std::string seed(const char* name) {
  return std::string(PIXELDP_SOURCE_DIR "/tests/fuzz/corpus/png/") + name;
}

/// A sample that uses all of its bits, and differs from its neighbours'.
std::uint32_t any_sample(std::uint32_t x, std::uint32_t y, int channel, int depth) {
  const std::uint32_t mixed =
      (x * 7 + y * 13 + static_cast<std::uint32_t>(channel) * 5 + 1) * 40503;
  return mixed % (std::uint32_t{1} << depth);
}

/// A palette of so many colours, and the alpha of the first half of them.
Bytes palette_of(std::uint32_t colours) {
  Bytes palette;
  for (std::uint32_t i = 0; i < colours * 3; ++i)
    palette.push_back(static_cast<std::uint8_t>(i * 37 + 11));
  return palette;
}
std::uint8_t palette_alpha(std::uint32_t index, std::uint32_t colours) {
  return static_cast<std::uint8_t>(index < (colours + 1) / 2 ? 40 + index * 3 : 255);
}

/// The three values from 0 to 255 that a pixel must have but for rounding, from the samples and the
/// chunks themselves.
std::array<double, 3> expected(const MadePng& png, std::uint32_t x, std::uint32_t y,
                               bool transparent) {
  std::array<std::uint32_t, 4> s{};
  for (int c = 0; c < png.channels(); ++c) s[static_cast<std::size_t>(c)] = png.sample(x, y, c);
  std::array<double, 3> values{};
  double alpha = 1;
  const double most = (1 << png.depth) - 1;
  const auto set = [&](std::uint32_t r, std::uint32_t g, std::uint32_t b) {
    values = {255 * r / most, 255 * g / most, 255 * b / most};
  };
  switch (png.colour) {
    case MadePng::grey:  // transparent: the value of the first pixel
      set(s[0], s[0], s[0]);
      if (transparent && s[0] == png.sample(0, 0, 0)) alpha = 0;
      break;
    case MadePng::rgb:
      set(s[0], s[1], s[2]);
      if (transparent && s[0] == png.sample(0, 0, 0) && s[1] == png.sample(0, 0, 1) &&
          s[2] == png.sample(0, 0, 2))
        alpha = 0;
      break;
    case MadePng::palette: {
      const std::uint32_t colours = 1u << png.depth;
      const Bytes colour = palette_of(colours);
      for (std::size_t c = 0; c < 3; ++c) values[c] = colour[s[0] * 3 + c];
      if (transparent) alpha = palette_alpha(s[0], colours) / 255.0;
      break;
    }
    case MadePng::grey_alpha:
      set(s[0], s[0], s[0]);
      alpha = s[1] / most;
      break;
    case MadePng::rgb_alpha:
      set(s[0], s[1], s[2]);
      alpha = s[3] / most;
      break;
  }
  for (double& value : values) value *= alpha;
  return values;
}

/// Adds what the colour type takes of a palette and of transparency without an alpha channel.
void add_chunks(MadePng& png, bool transparent) {
  const std::uint32_t colours = 1u << png.depth;
  if (png.colour == MadePng::palette) png.chunks.push_back({"PLTE", palette_of(colours)});
  if (!transparent) return;
  Bytes contents;
  if (png.colour == MadePng::palette) {
    for (std::uint32_t i = 0; i < (colours + 1) / 2; ++i)
      contents.push_back(palette_alpha(i, colours));
  } else {
    for (int c = 0; c < png.channels(); ++c) {
      const std::uint32_t value = png.sample(0, 0, c);
      contents.push_back(static_cast<std::uint8_t>(value >> 8));
      contents.push_back(static_cast<std::uint8_t>(value));
    }
  }
  png.chunks.push_back({"tRNS", contents});
}

void check_picture(const MadePng& png, bool transparent) {
  const Image colour = parse_png(png.bytes(), 3, "made");
  const Image grey = parse_png(png.bytes(), 1, "made");
  REQUIRE(colour.pixels.size() == std::size_t{png.width} * png.height * 3);
  REQUIRE(grey.pixels.size() == std::size_t{png.width} * png.height);
  int wrong_colours = 0, wrong_greys = 0;
  for (std::uint32_t y = 0; y < png.height; ++y) {
    for (std::uint32_t x = 0; x < png.width; ++x) {
      const auto right = expected(png, x, y, transparent);
      const std::size_t at = std::size_t{y} * png.width + x;
      const std::uint8_t* const rgb = &colour.pixels[at * 3];
      // To nearest; 16 bits are rounded once before, when they are multiplied by alpha.
      for (std::size_t c = 0; c < 3; ++c) wrong_colours += std::abs(rgb[c] - right[c]) > 0.51;
      // The weights are fractions of 2^16.
      const double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
      wrong_greys += std::abs(grey.pixels[at] - luma) > 0.51;
      if (rgb[0] == rgb[1] && rgb[1] == rgb[2]) wrong_greys += grey.pixels[at] != rgb[0];
    }
  }
  CHECK(wrong_colours == 0);
  CHECK(wrong_greys == 0);
}

}  // namespace

TEST_CASE("PNG pictures of every colour type, depth, transparency and interlacing") {
  const std::pair<MadePng::Colour, std::vector<int>> kinds[] = {{MadePng::grey, {1, 2, 4, 8, 16}},
                                                                {MadePng::rgb, {8, 16}},
                                                                {MadePng::palette, {1, 2, 4, 8}},
                                                                {MadePng::grey_alpha, {8, 16}},
                                                                {MadePng::rgb_alpha, {8, 16}}};
  int pictures = 0;
  for (const auto& [colour, depths] : kinds) {
    for (const int depth : depths) {
      for (const bool interlaced : {false, true}) {
        for (const bool transparent : {false, true}) {
          const bool has_alpha = colour == MadePng::grey_alpha || colour == MadePng::rgb_alpha;
          if (transparent && has_alpha) continue;  // such a picture has no tRNS chunk
          CAPTURE(int{colour});
          CAPTURE(depth);
          CAPTURE(interlaced);
          CAPTURE(transparent);
          MadePng png{.width = 11,
                      .height = 9,
                      .depth = depth,
                      .colour = colour,
                      .interlaced = interlaced,
                      .sample = [depth = depth](std::uint32_t x, std::uint32_t y, int c) {
                        return any_sample(x, y, c, depth);
                      }};
          add_chunks(png, transparent);
          check_picture(png, transparent);
          ++pictures;
        }
      }
    }
  }
  CHECK(pictures == 2 * (2 * 11 + 4));
}

TEST_CASE("16 bits say what 8 bits say: 257 v is v, whatever light the picture speaks of") {
  const Bytes linear_gamma{0, 1, 0x86, 0xa0}, other_gamma{0, 0, 0x58, 0xc7};  // 1.0, 1 / 4.4
  const std::vector<std::vector<std::pair<std::string, Bytes>>> lights = {
      {}, {{"gAMA", linear_gamma}}, {{"gAMA", other_gamma}}, {{"sRGB", {0}}}};
  for (const MadePng::Colour colour :
       {MadePng::grey, MadePng::rgb, MadePng::grey_alpha, MadePng::rgb_alpha}) {
    for (const int depth : {8, 16}) {
      for (const auto& light : lights) {
        CAPTURE(int{colour});
        CAPTURE(depth);
        MadePng png{.width = 16, .height = 16, .depth = depth, .colour = colour, .chunks = light};
        const int alpha = png.channels() % 2 == 0 ? png.channels() - 1 : -1;
        png.sample = [&](std::uint32_t x, std::uint32_t y, int c) {
          const std::uint32_t v = c == alpha ? 255 : x * 16 + y;
          return depth == 16 ? v * 257 : v;
        };
        const Image grey = parse_png(png.bytes(), 1, "made"),
                    three = parse_png(png.bytes(), 3, "made");
        int wrong = 0;
        for (std::size_t i = 0; i < 256; ++i) {
          const auto v = static_cast<std::uint8_t>(i % 16 * 16 + i / 16);
          wrong += grey.pixels[i] != v;
          for (std::size_t c = 0; c < 3; ++c) wrong += three.pixels[i * 3 + c] != v;
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("white of alpha v over black is v") {
  for (const MadePng::Colour colour : {MadePng::grey_alpha, MadePng::rgb_alpha}) {
    MadePng png{.width = 256, .colour = colour};
    png.sample = [&](std::uint32_t x, std::uint32_t, int c) {
      return c == png.channels() - 1 ? x : 255;
    };
    const Image image = parse_png(png.bytes(), 1, "made");
    for (std::size_t v = 0; v < 256; ++v) CHECK(image.pixels[v] == v);
  }
}

TEST_CASE("stored pictures become grey or coloured bytes") {
  const Image grey = read_image(seed("grey"), 1);
  CHECK(grey.width == 3);
  CHECK(grey.height == 2);
  CHECK(grey.pixels == Bytes{0, 128, 255, 7, 8, 9});
  CHECK(read_image(seed("grey"), 3).pixels ==
        Bytes{0, 0, 0, 128, 128, 128, 255, 255, 255, 7, 7, 7, 8, 8, 8, 9, 9, 9});
  CHECK(read_image(seed("rgb"), 3).pixels == Bytes{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5});
  const Image transparent = read_image(seed("rgba"), 3);
  CHECK(transparent.pixels[1] == 0);
  CHECK(transparent.pixels[4] == 255);
  CHECK(transparent.pixels[0] < 255);  // half of the red shows, over black
}

TEST_CASE("what is no picture is refused by name") {
  CHECK_FAILS(read_image(seed("none"), 1), "none");
  CHECK_FAILS(parse_png(as_bytes("GIF89a"), 1, "a.png"), "a.png");
  CHECK_FAILS(parse_png(as_bytes("GIF89a"), 1, "a.png"), "it is a GIF picture");
  CHECK_FAILS(parse_png(Bytes{0xff, 0xd8, 0xff, 0xe0}, 1, "a.png"), "it is a JPEG picture");
  CHECK_FAILS(parse_png({}, 1, "a.png"), "it is empty");
  Bytes cut = read_file(seed("rgb"));
  cut.resize(cut.size() - 20);
  CHECK_FAILS(parse_png(cut, 3, "cut.png"), "cut.png");
  Bytes huge = read_file(seed("grey"));
  huge[16] = 0x7f;  // the width's highest byte; its checksum is wrong now, too
  CHECK_FAILS(parse_png(huge, 1, "huge.png"), "huge.png");
}
