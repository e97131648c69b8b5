#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/arch.hpp"
#include "kernels/multi_draw.hpp"

namespace pixeldp::kernels {

/// Room for logits and sums in a block.
inline constexpr int multi_draw_classes = 128;

/// A network that kernels/cuda/multi_draw.cu was compiled for, with a number of draws that a block
/// does at a time, and the shared memory that it takes. The height of the image, its padding above
/// and below, and the number of classes may be anything.
struct MultiDrawShape {
  int in_w, in_c, kernel, stride, pad_w;
  int out_w, out_c, hidden, draws;
  std::size_t shared_bytes;

  /// Of a convolution padded as TensorFlow's "SAME", then a dense layer. The image's rows and those
  /// of the convolution's output take at most 160 KB: pixels of the latter that find no room in
  /// that lie where a row is over. element_bytes: of operands.
  static constexpr MultiDrawShape same(int in_w, int in_c, int kernel, int stride, int out_c,
                                       int hidden, int draws, std::size_t element_bytes = 2) {
    const int out_w = (in_w + stride - 1) / stride, padding = (out_w - 1) * stride + kernel - in_w;
    const std::size_t most = 160 * 1024, pixel = element_bytes * draws * out_c;
    std::size_t rows = element_bytes * draws * kernel * in_w * in_c + out_w * pixel;
    while (rows > most) rows -= pixel;
    // Hidden units of all draws, logits and sums of all classes.
    const std::size_t ends = std::size_t{4} * draws * (hidden + 8) + 21504;
    return {in_w,  in_c,  kernel, stride, padding > 0 ? padding / 2 : 0,
            out_w, out_c, hidden, draws,  rows > ends ? rows : ends};
  }

  constexpr bool operator==(const MultiDrawShape&) const = default;
};

/// The MNIST CNN with its noise after the first convolution; what a small network for images of 12
/// x 12 pixels is, for tests; and the MNIST CNN for devices that have less shared memory, which
/// must count what the others do: layer by layer, sums have another order.
///
/// Another network of this kind, any noise, one convolution, one hidden layer, takes a line more.
/// What the kernel's parts need of it, they assert: channels by 16, hidden units by 128.
inline constexpr MultiDrawShape multi_draw_shapes[] = {
    MultiDrawShape::same(14, 32, 5, 2, 64, 1024, 32),
    MultiDrawShape::same(6, 16, 3, 2, 32, 128, 32), MultiDrawShape::same(6, 16, 3, 2, 32, 128, 16),
    MultiDrawShape::same(14, 32, 5, 2, 64, 1024, 16)};

/// The same in int8, with channels by 32.
inline constexpr MultiDrawShape multi_draw_int8_shapes[] = {
    MultiDrawShape::same(14, 32, 5, 2, 64, 1024, 32, 1),
    MultiDrawShape::same(6, 32, 3, 2, 64, 128, 32, 1),
    MultiDrawShape::same(6, 32, 3, 2, 64, 128, 16, 1),
    MultiDrawShape::same(14, 32, 5, 2, 64, 1024, 16, 1)};

/// How one launch is shared out: a block does up to `shape.draws` draws of one image.
struct MultiDrawGrid {
  MultiDrawShape shape = {};
  unsigned draw_blocks = 0, images = 0;  ///< of the grid's two axes

  /// Whether one of multi_draw_shapes, or in int8 of the others, fits the network and the device.
  static bool supports(const MultiDrawNetwork& network, const Arch& arch);

  /// Of the shapes that fit (with `block_draws` draws, if that is not 0) the one that takes the
  /// fewest blocks, each of which reads all weights; the smallest of these. Throws an Error as
  /// MultiDraw says.
  static MultiDrawGrid plan(const MultiDrawNetwork& network, const MultiDrawParams& params,
                            const Arch& arch, int block_draws = 0, const float* prefixes = nullptr);
};

// pack_multi_draw with block_draws as in MultiDrawGrid::plan; the result does not depend on it.

namespace cuda {
std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights, int block_draws);
}

namespace emulated {
std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights, int block_draws);
}

}  // namespace pixeldp::kernels
