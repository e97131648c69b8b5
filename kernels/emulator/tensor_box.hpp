#pragma once

#include <cstddef>
#include <cstdint>

namespace pixeldp::emulator {

/// What the emulator keeps in the 128 bytes of a tensor map.
struct TensorBoxMap {
  static constexpr int most_rank = 5;
  static constexpr std::uint32_t is_map = 0x70616d74;

  std::uint32_t magic = is_map;
  std::uint8_t rank = 0, element_bytes = 0, swizzle = 0;  ///< swizzle: span in bytes, 0: none
  const std::byte* address = nullptr;
  std::uint32_t last[most_rank] = {};        ///< extents less one, the innermost first
  std::uint16_t box[most_rank] = {};         ///< in elements
  std::uint64_t stride[most_rank - 1] = {};  ///< in bytes, of dimensions 1 and up

  std::size_t row_bytes() const { return std::size_t{box[0]} * element_bytes; }
  std::size_t rows() const {
    std::size_t rows = 1;
    for (int i = 1; i < rank; ++i) rows *= box[i];
    return rows;
  }
  std::size_t bytes() const { return rows() * row_bytes(); }
  /// From the first to behind the last element of the tensor.
  std::size_t extent() const {
    std::size_t bytes = (std::size_t{last[0]} + 1) * element_bytes;
    for (int i = 1; i < rank; ++i) bytes += last[i] * stride[i - 1];
    return bytes;
  }
};
static_assert(sizeof(TensorBoxMap) <= 128);

/// Chunks of 16 bytes of shared memory change places within spans of 32, 64 or 128 bytes: bits 4 to
/// 6 of an address are exclusive-ored with the (log2 of the span, less 4) bits from 7 on.
constexpr std::size_t swizzled(std::size_t offset, unsigned span) {
  const std::size_t chunks = span == 0 ? 1 : span / 16;
  return offset ^ (offset >> 7 & (chunks - 1)) << 4;
}

}  // namespace pixeldp::emulator
