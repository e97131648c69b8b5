#pragma once

#include <cstdint>

#include "kernels/cuda/on_devices.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/pooling.cu is shared out.
struct PoolingGrid {
  static constexpr int block_threads = 256;
  /// A block of the global average does so many vectors of channels, a thread to each of 8 lanes.
  static constexpr int pool_vectors = block_threads / 8;
  /// Vectors that one block of its gradient writes, all of one image.
  static constexpr int gradient_vectors = 8 * block_threads;
  static constexpr int shortcut_threads = 128;  ///< to a row of pixels

  unsigned blocks = 0;
  bool vectorised = false;  ///< a vector is 4 channels, aligned to 16 bytes; else it is one

  // Each throws an Error for more than one launch can do.
  static PoolingGrid global(const GlobalPoolShape& shape, const void* x, const void* y);
  static PoolingGrid global_backward(const GlobalPoolShape& shape, const void* dy, const void* dx);
  static PoolingGrid shortcut(const ShortcutShape& shape, const void* x, const void* y);
  static PoolingGrid shortcut_backward(const ShortcutShape& shape, const void* dy, const void* dx);
  static PoolingGrid add(std::int64_t size, const void* a, const void* b, const void* y);

  /// Blocks for each image in global_backward.
  static std::int64_t image_blocks(const GlobalPoolShape& shape, bool vectorised);
};

// Results have the bits of the processor, except that one which is not a number may be another. Two
// operations also take the bits of bf16, to which the shortcut rounds.

PIXELDP_ON_DEVICES(  //
    void global_average_pool(const Stream& stream, const GlobalPoolShape& shape,
                             const std::uint16_t* x, float* y);
    void shortcut_forward(const Stream& stream, const ShortcutShape& shape, const std::uint16_t* x,
                          std::uint16_t* y);)

}  // namespace pixeldp::kernels
