#include "engine/io/image.hpp"

#include <string>

#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

std::string seed(const char* name) {
  return std::string(PIXELDP_SOURCE_DIR "/tests/fuzz/corpus/png/") + name;
}

}  // namespace

TEST_CASE("PNG pictures of every kind become grey or coloured bytes") {
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
  Bytes cut = read_file(seed("rgb"));
  cut.resize(cut.size() - 20);
  CHECK_FAILS(parse_png(cut, 3, "cut.png"), "cut.png");
  Bytes huge = read_file(seed("grey"));
  huge[16] = 0x7f;  // the width's highest byte; its checksum is wrong now, too
  CHECK_FAILS(parse_png(huge, 1, "huge.png"), "huge.png");
}
