#include <algorithm>
#include <optional>

#include "engine/error.hpp"
#include "engine/io/dataset.hpp"
#include "engine/io/file_kind.hpp"

// As much of MATLAB's format as SVHN's files use ("MAT-File Format", The MathWorks): a header of
// 128 bytes, then elements of a type, a length and that many bytes. An element is a variable, or a
// zlib stream of one; a variable consists of further elements, padded to multiples of eight bytes:
// flags, extents, name and numbers. General readers of this format take its announcements on trust,
// and fill what a damaged file lacks with whatever the memory holds.

namespace pixeldp {
namespace {

constexpr std::size_t header_size = 128, tag_size = 8;

enum ElementType : std::uint32_t {
  int8 = 1,
  uint8 = 2,
  int32 = 5,
  uint32 = 6,
  matrix = 14,
  compressed = 15
};

std::uint32_t little_endian(ByteView bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} | std::uint32_t{bytes[at + 1]} << 8 |
         std::uint32_t{bytes[at + 2]} << 16 | std::uint32_t{bytes[at + 3]} << 24;
}

struct Element {
  std::uint32_t type = 0;
  ByteView data;
};

/// Takes the element that `bytes` starts with off them.
Element take_element(ByteView& bytes, std::string_view what) {
  if (bytes.size() < tag_size)
    fail("{}: cut short: {} bytes where an element should begin", what, bytes.size());
  const std::uint32_t word = little_endian(bytes, 0);
  constexpr std::uint32_t most_small = 4;
  if (word >> 16 != 0) {  // type and length share the first word, the data are in the second
    const Element small{word & 0xffff, bytes.subspan(4, std::min(word >> 16, most_small))};
    if (word >> 16 > most_small)
      fail("{}: an element of type {} claims {} bytes within 4", what, small.type, word >> 16);
    bytes = bytes.subspan(tag_size);
    return small;
  }
  const std::size_t size = little_endian(bytes, 4);
  if (bytes.size() - tag_size < size)
    fail("{}: cut short: an element of type {} announces {} bytes, {} are there", what, word, size,
         bytes.size() - tag_size);
  const Element element{word, bytes.subspan(tag_size, size)};
  const std::size_t padded = word == compressed ? size : (size + 7) / 8 * 8;
  bytes = bytes.subspan(std::min(tag_size + padded, bytes.size()));
  return element;
}

void check_header(ByteView file, std::string_view what) {
  const std::string_view text = as_text(file.first(std::min(file.size(), header_size)));
  if (text.starts_with("MATLAB 7.3"))
    fail("{}: a MATLAB file of version 7.3, not 5: save it with '-v7'", what);
  if (!text.starts_with("MATLAB 5.0 MAT-file"))
    fail("{}: not a MATLAB file: it does not start with 'MATLAB 5.0 MAT-file'{}", what,
         hint(file_kind(file)));
  if (file.size() < header_size)
    fail("{}: cut short: the header has {} bytes, the file has {}", what, header_size, file.size());
  if (!text.ends_with(std::string_view("\x00\x01IM", 4)))
    fail("{}: not a little-endian MATLAB file of version 5: bytes 124 to 127 are {:02x}", what,
         fmt::join(file.subspan(header_size - 4, 4), " "));
}

/// A variable of bytes: the first extent runs fastest.
struct Variable {
  std::vector<std::size_t> extents;
  Bytes data;
};

/// The variable that the contents of a matrix element describe, if it has the name asked for.
std::optional<Variable> read_variable(ByteView bytes, std::string_view name,
                                      std::string_view what) {
  const Element flags = take_element(bytes, what);
  const Element extents = take_element(bytes, what);
  // Variables of other classes may go on differently, and are of no interest.
  if (flags.type != uint32 || flags.data.size() != 8 || extents.type != int32) return {};
  const Element stored_name = take_element(bytes, what);
  if (stored_name.type != int8 || as_text(stored_name.data) != name) return {};

  constexpr std::uint32_t class_mask = 0xff, class_uint8 = 9, complex_or_logical = 0xa00;
  const std::uint32_t word = little_endian(flags.data, 0);
  Variable variable;
  std::size_t expected = 1;
  if (extents.data.size() % 4 != 0)
    fail("{}: the extents of variable '{}' are damaged", what, name);
  for (std::size_t at = 0; at < extents.data.size(); at += 4) {
    variable.extents.push_back(little_endian(extents.data, at));
    if (__builtin_mul_overflow(expected, variable.extents.back(), &expected))
      fail("{}: the extents of variable '{}' exceed any memory", what, name);
  }
  const Element numbers = take_element(bytes, what);
  if ((word & class_mask) != class_uint8 || (word & complex_or_logical) != 0 ||
      numbers.type != uint8)
    fail("{}: variable '{}' does not hold real numbers of type uint8", what, name);
  if (numbers.data.size() != expected)
    fail("{}: variable '{}' is {}, but holds {} bytes", what, name,
         fmt::join(variable.extents, "x"), numbers.data.size());
  variable.data = {numbers.data.begin(), numbers.data.end()};
  return variable;
}

struct SvhnVariables {
  std::optional<Variable> x, y;
};

SvhnVariables read_variables(ByteView file, std::string_view what) {
  check_header(file, what);
  SvhnVariables found;
  const auto look_at = [&](const Element& element) {
    if (element.type != matrix)
      fail("{}: an element of type {} is not a variable ({} or {})", what, element.type,
           std::uint32_t{matrix}, std::uint32_t{compressed});
    if (auto x = read_variable(element.data, "X", what)) found.x = std::move(x);
    if (auto y = read_variable(element.data, "y", what)) found.y = std::move(y);
  };
  for (ByteView rest = file.subspan(header_size); !rest.empty();) {
    const Element element = take_element(rest, what);
    if (element.type != compressed) {
      look_at(element);
      continue;
    }
    const Bytes inflated = decompress_zlib(element.data, what);
    ByteView variable = inflated;
    look_at(take_element(variable, what));
  }
  if (!found.x || !found.y)
    fail("{}: no variable '{}': is this one of SVHN's NAME_32x32.mat?", what, found.x ? "y" : "X");
  return found;
}

}  // namespace

CifarImages parse_svhn(ByteView file, std::string_view what) {
  const auto [x, y] = read_variables(file, what);
  constexpr std::size_t height = CifarImages::height, width = CifarImages::width;
  constexpr std::size_t channels = CifarImages::channels;
  if (x->extents.size() != 4 || x->extents[0] != height || x->extents[1] != width ||
      x->extents[2] != channels || x->extents[3] == 0)
    fail("{}: 'X' is {}, not 32x32x3xN", what, fmt::join(x->extents, "x"));
  const std::size_t count = x->extents[3];
  if (y->extents.size() != 2 || std::min(y->extents[0], y->extents[1]) != 1 ||
      y->data.size() != count)
    fail("{}: 'y' is {}, but 'X' holds {} images", what, fmt::join(y->extents, "x"), count);

  CifarImages images{Bytes(x->data.size()), Bytes(count)};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t label = y->data[i];
    if (label < 1 || label > 10)
      fail("{}: label {} of image {} is not one of 1 to 10", what, label, i);
    images.labels[i] = label % 10;
  }
  auto* pixel = images.pixels.data();
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t row = 0; row < height; ++row)
      for (std::size_t column = 0; column < width; ++column)
        for (std::size_t c = 0; c < channels; ++c)
          *pixel++ = x->data[row + height * (column + width * (c + channels * i))];
  return images;
}

}  // namespace pixeldp
