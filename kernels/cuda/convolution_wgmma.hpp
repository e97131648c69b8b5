#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/arch.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/on_devices.hpp"
#include "kernels/cuda/tensor_map.hpp"

/// Convolutions in bf16 and in int8 on the tensor cores of sm_90a, by warpgroups: what
/// convolution_gemm.hpp and convolution_int8.hpp do on every GPU, for the shapes that fill larger
/// tiles.
namespace pixeldp::kernels {

/// A block makes so many pixels, 128 bytes of channels of every sum at a time, a quarter of them to
/// a product; four such steps are under way. depth: these channels in bf16.
struct WgmmaTile {
  static constexpr int pixels = 256, row_bytes = 128, products = 4, stages = 4;
  static constexpr int product_rows = 64;
  static constexpr int depth = row_bytes / 2;
  /// Channels of y, and of a tile: what there are kernels for.
  static constexpr int channels[] = {160, 128};
};

/// The pixels of y of one tile: a box of whole rows of `w` pixels, `h` rows of each of `images`.
struct WgmmaBox {
  int w = 0, h = 0, images = 0;

  constexpr int pixels() const { return w * h * images; }
  /// The rows of an image in as few boxes as can be, of like size; several images where they fit
  /// whole. No pixels where a row has more than a tile.
  static WgmmaBox of(std::int64_t out_h, std::int64_t out_w);
  /// Half of its images, or of the rows of its one image. No pixels where that is no whole number,
  /// or no multiple of the eight rows of shared memory in which the swizzle repeats.
  WgmmaBox half() const;
};

/// What the two blocks of a cluster have in common. Each brings half of it from the L2 cache, to
/// both.
enum class WgmmaShared {
  nothing,  ///< there are no clusters
  x,        ///< of the same pixels, for two tiles of channels
  weight,   ///< of the same channels, for two tiles of pixels
};

/// Whether at least three quarters of `all` are `used`: what a tile must be for warpgroups to pay,
/// for mma.sync makes less than two thirds of their products in a time (docs/roofline.md).
constexpr bool pays_by_warpgroups(std::int64_t used, std::int64_t all) {
  return used * 4 >= all * 3;
}

/// The channels of the tile (of WgmmaTile::channels) by which a pass is made on `arch`, 0 where it
/// is none for this kernel: not sm_90a; other strides than 1, and 2 of images of even height; fewer
/// than 64 channels that are read, or no multiple of a product's 16; images of fewer than 32
/// pixels; tiles of which less than three quarters are pixels, or channels, of y. It does not ask
/// how many images there are, so that a row's bits depend on no other row.
int choose_wgmma_channels(const ConvPass& pass, const Arch& arch);

/// Bytes that two tiles of so many channels read from the L2 cache in a step, padding among them; 0
/// where they cannot share that: pixels for an even number of tiles of channels, and of boxes that
/// have a half; weights for an even number of boxes.
int wgmma_pair_bytes(const ConvPass& pass, int channels, WgmmaShared shared);

/// What costs the fewest bytes. It changes no bits, only who brings the operands.
WgmmaShared choose_wgmma_shared(const ConvPass& pass, int channels);

/// What `products` of 64 rows and so many columns take of tensor cores, instructions and shared
/// memory of a multiprocessor, to which copies bring so many bytes. chunk: values in 16 bytes.
ConvTime wgmma_products_time(double products, int columns, double copied, int chunk,
                             const Arch& arch);

/// The time of a pass by tiles of so many channels, of operands of which `chunk` are 16 bytes (8:
/// in bf16, 16: in int8): `shared` of products and copies, `l2` with what clusters share read once
/// for two blocks, and with all that comes to a block by 64 bytes for each clock.
ConvTime wgmma_time(const ConvPass& pass, int chunk, int channels, const Arch& arch);

/// Of a convolution of bytes, and the clocks that it takes so, computed and never measured: those
/// of the multiprocessor with the most tiles, for its products or, where that is longer, for what
/// these read and the copies write of shared memory, and for the operands from the L2 cache.
struct WgmmaInt8Time {
  int channels = 0;  ///< of the tile; 0: there is none
  double clocks = 0.0;

