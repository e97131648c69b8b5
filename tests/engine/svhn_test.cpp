#include <algorithm>

#include <doctest/doctest.h>

#include "engine/io/dataset.hpp"
#include "tests/made_dataset.hpp"
#include "tests/made_mat.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using tests::made_mat;
using tests::MatVariable;

namespace {

/// A value that depends on every index of a pixel.
std::uint8_t pixel_at(std::size_t image, std::size_t row, std::size_t column, std::size_t channel) {
  return static_cast<std::uint8_t>(image * 101 + row * 7 + column * 3 + channel * 59);
}

MatVariable images(std::uint32_t count) {
  MatVariable x{.name = "X", .extents = {32, 32, 3, count}, .data = {}};
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t channel = 0; channel < 3; ++channel)
      for (std::size_t column = 0; column < 32; ++column)
        for (std::size_t row = 0; row < 32; ++row)
          x.data.push_back(pixel_at(i, row, column, channel));
  return x;
}

MatVariable labels(const Bytes& values) {
  return {.name = "y", .extents = {static_cast<std::uint32_t>(values.size()), 1}, .data = values};
}

CifarImages read(const std::vector<MatVariable>& variables) {
  return parse_svhn(made_mat(variables, false), "f.mat");
}

}  // namespace

TEST_CASE("SVHN's columns become rows, and label 10 the digit 0") {
  const TemporaryFolder folder;
  for (const bool compressed : {false, true}) {
    CAPTURE(compressed);
    const Bytes file = made_mat({images(3), labels({10, 1, 9})}, compressed, !compressed);
    write_file_atomically(folder / "test_32x32.mat", file);
    const Dataset set = load_dataset("svhn", "test", folder.path());
    CHECK(set.labels == Labels{0, 1, 9});
    CHECK(set.sha256() == sha256_hex(file));
    CHECK(set.classes == 10);
    const Bytes pixels = tests::all_pixels(set);
    REQUIRE(pixels.size() == 3 * 3072);
    std::size_t different = 0;
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t row = 0; row < 32; ++row)
        for (std::size_t column = 0; column < 32; ++column)
          for (std::size_t c = 0; c < 3; ++c)
            different +=
                pixels[((i * 32 + row) * 32 + column) * 3 + c] != pixel_at(i, row, column, c);
    CHECK(different == 0);
  }
  CHECK(parse_svhn(made_mat({images(1), labels({4})}, true), "f.mat").labels == Bytes{4});
  // In any order, among others, and with the labels in a row.
  MatVariable y = labels({2, 3});
  y.extents = {1, 2};
  const MatVariable other{.name = "z", .extents = {1, 1}, .data = {1}};
  CHECK(read({other, y, images(2)}).labels == Bytes{2, 3});
}

TEST_CASE("a MATLAB file that is not SVHN's is refused by what is wrong with it") {
  CHECK_FAILS(read({images(2)}), "f.mat: no variable 'y'");
  CHECK_FAILS(read({labels({1, 2})}), "no variable 'X'");
  CHECK_FAILS(read({images(2), labels({1, 2, 3})}), "'y' is 3x1, but 'X' holds 2 images");
  CHECK_FAILS(read({images(2), labels({1, 11})}), "label 11 of image 1 is not one of 1 to 10");
  CHECK_FAILS(read({images(2), labels({0, 1})}), "label 0 of image 0");

  MatVariable x = images(2);
  x.extents = {32, 32, 6};
  CHECK_FAILS(read({x, labels({1, 2})}), "'X' is 32x32x6, not 32x32x3xN");
  x.extents = {3, 32, 32, 2};
  CHECK_FAILS(read({x, labels({1, 2})}), "'X' is 3x32x32x2");
  x.extents = {32, 32, 3, 0};
  CHECK_FAILS(read({x, labels({1, 2})}), "'X' is 32x32x3x0");
  x.extents = {32, 32, 3, 0x7fffffff};
  CHECK_FAILS(read({x, labels({1, 2})}), "'X' is 32x32x3x2147483647, but holds 6144 bytes");
  x.extents = {0xffffffff, 0xffffffff, 0xffffffff, 2};
  CHECK_FAILS(read({x, labels({1, 2})}), "exceed any memory");
  x.extents = {32, 32, 3, 3};  // one more than there is
  CHECK_FAILS(read({x, labels({1, 2, 3})}), "variable 'X' is 32x32x3x3, but holds 6144 bytes");
  x = images(2);
  x.array_class = 6;
  CHECK_FAILS(read({x, labels({1, 2})}), "'X' does not hold real numbers of type uint8");
  MatVariable y = labels({1, 2});
  y.flags = 2;
  CHECK_FAILS(read({images(2), y}), "'y' does not hold");
  y.flags = 8;
  CHECK_FAILS(read({images(2), y}), "'y' does not hold");
}

TEST_CASE(
    "what is no MATLAB file of version 5, or only the beginning of one, is "
    "refused wherever it ends") {
  for (const bool compressed : {false, true}) {
    CAPTURE(compressed);
    const Bytes good = made_mat({images(1), labels({5})}, compressed);
    CHECK(parse_svhn(good, "f.mat").labels == Bytes{5});
    for (std::size_t size = 0; size < good.size(); size += size < 400 ? 1 : 97) {
      CAPTURE(size);
      CHECK_FAILS(parse_svhn(ByteView(good).first(size), "f.mat"),
                  size < 19 ? "not a MATLAB file" : "f.mat: ");
    }
  }
  Bytes file = made_mat({images(1), labels({5})}, false);
  file.push_back(0);
  CHECK_FAILS(parse_svhn(file, "f.mat"), "cut short: 1 bytes where an element should begin");
  file = made_mat({images(1), labels({5})}, false);
  file[128] = 99;
  CHECK_FAILS(parse_svhn(file, "f.mat"), "an element of type 99 is not a variable (14 or 15)");
  file = made_mat({images(1), labels({5})}, false);
  std::swap(file[126], file[127]);
  CHECK_FAILS(parse_svhn(file, "f.mat"), "bytes 124 to 127 are 00 01 4d 49");
  file = made_mat({images(1), labels({5})}, false);
  const std::string y = "y";
  const auto name = std::search(file.begin() + 3200, file.end(), y.begin(), y.end());
  REQUIRE(name != file.end());
  *(name - 2) = 5;  // the length of the short form
  CHECK_FAILS(parse_svhn(file, "f.mat"), "an element of type 1 claims 5 bytes within 4");
  const std::string newer = "MATLAB 7.3 MAT-file, Platform: GLNXA64";
  CHECK_FAILS(parse_svhn(as_bytes(newer), "f.mat"), "save it with '-v7'");
  file = made_mat({images(1), labels({5})}, true);
  file[200] ^= 0x55;
  CHECK_FAILS(parse_svhn(file, "f.mat"), "f.mat: the zlib stream is corrupt");
}
