#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/activation.hpp"
#include "kernels/arch.hpp"
#include "kernels/convolution.hpp"
#include "kernels/cuda/on_devices.hpp"
#include "kernels/dense.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/convolution_direct.cu is shared out, and what its threads calculate
/// with. A block makes tile_h x tile_w pixels of block_c channels of one image.
struct DirectConvPlan {
  static constexpr int block_threads = 256;
  static constexpr int thread_rows = 4, thread_channels = 4;  // what one thread makes
  static constexpr int tile_w = 16;
  // How many channels are in shared memory together is part of the order of the sums, so it does
  // not depend on the device. All of them are, where a block takes no more than whole_shared_limit;
  // otherwise chunks in chunk_shared_limit, two blocks of which fit on a multiprocessor of sm_80
  // and sm_90; otherwise single channels, where the device has the room.
  static constexpr std::size_t whole_shared_limit = least_shared_per_block;
  static constexpr std::size_t chunk_shared_limit = 80 * 1024;

  /// A power of two: 16 channels, or 32 where there are more.
  static constexpr int tile_h(int block_c) {
    return block_threads * thread_rows * thread_channels / (block_c * tile_w);
  }

  int in_h = 0, in_w = 0, in_c = 0, out_h = 0, out_w = 0, out_c = 0;
  int kernel_h = 0, kernel_w = 0, stride = 0, pad_top = 0, pad_left = 0;
  int block_c = 0;
  int row_tiles = 0, column_tiles = 0;  ///< of an image
  /// Channels of x that are in shared memory together: all, or an odd number, so that neighbouring
  /// pixels lie in different banks.
  int chunk_c = 0;
  int patch_h = 0, patch_w = 0;  ///< the pixels of x that a tile needs
  unsigned tiles = 0, channel_blocks = 0;
  bool vectorised = false;  ///< four channels of y are always 16 aligned bytes
  std::size_t shared_bytes = 0;

  /// Throws an Error for what is no convolution, and for one whose kernels and patch of a single
  /// channel exceed the device's shared memory or whose image or grid exceeds 2^30 elements or
  /// blocks. chunk_c depends on kernel, stride and channels alone.
  static DirectConvPlan make(const Conv2dShape& shape, const float* y, const Arch& arch);
};

// y = activation(x (*) weight + bias), everything in device memory, in single precision: layouts as
// in conv2d_forward (kernels/convolution.hpp); bias has a value for each channel of y, or is null.
// `stream` is a cudaStream_t (in `emulated`, of the emulator). Returns before the work is done.
// Every sum is one chain of fused multiply-additions, for every chunk of chunk_c channels, r, then
// s, then c within the chunk, from 0:
//
//   sum = fma(x[n, p stride + r - pad, q stride + s - pad, c], weight[o, c, r, s], sum)
//
// where x outside the image is 0; so a processor can calculate the same bits.
//
// dense_direct is the same for a dense layer (kernels/dense.hpp), a row to a pixel.

PIXELDP_ON_DEVICES(  //
    void conv2d_direct(void* stream, const Conv2dShape& shape, Activation activation,
                       const float* x, const float* weight, const float* bias, float* y);
    void dense_direct(void* stream, const DenseShape& shape, Activation activation, const float* x,
                      const float* weight, const float* bias, float* y);)

}  // namespace pixeldp::kernels