  /// Of the tile of the fewest clocks. None on other devices than sm_90a, and for strides other
  /// than 1, and 2 of images of even height, for rows of more pixels than a tile has, and for what
  /// exceeds ConvWgmmaPlan.
  static WgmmaInt8Time of(const Conv2dShape& shape, const Arch& arch);
};

/// What the threads of kernels/cuda/convolution_wgmma.cu calculate with.
struct ConvWgmmaPlan {
  WgmmaBox box;
  int tiles_h = 0;  ///< boxes above each other in an image
  int channel_tiles = 0;
  int kernel_h = 0, kernel_w = 0;
  int chunks = 0;         ///< steps of one tap
  int depth = 0;          ///< of a step: channels
  int channels = 0;       ///< of all steps of a tap; beyond those that there are, zeros
  int last_products = 0;  ///< of the last step of a tap
  int stride = 0, pad_h = 0, pad_w = 0;
  int images = 0, out_h = 0, out_c = 0;
  std::int64_t y_first = 0, y_image = 0;  ///< in elements
  int y_row = 0, y_column = 0;            ///< in elements
  std::uint32_t step_bytes = 0;           ///< that the copies of a step bring to a block
  WgmmaShared shared = WgmmaShared::nothing;
  WgmmaBox half;  ///< of the box, where x is shared
  int tiles = 0;
  /// A block makes the tile of its own number, then each that follows after as many as there are
  /// blocks: no more than multiprocessors, on each of which one fits. While it writes a tile, the
  /// copies of its next one go on to half of the slots; in the other half lie 64 rows of sums of
  /// each consumer. Where a tile has one step, a block has one tile.
  ///
  /// Why no more goes on meanwhile: to write a tile, 240 KB with residual, y and what follows,
  /// takes 6000 clocks by the rate of the L2 cache and 17000 by that of memory, of 29000 for the
  /// products of 3 x 3 x 160 channels and 115000 for those of 640. Products could hide that where
  /// each consumer made tiles of its own, one while the other writes. But a consumer's sums are 128
  /// rows at the most, and such tiles read 1.4 times the bytes from the L2 cache: 58 a clock, or 45
  /// with clusters, of the 39 that there are. For all sums of 256 rows there is no room beside the
  /// ring: of 232448 bytes it takes 212992, they would take 163840.
  unsigned blocks = 0;
  unsigned cluster = 1;
  bool vectorised = false;  ///< as ConvPlan's

  /// Throws an Error where choose_wgmma_channels has no such tile for the pass on sm_90a, or it
  /// exceeds what the kernel's threads can count. arch: whose multiprocessors blocks are made for.
  /// y_bytes: of an element.
  static ConvWgmmaPlan make(const ConvPass& pass, int channels, const Arch& arch,
                            const ConvEpilogue& epilogue, const void* y, std::size_t y_bytes);
  /// The same of bytes, for any shape that WgmmaInt8Time has a tile for on sm_90a, with any tile of
  /// WgmmaTile::channels. Refuses epilogues as int8_conv_plan does.
  static ConvWgmmaPlan make(const Conv2dShape& shape, int channels, const Arch& arch,
                            const Int8Epilogue& epilogue);
};

/// The boxes of x that a copy brings, of so many channels: of pixels of even or odd row (2) and
/// column (1) where the stride is 2, else of all in the first.
struct ConvWgmmaInput {
  TensorBox boxes[4];

  static ConvWgmmaInput make(const ConvPass& pass, const WgmmaBox& box, int channels,
                             int element_bytes, const void* x);
};

/// The same of the forward kernel, and the boxes of the packed weight, [in_c, taps, out_c]; of what
/// is shared, halves.
struct ConvWgmmaBoxes {
  ConvWgmmaInput x;
  TensorBox weight;

  static ConvWgmmaBoxes make(const ConvPass& pass, int channels, WgmmaShared shared,
                             int element_bytes, const void* x, const void* weight);
};

// Calculates one pass by tiles of so many channels (choose_wgmma_channels): x and the packed weight
// in bf16, Output std::uint16_t (bf16) or float; all else as conv2d_gemm, sums included: they run
// over (r, s, c), 16 products at a time. conv2d_int8_wgmma: all as conv2d_int8, results included.

PIXELDP_ON_DEVICES(  //
    template <class Output>
    void conv2d_wgmma(void* stream, const ConvPass& pass, int channels, const std::uint16_t* x,
                      const std::uint16_t* weight, const ConvEpilogue& epilogue, Output* y);
    void conv2d_int8_wgmma(void* stream, const Conv2dShape& shape, int channels,
                           const std::int8_t* x, const std::int8_t* weight,
                           const Int8Epilogue& epilogue);)

}  // namespace pixeldp::kernels
