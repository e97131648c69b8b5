#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/to_bytes.cuh"
#include "kernels/formulas/noise.hpp"
#include "kernels/noise.hpp"

/// What the two forms of the multi-draw kernel (multi_draw.cu, multi_draw_cluster.cu) are given,
/// what they are compiled for, and how both end.
namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers {

constexpr int n = WeightFragment::n;

/// What there is for operands in bf16, and in int8.
template <class Element>
inline constexpr std::span<const MultiDrawShape> shapes_of = multi_draw_shapes;
template <>
inline constexpr std::span<const MultiDrawShape> shapes_of<std::int8_t> = multi_draw_int8_shapes;

/// shapes_of<Operand>[index] as a type, for so many threads that make noise and features. (nvcc 13
/// cannot launch kernels whose template argument is a struct.)
template <std::size_t index, class Operand, int all_threads>
struct ShapeBy {
  using Element = Operand;  // of what tensor cores multiply
  static constexpr bool in_int8 = std::is_same_v<Element, std::int8_t>;
  using Sum = std::conditional_t<in_int8, std::int32_t, float>;
  static constexpr int threads = all_threads, warps = threads / 32;
  static constexpr int chunk = 16 / sizeof(Element);  // elements in 16 bytes
  static constexpr int k = 2 * chunk;                 // of a product
  static constexpr MultiDrawShape value = shapes_of<Element>[index];
  static constexpr int in_w = value.in_w, in_c = value.in_c, kernel = value.kernel,
                       stride = value.stride, pad = value.pad_w, out_w = value.out_w,
                       out_c = value.out_c, hidden = value.hidden, draws = value.draws;
  static constexpr int in_chunks = in_c / chunk, out_chunks = out_c / chunk;
  static constexpr int row = in_w * draws * in_c, feature_pixel = draws * out_c;  // elements

  // Noise: a thread makes four channels of one draw at a time, or of several so far apart, of every
  // few pixels.
  static constexpr int quads = in_c / 4;
  static constexpr int draws_at_once = threads / quads < draws ? threads / quads : draws;
  static constexpr int thread_draws = draws / draws_at_once;
  static constexpr int pixel_threads = quads * draws_at_once;
  static constexpr int pixels_at_once = threads / pixel_threads;
  static_assert(threads % pixel_threads == 0 && draws % draws_at_once == 0);
  static_assert(draws_at_once % 8 == 0, "rows of swizzled chunks repeat");
  static constexpr int noise_steps = (stride * in_w + pixels_at_once - 1) / pixels_at_once;

  // Convolution: a warp makes `warp_tiles` times 16 channels of some pixels of 16 draws.
  static constexpr int m = draws / 16, conv_n = out_c / n, tiles = m * conv_n;
  static constexpr int warp_tiles = tiles > warps ? tiles / warps : 1;
  static constexpr int pixel_warps = tiles / warp_tiles, pixel_groups = warps / pixel_warps;
  static constexpr int pixels = (out_w + pixel_groups - 1) / pixel_groups;
  static_assert(in_c % k == 0 && out_c % n == 0 && conv_n % warp_tiles == 0);
  static_assert(warps % pixel_warps == 0 && stride <= kernel);

  static constexpr int pixel_steps = out_c / k;  // of the dense layer
};

/// While the rows of the image go by: `kernel` of them, noised, row h at h modulo kernel, as
/// [w, draw, channel].
template <class S>
using Noised = typename S::Element[S::kernel][S::row];

/// What becomes of sums of bytes; nothing in bf16.
struct Scales {
  const float *conv, *dense;
  float inverse_scale, features_inverse_scale;
};

struct Work {
  int in_h, out_h, pad_h;
  NoiseParams noise;
  std::uint32_t first_draw, draws;
  const float* prefixes;
  const std::uint32_t* image_ids;
  Scales scales;
};

/// Packed as fragments.hpp says for mma_bf16 or, in int8, mma_s8, and the dense layer for clusters
/// as multi_draw_cluster.cu wants it; the biases may be null.
struct Weights {
  const uint4* conv;
  const uint4* dense;
  const float* dense_bias;
  ScoreHead head;
};

/// Where chunk c of row `row` begins, in elements, of rows of `chunks` chunks.
template <class S, int chunks>
__device__ __forceinline__ int place(int row, int c) {
  return swizzled<chunks>(row, c) / 8 * S::chunk;
}

__device__ __forceinline__ void multiply(float (&sum)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
  ptx::mma_bf16(sum, a, b);
}
__device__ __forceinline__ void multiply(std::int32_t (&sum)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
  ptx::mma_s8(sum, a, b);
}

template <class V = Lane>  // nvcc takes the constexpr functions of templates only
__device__ __forceinline__ float relu(float value) {
  return Relu(0.0f).apply<V>(value).value;
}
/// Of a sum of bytes, as kernels/cuda/int8_epilogue.cuh does.
__device__ __forceinline__ float scaled_relu(std::int32_t sum, float scale, float shift) {
  return activated_lane(Rounded(__int2float_rn(sum)) * scale + shift, 0.0f);
}

constexpr int score_warps = 8;  // that make logits and scores

/// When all rows have gone by.
template <class S>
struct Ends {
  static constexpr int stride = S::hidden + 8;  // so that fragments are written to all banks

  float hidden[S::draws][stride];
  float logits[score_warps][warp_rows][logits_stride(multi_draw_classes)];
  BlockSums<multi_draw_classes> sums;
};

/// A hidden unit, from its sum.
template <class S>
__device__ __forceinline__ float hidden_unit(typename S::Sum sum, const Scales& scales, int unit,
                                             float bias) {
  if constexpr (S::in_int8)
    return scaled_relu(sum, scales.dense[unit], bias);
  else
    return relu(__fadd_rn(sum, bias));
}

/// What a warp adds of a block's draws, whose hidden units are there: four of them, from the
/// 4 warp-th on. `first`: the block's first draw of this launch.
template <class S>
__device__ __forceinline__ void score_draws(Ends<S>& ends, const Work& work, const ScoreHead& head,
                                            const Totals& totals, std::int64_t image,
                                            std::uint32_t first, int warp) {
  if (warp * warp_rows >= S::draws || first + warp * warp_rows >= work.draws) return;
  const int lane = static_cast<int>(threadIdx.x % 32), half = lane / statistics_lanes;
  const int classes = static_cast<int>(head.classes);
  auto& logits = ends.logits[warp];
  make_logits(
      head, [&](int r) { return ends.hidden[warp * warp_rows + r]; }, logits);
  for (int pair = 0; pair < warp_rows; pair += 2) {
    const std::uint32_t draw = first + static_cast<std::uint32_t>(warp * warp_rows + pair + half);
    const auto add = [&](int kind, int c, Count value) {
      if (value != 0) atomicAdd(&ends.sums.kind[kind][c], value);
    };
    if (!score_rows(logits[pair + half], classes, draw < work.draws, add) &&
        lane % statistics_lanes == 0)
      atomicMin(totals.bad_row, static_cast<Count>(image) * work.draws + draw);
  }
}

/// f(shape, transform), each as a std::type_identity, with the Shape<index, Element> of a shape.
/// Without noise any transform does: scale 0 leaves the prefix as it is, up to the sign of zero.
template <template <std::size_t, class> class Shape, class Element, std::size_t index = 0, class F>
void with_shape(const MultiDrawShape& shape, NoiseDistribution distribution, const F& f) {
  using S = Shape<index, Element>;
  if (shape == S::value) {
    switch (distribution) {
      case NoiseDistribution::none:
      case NoiseDistribution::gaussian:
        return f(std::type_identity<S>(), std::type_identity<GaussianTransform>());
      case NoiseDistribution::laplace:
        return f(std::type_identity<S>(), std::type_identity<LaplaceTransform>());
    }
  } else if constexpr (index + 1 < shapes_of<Element>.size()) {
    with_shape<Shape, Element, index + 1>(shape, distribution, f);
  }
}

/// The form for clusters, multi_draw_cluster.cu: of a grid that is in clusters, with the weights of
/// the dense layer as pack_matrices packs them for MultiDrawCluster::columns.
void run_in_clusters(cudaStream_t stream, const MultiDrawGrid& grid, bool in_int8, const Work& work,
                     const Weights& weights, const Totals& totals);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers
