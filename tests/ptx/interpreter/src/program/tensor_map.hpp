#pragma once

// Our own content of the 128 opaque bytes of a CUtensorMap.
#include <cstdint>

namespace ptxrun {
inline constexpr uint32_t tensor_map_magic = 0x70747831;
enum TensorFill : uint8_t { FILL_ZERO, FILL_NAN };
struct TensorMap {
  uint32_t magic;
  uint8_t rank, element_bytes, swizzle, fill;  // swizzle: 0 none, else its span in bytes
  uint64_t address;
  uint32_t last[5];    // size of each dimension minus one
  uint64_t stride[4];  // bytes between elements of dimension 1 and up
  uint16_t box[5];
  uint8_t is_float;
};
static_assert(sizeof(TensorMap) <= 128, "a CUtensorMap has 128 bytes");

// Where a swizzle of this span puts the byte at this offset of shared memory: in 128 bytes, the
// number of the 16-byte column is combined by exclusive or with that of the row.
constexpr uint64_t swizzled(uint64_t offset, uint32_t span) {
  uint64_t mask = span == 128 ? 7 : span == 64 ? 3 : span == 32 ? 1 : 0;
  return offset ^ ((offset >> 7 & mask) << 4);
}
}  // namespace ptxrun
