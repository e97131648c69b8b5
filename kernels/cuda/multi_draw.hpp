#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/arch.hpp"
#include "kernels/multi_draw.hpp"

namespace pixeldp::kernels {

/// Room for logits and sums in a block.
inline constexpr int multi_draw_classes = 128;

/// Shared memory when all rows have gone by: hidden units of a block's draws, logits and sums of
/// all classes.
constexpr std::size_t multi_draw_end_bytes(int draws, int hidden) {
  return std::size_t{4} * draws * (hidden + 8) + 21504;
}

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
    return {in_w,  in_c,  kernel, stride, padding > 0 ? padding / 2 : 0,
            out_w, out_c, hidden, draws,  std::max(rows, multi_draw_end_bytes(draws, hidden))};
  }

  constexpr bool operator==(const MultiDrawShape&) const = default;
};

/// The MNIST CNN with its noise after the first convolution; what a small network for images of 12
/// x 12 pixels is, for tests; and the MNIST CNN for devices that have less shared memory, which
/// must count what the others do: layer by layer, sums have another order.
///
/// Another network of this kind, any noise, one convolution, one hidden layer, takes a line more.
/// What the kernel's parts need of it, they assert: channels by 16, hidden units by 128.
/// MultiDrawCluster says what it takes to be done by clusters, too.
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

/// How a cluster of two blocks does 64 draws on sm_90a (kernels/cuda/multi_draw_cluster.cu) with a
/// shape of 32 draws: each block makes noise and features of half of the draws, and half of the
/// hidden units of all of them, a quarter by each of its two warpgroups that do so.
struct MultiDrawCluster {
  static constexpr int blocks = 2, draws = 64, consumers = 2;
  /// Hidden units of such a warpgroup, and those that there are products for.
  static constexpr int columns_of(std::int64_t hidden) {
    return static_cast<int>(hidden / (blocks * consumers));
  }
  static constexpr int columns[] = {256, 32};
  /// Bytes of features, or weights, that a product multiplies for each sum.
  static constexpr int depth_bytes = 32;
  static constexpr std::size_t alignment = 256, barrier_bytes = 256;

  int slots = 0;   ///< pixels of features that a block has room for; 0: the shape has no such form
  int stages = 0;  ///< steps of weights that each of these warpgroups has room for
  std::size_t shared_bytes = 0;

  /// At most four of both, as many as an H100 has shared memory for.
  static constexpr MultiDrawCluster of(const MultiDrawShape& shape, std::size_t element_bytes = 2) {
    const int units = columns_of(shape.hidden);
    const std::size_t pixel = element_bytes * shape.out_c;
    if (shape.draws * blocks != draws || pixel % depth_bytes != 0 ||
        units * blocks * consumers != shape.hidden || std::ranges::count(columns, units) == 0)
      return {};
    const std::size_t rows = element_bytes * shape.draws * shape.kernel * shape.in_w * shape.in_c;
    const std::size_t ends = multi_draw_end_bytes(shape.draws, shape.hidden);
    for (int slots = 4; slots >= 2; --slots) {
      for (int stages = 4; stages >= 2; --stages) {
        const std::size_t pipeline =
            rows + slots * draws * pixel + std::size_t{depth_bytes} * consumers * stages * units;
        const std::size_t bytes =
            (std::max(pipeline, ends) + alignment - 1) / alignment * alignment;
        if (bytes + barrier_bytes <= sm_90.shared_per_block)
          return {slots, stages, bytes + barrier_bytes};
      }
    }
    return {};
  }

  constexpr bool operator==(const MultiDrawCluster&) const = default;
};

/// How one launch is shared out: a block does up to `shape.draws` draws of one image, and a cluster
/// those of its blocks.
struct MultiDrawGrid {
  MultiDrawShape shape = {};
  MultiDrawCluster cluster = {};         ///< without slots where blocks are on their own
  unsigned draw_blocks = 0, images = 0;  ///< of the grid's two axes

  bool in_clusters() const { return cluster.slots > 0; }
  bool operator==(const MultiDrawGrid&) const = default;

  /// Whether one of multi_draw_shapes, or in int8 of the others, fits the network and the device.
  static bool supports(const MultiDrawNetwork& network, const Arch& arch);

  /// Where the device has the products of sm_90a, the first shape that fits and has a form for
  /// clusters, which is then not asked how many draws there are: its sums in bf16 may be other ones
  /// in the last bits, and a draw's must not depend on the others. Else, of the shapes that fit,
  /// the one that takes the fewest blocks, each of which reads all weights; the smallest of these.
  ///
  /// block_draws: 0, or the draws that a block (one of the shapes') has to do; or a cluster, 64, on
  /// a device that the caller knows to have these products. Throws an Error as MultiDraw says.
  static MultiDrawGrid plan(const MultiDrawNetwork& network, const MultiDrawParams& params,
                            const Arch& arch, int block_draws = 0, const float* prefixes = nullptr);
};

// pack_multi_draw with block_draws as in MultiDrawGrid::plan. The result does not depend on it but
// for clusters, whose sums in bf16 tensor cores may round otherwise.

namespace cuda {
std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights, int block_draws);
}

namespace emulated {
std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights, int block_draws);
}

}  // namespace pixeldp::kernels
