#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/arch.hpp"
#include "kernels/multi_draw.hpp"

namespace pixeldp::kernels {

/// A network that kernels/cuda/multi_draw.cu was compiled for, with a number of draws that a block
/// does at a time, and the shared memory that it takes. The height of the image, its padding above
/// and below, and the number of classes may be anything.
struct MultiDrawShape {
  int in_w, in_c, kernel, stride, pad_w;
  int out_w, out_c, hidden, draws;
  std::size_t shared_bytes;

  constexpr bool operator==(const MultiDrawShape&) const = default;
};

/// The MNIST CNN with its noise after the first convolution; what a small network for images of 12
/// x 12 pixels is, for tests; and the MNIST CNN for devices that have less shared memory, which
/// must count what the others do: layer by layer, sums have another order.
inline constexpr MultiDrawShape multi_draw_shapes[] = {{14, 32, 5, 2, 1, 7, 64, 1024, 32, 163840},
                                                       {6, 16, 3, 2, 0, 3, 32, 128, 32, 38912},
                                                       {6, 16, 3, 2, 0, 3, 32, 128, 16, 30208},
                                                       {14, 32, 5, 2, 1, 7, 64, 1024, 16, 87552}};

/// Room for logits and sums in a block.
inline constexpr int multi_draw_classes = 128;

/// How one launch is shared out: a block does up to `shape.draws` draws of one image.
struct MultiDrawGrid {
  MultiDrawShape shape = {};
  unsigned draw_blocks = 0, images = 0;  ///< of the grid's two axes

  /// Whether one of multi_draw_shapes fits the network and the device.
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
