#pragma once

#include <cstdint>

#include "kernels/arch.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/cuda/on_devices.hpp"
#include "kernels/cuda/tensor_map.hpp"

/// Gradients in the weight in bf16 on the tensor cores of sm_90a, by warpgroups: what
/// convolution_weight.hpp does on every GPU, for the shapes that fill larger tiles.
namespace pixeldp::kernels {

/// A block makes `rows` products of a tap and a channel of x by `channels` of dy, up to `pixels`
/// pixels at a time; `stages` such steps are under way. Copies bring box_channels of x at one tap,
/// or of dy: with fewer of them, a tap fills up fewer rows.
struct WgmmaWeightTile {
  static constexpr int rows = 256, pixels = 64, stages = 4;

  int channels = 0, box_channels = 0;

  constexpr bool exists() const { return channels > 0; }
  constexpr int x_boxes() const { return rows / box_channels; }
  constexpr int dy_boxes() const { return (channels + box_channels - 1) / box_channels; }
  constexpr bool operator==(const WgmmaWeightTile&) const = default;
};

/// What there are kernels for.
inline constexpr WgmmaWeightTile wgmma_weight_tiles[] = {
    {160, 64}, {128, 64}, {160, 32}, {128, 32}};

/// How kernels/cuda/convolution_weight_wgmma.cu shares out the gradient in the weight. The sums
/// over all pixels are cut into `splits` ranges of whole boxes, whose partial sums are added in
/// ascending order: as many as take the least time on sm_90, computed, whatever the device has.
/// They depend on the shape and the tile alone.
struct ConvWgmmaWeightPlan {
  WgmmaBox box;      ///< the pixels of a step: whole rows, and as many in all boxes of an image
  int products = 0;  ///< of 16 pixels: that a step takes
  int tiles_h = 0;   ///< boxes above each other in an image
  int boxes = 0;     ///< of all images; the last ones of which may be none
  int split_boxes = 0;
  int tap_boxes = 0;  ///< of channels of one tap
  int channel_tiles = 0;
  int taps = 0, kernel_w = 0, stride = 0, pad_h = 0, pad_w = 0;
  int in_c = 0, filled_c = 0, out_c = 0;
  std::uint32_t step_bytes = 0;  ///< that the copies of a step bring
  unsigned tile_blocks = 0, splits = 0;
  std::int64_t clocks = 0;  ///< of sm_90, computed, of all kernels

  WeightSums sums() const { return {out_c, in_c, filled_c, taps, splits}; }

  /// Throws an Error for what is no convolution, for a tile that is none of wgmma_weight_tiles, for
  /// no image, for strides other than 1, and 2 of images of even height, for rows of y of more than
  /// 64 pixels, and for what exceeds what the kernel's threads can count.
  static ConvWgmmaWeightPlan make(const Conv2dShape& shape, const WgmmaWeightTile& tile);
};

/// The tile by which the gradient is made on `arch`; none where that is not sm_90a, the plan
/// refuses the shape, or less than three quarters of the products are of its own channels and
/// pixels. Of the tiles that are left, the one of the fewest clocks; smaller boxes, which make
/// twice as many copies, only where that saves a tenth.
WgmmaWeightTile choose_wgmma_weight_tile(const Conv2dShape& shape, const Arch& arch);

/// The time of the gradient by that tile, as weight_gradient_time.
ConvTime wgmma_weight_time(const Conv2dShape& shape, const WgmmaWeightTile& tile, const Arch& arch);

/// The boxes of x at a tap (as the forward kernel's) and of dy, [out_c, out_w, out_h, batch], whose
/// channels are filled up to multiples of 8.
struct ConvWgmmaWeightBoxes {
  ConvWgmmaInput x;
  TensorBox dy;

  static ConvWgmmaWeightBoxes make(const Conv2dShape& shape, const WgmmaWeightTile& tile,
                                   const std::uint16_t* x, const std::uint16_t* dy);
};

// Partial sums of the gradient (ConvWgmmaWeightPlan::sums), for add_weight_splits, from x [batch,
// in_h, in_w, in_c] and dy [batch, out_h, out_w, out_c] in bf16, aligned to 16 bytes, the channels
// of both filled up to multiples of 8 with zeros. Sums run over the pixels of each box, filled up
// to a multiple of 16, box by box, 16 products at a time. Everything in device memory, `stream` as
// in convolution_gemm.hpp. Returns before the work is done. The same bits every time.

PIXELDP_ON_DEVICES(  //
    void conv2d_wgmma_weight_sums(void* stream, const Conv2dShape& shape,
                                  const WgmmaWeightTile& tile, const std::uint16_t* x,
                                  const std::uint16_t* dy, float* partial);)

}  // namespace pixeldp::kernels
