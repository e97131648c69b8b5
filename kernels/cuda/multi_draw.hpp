#pragma once

#include <cstdint>
#include <memory>

#include "kernels/multi_draw.hpp"

namespace pixeldp::kernels {

/// A network that kernels/cuda/multi_draw.cu was compiled for, with a number of draws that a block
/// does at a time. The height of the image, its padding above and below, and the number of classes
/// may be anything.
struct MultiDrawShape {
  int in_w, in_c, kernel, stride, pad_w;
  int out_w, out_c, hidden, draws;

  constexpr bool operator==(const MultiDrawShape&) const = default;
};

/// The MNIST CNN with its noise after the first convolution; and what a small network for images of
/// 12 x 12 pixels is, for tests.
inline constexpr MultiDrawShape multi_draw_shapes[] = {{14, 32, 5, 2, 1, 7, 64, 1024, 32},
                                                       {6, 16, 3, 2, 0, 3, 32, 128, 32},
                                                       {6, 16, 3, 2, 0, 3, 32, 128, 16}};

/// Room for logits and sums in a block.
inline constexpr int multi_draw_classes = 128;

/// How one launch is shared out: a block does up to `shape.draws` draws of one image.
struct MultiDrawGrid {
  MultiDrawShape shape = {};
  unsigned draw_blocks = 0, images = 0;  ///< of the grid's two axes

  /// Whether one of multi_draw_shapes fits the network.
  static bool supports(const MultiDrawNetwork& network);

  /// Of the shapes that fit (with `block_draws` draws, if that is not 0) the one that leaves the
  /// fewest draws of a block idle, the largest of these. Throws an Error as MultiDraw says.
  static MultiDrawGrid plan(const MultiDrawNetwork& network, const MultiDrawParams& params,
                            int block_draws = 0, const float* prefixes = nullptr);
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
