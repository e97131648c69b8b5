#include "engine/error.hpp"
#include "kernels/cuda/pooling.hpp"
#include "kernels/divide_up.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::kernels {
namespace {

/// Of one image, so that what lies within it is counted in 32 bits.
constexpr std::int64_t most_elements = std::int64_t{1} << 30;

unsigned to_blocks(std::int64_t blocks, const char* what) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  if (blocks > most_blocks)
    fail("{}: {} blocks, of which one launch can do {}", what, blocks, most_blocks);
  return static_cast<unsigned>(blocks);
}

void check_image(std::int64_t pixels, std::int64_t channels, const char* what) {
  if (pixels > most_elements / channels)
    fail("{}: images of {} pixels and {} channels; a GPU does up to 2^30 elements", what, pixels,
         channels);
}

bool aligned(const void* a, const void* b) {
  return (reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b)) % 16 == 0;
}

bool shortcut_vectorised(const ShortcutShape& s, const void* a, const void* b) {
  return s.in_c % 4 == 0 && s.out_c % 4 == 0 && s.channels_before() % 4 == 0 && aligned(a, b);
}

void check_shortcut(const ShortcutShape& s) {
  if (s.in_h > most_elements || s.in_w > most_elements || s.stride > most_elements)
    fail("shortcut: an extent or stride above 2^30");
  check_image(s.in_h * s.in_w, s.in_c, "shortcut");
  check_image(s.out_h() * s.out_w(), s.out_c, "shortcut");
}

}  // namespace

PoolingGrid PoolingGrid::global(const GlobalPoolShape& s, const void* x, const void* y) {
  check_image(s.pixels, s.channels, "global average");
  const bool vectorised = s.channels % 4 == 0 && aligned(x, y);
  const std::int64_t vectors = s.batch * (s.channels / (vectorised ? 4 : 1));
  return {to_blocks(divide_up(vectors, pool_vectors), "global average"), vectorised};
}

std::int64_t PoolingGrid::image_blocks(const GlobalPoolShape& s, bool vectorised) {
  return divide_up(s.pixels * (s.channels / (vectorised ? 4 : 1)), gradient_vectors);
}

PoolingGrid PoolingGrid::global_backward(const GlobalPoolShape& s, const void* dy, const void* dx) {
  check_image(s.pixels, s.channels, "global average");
  const bool vectorised = s.channels % 4 == 0 && aligned(dy, dx);
  return {to_blocks(s.batch * image_blocks(s, vectorised), "global average"), vectorised};
}

PoolingGrid PoolingGrid::shortcut(const ShortcutShape& s, const void* x, const void* y) {
  check_shortcut(s);
  return {to_blocks(s.batch * s.out_h(), "shortcut"), shortcut_vectorised(s, x, y)};
}

PoolingGrid PoolingGrid::shortcut_backward(const ShortcutShape& s, const void* dy, const void* dx) {
  check_shortcut(s);
  return {to_blocks(s.batch * s.in_h, "shortcut"), shortcut_vectorised(s, dy, dx)};
}

PoolingGrid PoolingGrid::add(std::int64_t size, const void* a, const void* b, const void* y) {
  const bool vectorised = size % 4 == 0 && aligned(a, b) && aligned(y, y);
  return {to_blocks(divide_up(size / (vectorised ? 4 : 1), block_threads), "sum"), vectorised};
}

}  // namespace pixeldp::kernels
