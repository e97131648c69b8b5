#include <array>
#include <cstddef>

#include "engine/error.hpp"
#include "engine/io/dataset.hpp"
#include "engine/io/file_kind.hpp"

namespace pixeldp {
namespace {

template <std::size_t rank>
struct Idx {
  std::array<std::uint64_t, rank> extents{};
  ByteView data;
};

/// Header and data of an IDX file of unsigned bytes. The data has exactly the length that the
/// extents announce and no extent is zero, so that extents of any size are safe to use afterwards.
template <std::size_t rank>
Idx<rank> parse_idx(ByteView file, std::string_view what) {
  constexpr std::size_t header_size = 4 + 4 * rank;
  if (file.size() < header_size)
    fail("{}: cut short: an IDX header of {} axes has {} bytes, the file has {}{}", what, rank,
         header_size, file.size(), hint(file_kind(file)));
  constexpr std::uint8_t unsigned_byte = 0x08;
  if (file[0] != 0 || file[1] != 0 || file[2] != unsigned_byte || file[3] != rank)
    fail(
        "{}: not an IDX file of unsigned bytes with {} axes: it starts with {:02x}{:02x}{:02x}"
        "{:02x} instead of 000008{:02x}{}",
        what, rank, file[0], file[1], file[2], file[3], rank, hint(file_kind(file)));

  Idx<rank> idx;
  std::uint64_t expected = 1;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::size_t at = 4 + 4 * axis;
    std::uint64_t extent = 0;
    for (std::size_t byte = 0; byte < 4; ++byte) extent = extent << 8 | file[at + byte];
    if (extent == 0) fail("{}: the extent of axis {} at offset {} is zero", what, axis, at);
    if (__builtin_mul_overflow(expected, extent, &expected))
      fail("{}: the extents up to axis {} at offset {} exceed any memory", what, axis, at);
    idx.extents[axis] = extent;
  }
  idx.data = file.subspan(header_size);
  if (idx.data.size() != expected)
    fail("{}: {}: the header announces {} bytes of data from offset {}, the file has {}", what,
         idx.data.size() < expected ? "cut short" : "too long", expected, header_size,
         idx.data.size());
  return idx;
}

}  // namespace

IdxImages parse_idx_images(ByteView file, std::string_view what) {
  const auto idx = parse_idx<3>(file, what);
  return {static_cast<std::int64_t>(idx.extents[0]), static_cast<std::int64_t>(idx.extents[1]),
          static_cast<std::int64_t>(idx.extents[2]), Bytes(idx.data.begin(), idx.data.end())};
}

Bytes parse_idx_labels(ByteView file, int classes, std::string_view what) {
  const auto idx = parse_idx<1>(file, what);
  for (std::size_t i = 0; i < idx.data.size(); ++i) {
    if (idx.data[i] >= classes)
      fail("{}: label {} at offset {} is not below {}", what, idx.data[i],
           file.size() - idx.data.size() + i, classes);
  }
  return {idx.data.begin(), idx.data.end()};
}

}  // namespace pixeldp
