/// From prefixes to statistics, see kernels/multi_draw.hpp:
///
///   x = bf16(activation(prefix + scale z)),  f = bf16(relu(x (*) conv)),
///   h = relu(dense f + bias),  votes, sums, squares += statistics of the head of h
///
/// Layouts: prefixes [images, in_h, in_w, in_c], aligned to 16 bytes; weights packed once into the
/// order in which the lanes of a warp want them (fragments.hpp), so that a lane's part of 16
/// products of 16 columns is one access of 16 bytes, and a warp's accesses are 512 bytes in a row.
///
/// Work: a block does 32 draws (or 16) of one image, row after row of the convolution's output.
///
///   Noise is made once per element and lies in shared memory as bf16, of as many rows of the image
///   as the kernel is high. The rows that the next row of the output needs take the place of those
///   that it does not, and are made while the tensor cores do the dense layer.
///   The convolution takes the draws of one pixel as the rows of its matrix. So there is no matrix
///   of patches: a pixel is read from shared memory once for all taps that meet it (2.5 on the
///   average), and taps outside the image are left out.
///   The dense layer is added up as the rows of its input come: the sums of all draws and all
///   hidden units, 32 x 1024, stay in registers to the end, and each of its weights is read once.
///   The head and the scores are those of draw_statistics.cu, from hidden units in shared memory.
///
/// One output row's features of 32 draws are 28 KB, of which an A100 has 20 left: the first two of
/// seven pixels take the place of a row that is over, and are read before the noise takes it back.
/// Devices with less shared memory do 16 draws at a time, and read the weights twice as often.
///
/// The order of a sum: the convolution's over kernel rows, 16 channels, then taps of equal residue
/// modulo the stride; the dense layer's over (h, w, c). No sum meets another draw, so its bits
/// depend on its own operands only.
///
/// Fused: everything. Never written to global memory: noise, activations, logits, scores.
///
/// MNIST, per draw: 5.3 million products on tensor cores (2.1 the convolution's, without those of
/// the padding), 6272 elements of noise of 55 instructions of PTX each, 10240 products of the head.
/// Bytes from the L2 cache: 201 KB of the dense layer's weights, 23 of the convolution's (46 if the
/// two warps that share them never meet in the L1 cache), 2 of prefix and head.
///
/// Roofline, computed, not measured; clocks of one multiprocessor for 32 draws, in thousands:
///
///                                      A100                       H100
///   convolution, tensor cores           66 (1024 products a clock)  33 (2048, of which
///   dense layer, tensor cores          100                          50  mma.sync gets less)
///   dense layer, L2 cache              136 (47 bytes a clock)      166 (39, if it gives 5120 in
///   noise, 128 lanes                    86, 25 of them alone        86, 25 alone     all, too)
///   head, 128 lanes                      9                           9
///   sum of what does not overlap       236                         233
///   tensor cores' share                 70 %                        36 %
///
/// So the L2 cache is the limit: a draw's weights are read once for 32 draws, and no more sums fit
/// into the registers of a multiprocessor.
///
///   nvcc --resource-usage   registers sm_80, sm_90   shared memory   (none spilt)
///   MNIST, 32 draws         252, 252                 163840
///   MNIST, 16 draws         177, 167                  87552
///   6 x 6, 32 draws         112, 121                  38912
///   6 x 6, 16 draws         105, 121                  30208
#include <iterator>
#include <string>

#include "kernels/cuda/current_arch.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/fragments.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/noise.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/stream_scratch.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int threads = 256, warps = threads / 32;
constexpr int chunk = 8;  // elements in 16 bytes
constexpr int k = WeightFragment::k, n = WeightFragment::n;

/// multi_draw_shapes[index] as a type. (nvcc 13 cannot launch kernels whose template argument is a
/// struct.)
template <std::size_t index>
struct ShapeOf {
  static constexpr MultiDrawShape value = multi_draw_shapes[index];
  static constexpr int in_w = value.in_w, in_c = value.in_c, kernel = value.kernel,
                       stride = value.stride, pad = value.pad_w, out_w = value.out_w,
                       out_c = value.out_c, hidden = value.hidden, draws = value.draws;
  static constexpr int in_chunks = in_c / chunk, out_chunks = out_c / chunk;
  static constexpr int row = in_w * draws * in_c, feature_pixel = draws * out_c;  // elements

  // Noise: a thread makes four channels of one draw at a time, of every few pixels.
  static constexpr int quads = in_c / 4, pixel_threads = quads * draws;
  static constexpr int pixels_at_once = threads / pixel_threads;
  static_assert(threads % pixel_threads == 0);

  // Convolution: a warp makes 16 channels of some pixels of 16 draws.
  static constexpr int m = draws / 16, conv_n = out_c / n, pixel_groups = warps / (m * conv_n);
  static constexpr int pixels = (out_w + pixel_groups - 1) / pixel_groups;
  static_assert(in_c % k == 0 && out_c % n == 0 && warps % (m * conv_n) == 0);
  static_assert(stride <= kernel);

  // Dense layer: a warp makes `dense_n` times 16 units of all draws.
  static constexpr int dense_n = hidden / n / warps, pixel_steps = out_c / k;
  static constexpr int steps = out_w * pixel_steps;
  static_assert(hidden % (n * warps) == 0 && hidden % 32 == 0 && steps % 2 == 0);

  // The noise of the next rows, made in the meantime.
  static constexpr int noise_steps = (stride * in_w + pixels_at_once - 1) / pixels_at_once;
  static constexpr int noise_at_once = (noise_steps + steps - 1) / steps;

  /// The first pixels of the features that find no room of their own. They lie where the last new
  /// row's last noise is going to be.
  static constexpr int overlaid = [] {
    const int free = static_cast<int>(value.shared_bytes / 2) - kernel * row;
    const int room = free / feature_pixel;
    return room < out_w ? out_w - room : 0;
  }();
  static constexpr int first_overlaid_noise_step =
      (stride * row - overlaid * feature_pixel) / (draws * in_c) / pixels_at_once;
  /// Before this step all threads have read them, after it some may make noise there.
  static constexpr int overlay_barrier =
      (overlaid * pixel_steps + first_overlaid_noise_step / noise_at_once) / 4 * 2;
  static_assert(overlaid == 0 ||
                (overlaid * feature_pixel <= row && overlaid * pixel_steps <= overlay_barrier &&
                 overlay_barrier * noise_at_once <= first_overlaid_noise_step));
};

/// While the rows of the image go by: `kernel` of them, noised, row h at h modulo kernel, as
/// [w, draw, channel]; and one row of what the convolution makes of them, as [w, draw, channel].
template <class S>
struct Rows {
  std::uint16_t noised[S::kernel][S::row];
  std::uint16_t features[(S::out_w - S::overlaid) * S::feature_pixel];

  /// Pixel w of the features of row p.
  __device__ __forceinline__ std::uint16_t* feature(int w, int last_new_row) {
    if constexpr (S::overlaid > 0) {
      if (w < S::overlaid)
        return noised[last_new_row % S::kernel] + S::row - (S::overlaid - w) * S::feature_pixel;
    }
    return features + (w - S::overlaid) * S::feature_pixel;
  }
};

/// When all rows have gone by.
template <class S>
struct Ends {
  static constexpr int stride = S::hidden + 8;  // so that fragments are written to all banks

  float hidden[S::draws][stride];
  float logits[warps][warp_rows][logits_stride(multi_draw_classes)];
  BlockSums<multi_draw_classes> sums;
};

template <class S>
union alignas(16) SharedStorage {
  Rows<S> rows;
  Ends<S> ends;
};

/// Packed as fragments.hpp says; the biases may be null.
struct Weights {
  const uint4* conv;
  const uint4* dense;
  const float* dense_bias;
  ScoreHead head;
};

struct Work {
  int in_h, out_h, pad_h;
  NoiseParams noise;
  std::uint32_t first_draw, draws;
  const float* prefixes;
  const std::uint32_t* image_ids;
};

/// Any of the activations, chosen at run time.
struct AnyActivation {
  float slope;

  template <class V>
  [[gnu::always_inline]] constexpr typename V::Floats apply(typename V::Floats y) const {
    return slope == 0.0f ? Relu(0.0f).apply<V>(y) : LeakyRelu(slope).apply<V>(y);
  }
};

template <class V = Lane>  // nvcc takes the constexpr functions of templates only
__device__ __forceinline__ float relu(float value) {
  return Relu(0.0f).apply<V>(value).value;
}

/// A thread's part of the noise: always the same channels of the same draw.
template <class S, class Transform>
struct NoiseMaker {
  NoisyRow<Transform, AnyActivation> noise;
  const uint4* prefix;  // bits, of the image, from this thread's channels on
  int in_h, pixel, quad, target;

  __device__ __forceinline__ NoiseMaker(const Work& work, std::int64_t image, std::uint32_t first)
      : in_h(work.in_h) {
    const int thread = static_cast<int>(threadIdx.x);
    const int draw = thread / S::quads % S::draws;
    quad = thread % S::quads, pixel = thread / S::pixel_threads;
    noise = {work.noise.seed, work.noise.tag,
             NoiseRow{image, work.image_ids[image], first + static_cast<std::uint32_t>(draw)},
             work.noise.scale, AnyActivation{work.noise.activation.slope}};
    prefix = reinterpret_cast<const uint4*>(work.prefixes +
                                            image * (std::int64_t{work.in_h} * S::in_w * S::in_c)) +
             quad;
    target = swizzled<S::in_chunks>(draw, quad / 2) + quad % 2 * 4;
  }

  /// Step `step` of the noise of `count` rows from first_row on; those that do not exist are left
  /// out.
  __device__ __forceinline__ void make(Rows<S>& rows, int first_row, int count, int step) const {
    const int p = step * S::pixels_at_once + pixel, h = first_row + p / S::in_w, w = p % S::in_w;
    const bool exists = p < count * S::in_w && h >= 0 && h < in_h;
    const int block = exists ? (h * S::in_w + w) * S::quads : 0;
    const uint4 v = __ldg(prefix + block);
    const float x[4] = {__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                        __uint_as_float(v.w)};
    float y[4];
    noise.apply(static_cast<std::uint32_t>(block + quad), x, y);
    if (!exists) return;
    store_shared(
        reinterpret_cast<uint2*>(rows.noised[h % S::kernel] + w * S::draws * S::in_c + target),
        make_uint2(ptx::to_bf16x2(y[0], y[1]), ptx::to_bf16x2(y[2], y[3])));
  }
};

/// A warp's part of a row of the convolution. An operand in registers, 16 channels of a pixel of 16
/// draws, serves all the taps that meet it: those of one residue modulo the stride. When the pixels
/// have met the taps of a residue, the registers of their weights wait for those of the next step,
/// while the next residue has its turn.
template <class S>
struct Convolution {
  static constexpr int most_taps = (S::kernel + S::stride - 1) / S::stride;
  static constexpr int steps = S::in_c / k;  // of a tap

  int lane, tile_m, tile_n, first;  // first pixel
  float sum[S::pixels][2][4] = {};

  __device__ __forceinline__ Convolution() {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    lane = static_cast<int>(threadIdx.x) % 32;
    tile_m = warp % S::m, tile_n = warp / S::m % S::conv_n;
    first = S::pixel_groups == 1 ? 0 : warp / (S::m * S::conv_n) * S::pixels;
  }

  /// step: of the kernel's rows and the channels.
  __device__ __forceinline__ void load(WeightFragment (&fragments)[most_taps], const uint4* weight,
                                       int step, int residue) const {
    for (int t = 0; t * S::stride + residue < S::kernel; ++t) {
      const int tap = step * S::kernel + t * S::stride + residue;
      fragments[t].load(weight + (tap * S::conv_n + tile_n) * 32 + lane);
    }
  }

  __device__ __forceinline__ void multiply(const std::uint16_t* row,
                                           const WeightFragment (&fragments)[most_taps],
                                           int residue) {
    const int taps = (S::kernel - residue + S::stride - 1) / S::stride;
#pragma unroll
    for (int j = 0; j < S::pixels + taps - 1; ++j) {
      const int w = (first + j) * S::stride + residue - S::pad;
      if (w < 0 || w >= S::in_w) continue;
      std::uint32_t a[4];
      ptx::ldmatrix(a, row + w * S::draws * S::in_c);
      for (int t = 0; t < taps; ++t) {
        if (j - t < 0 || j - t >= S::pixels) continue;
        for (int i = 0; i < 2; ++i) ptx::mma_bf16(sum[j - t][i], a, fragments[t].b[i]);
      }
    }
  }

  /// Row p.
  __device__ __forceinline__ void run(const Rows<S>& rows, const Work& work, const uint4* weight,
                                      int p) {
    const int top = p * S::stride - work.pad_h;
    const int first_r = top < 0 ? -top : 0;
    const int last_r = work.in_h - top < S::kernel ? work.in_h - top : S::kernel;
    const int end = last_r * steps;
    WeightFragment fragments[S::stride][most_taps];
    int step = first_r * steps;
    if (step >= end) return;
    for (int residue = 0; residue < S::stride; ++residue)
      load(fragments[residue], weight, step, residue);
#pragma unroll 1
    for (; step < end; ++step) {
      const std::uint16_t* const row =
          rows.noised[(top + step / steps) % S::kernel] +
          swizzled<S::in_chunks>(tile_m * 16 + lane % 16, step % steps * 2 + lane / 16);
      for (int residue = 0; residue < S::stride; ++residue) {
        multiply(row, fragments[residue], residue);
        load(fragments[residue], weight, step + 1, residue);  // after the last step, for nothing
      }
    }
  }

  __device__ __forceinline__ void store(Rows<S>& rows, int last_new_row) const {
    for (int i = 0; i < S::pixels; ++i) {
      if (first + i >= S::out_w) continue;
      std::uint16_t* const pixel = rows.feature(first + i, last_new_row);
      for (int j = 0; j < 2; ++j) {
        for (int half = 0; half < 2; ++half) {
          const int draw = tile_m * 16 + half * 8 + lane / 4;
          store_shared(reinterpret_cast<std::uint32_t*>(
                           pixel + swizzled<S::out_chunks>(draw, tile_n * 2 + j) + lane % 4 * 2),
                       ptx::to_bf16x2(relu(sum[i][j][2 * half]), relu(sum[i][j][2 * half + 1])));
        }
      }
    }
  }
};

/// A warp's part of the dense layer, of all draws. The sums stay in registers from the first row to
/// the last. As soon as a fragment of the weights has been multiplied, its registers wait for that
/// of the next step.
template <class S>
struct Dense {
  int lane, first;  // first fragment
  float sum[S::m][2 * S::dense_n][4] = {};
  WeightFragment fragments[S::dense_n];

  __device__ __forceinline__ Dense()
      : lane(static_cast<int>(threadIdx.x) % 32),
        first(static_cast<int>(threadIdx.x) / 32 * S::dense_n) {}

  /// The fragments of a step, for all rows counted through.
  __device__ __forceinline__ const uint4* at(const uint4* weight, std::int64_t step) const {
    return weight + (step * (S::hidden / n) + first) * 32 + lane;
  }
  __device__ __forceinline__ void load(const uint4* weight) {
    for (int i = 0; i < S::dense_n; ++i) fragments[i].load(weight + i * 32);
  }

  __device__ __forceinline__ void load(std::uint32_t (&a)[S::m][4], Rows<S>& rows, int step,
                                       int last_new_row) const {
    const std::uint16_t* const pixel = rows.feature(step / S::pixel_steps, last_new_row);
    for (int i = 0; i < S::m; ++i)
      ptx::ldmatrix(a[i], pixel + swizzled<S::out_chunks>(i * 16 + lane % 16,
                                                          step % S::pixel_steps * 2 + lane / 16));
  }

  __device__ __forceinline__ void multiply(const std::uint32_t (&a)[S::m][4], const uint4* next,
                                           bool last) {
    for (int j = 0; j < S::dense_n; ++j) {
      for (int half = 0; half < 2; ++half)
        for (int i = 0; i < S::m; ++i)
          ptx::mma_bf16(sum[i][2 * j + half], a[i], fragments[j].b[half]);
      if (!last) fragments[j].load(next + j * 32);
    }
  }

  /// One row of features, whose first fragments of weights have been loaded; `weight`: of this row.
  /// In the meantime the noise of the next rows is made.
  template <bool noisy, class Noise>
  __device__ __forceinline__ void run(Rows<S>& rows, const uint4* weight, const Noise& noise,
                                      int new_row) {
    const int last_new_row = new_row + S::stride - 1;
    std::uint32_t a[2][S::m][4];
    load(a[0], rows, 0, last_new_row);
#pragma unroll 1
    for (int pair = 0; pair < S::steps; pair += 2) {
      if constexpr (noisy && S::overlaid > 0)
        if (pair == S::overlay_barrier) __syncthreads();
#pragma unroll
      for (int odd = 0; odd < 2; ++odd) {
        const int step = pair + odd;
        const bool last = step + 1 == S::steps;
        load(a[1 - odd], rows, last ? step : step + 1, last_new_row);
        if constexpr (noisy)
          for (int i = 0; i < S::noise_at_once; ++i)
            noise.make(rows, new_row, S::stride, step * S::noise_at_once + i);
        weight += S::hidden / n * 32;
        multiply(a[odd], weight, last);
      }
    }
  }

  __device__ __forceinline__ void store(Ends<S>& ends, const float* bias) const {
    for (int j = 0; j < 2 * S::dense_n; ++j) {
      const int column = (first * 2 + j) * 8 + lane % 4 * 2;
      float b[2] = {};
      if (bias != nullptr) b[0] = bias[column], b[1] = bias[column + 1];
      for (int i = 0; i < S::m; ++i) {
        for (int half = 0; half < 2; ++half) {
          store_shared(
              reinterpret_cast<float2*>(&ends.hidden[i * 16 + half * 8 + lane / 4][column]),
              make_float2(relu(__fadd_rn(sum[i][j][2 * half], b[0])),
                          relu(__fadd_rn(sum[i][j][2 * half + 1], b[1]))));
        }
      }
    }
  }
};

template <class S, class Transform>
__global__ void __launch_bounds__(threads, 1)
    multi_draw_kernel(Work work, Weights weights, Totals totals) {
  auto& shared = shared_storage<SharedStorage<S>>();
  const std::int64_t image = blockIdx.y;
  const std::uint32_t first = blockIdx.x * S::draws;  // of this launch's draws
  Rows<S>& rows = shared.rows;

  {
    const NoiseMaker<S, Transform> noise(work, image, work.first_draw + first);
    const int first_rows = S::kernel - work.pad_h;
#pragma unroll 1
    for (int step = 0; step * S::pixels_at_once < first_rows * S::in_w; ++step)
      noise.make(rows, 0, first_rows, step);
  }
  __syncthreads();

  Dense<S> dense;
#pragma unroll 1
  for (int p = 0; p < work.out_h; ++p) {
    const int new_row = p * S::stride - work.pad_h + S::kernel;
    const int last_new_row = new_row + S::stride - 1;
    const uint4* const weight = dense.at(weights.dense, std::int64_t{p} * S::steps);
    {
      Convolution<S> conv;
      conv.run(rows, work, weights.conv, p);
      if constexpr (S::overlaid > 0) __syncthreads();  // nobody reads the row that is over
      conv.store(rows, last_new_row);
    }
    dense.load(weight);
    __syncthreads();
    // Made anew for each row, so that its parts take no registers during the convolution.
    const NoiseMaker<S, Transform> noise(work, image, work.first_draw + first);
    if (p + 1 < work.out_h && new_row < work.in_h)
      dense.template run<true>(rows, weight, noise, new_row);
    else
      dense.template run<false>(rows, weight, noise, new_row);
    __syncthreads();
  }

  Ends<S>& ends = shared.ends;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
  const int classes = static_cast<int>(weights.head.classes);
  dense.store(ends, weights.dense_bias);
  ends.sums.clear(classes, thread, threads);
  __syncthreads();
  if (warp * warp_rows < S::draws && first + warp * warp_rows < work.draws) {
    auto& logits = ends.logits[warp];
    make_logits(
        weights.head, [&](int r) { return ends.hidden[warp * warp_rows + r]; }, logits);
    const int half = thread / statistics_lanes % 2;
    for (int pair = 0; pair < warp_rows; pair += 2) {
      const std::uint32_t draw = first + static_cast<std::uint32_t>(warp * warp_rows + pair + half);
      const auto add = [&](int kind, int c, Count value) {
        if (value != 0) atomicAdd(&ends.sums.kind[kind][c], value);
      };
      if (!score_rows(logits[pair + half], classes, draw < work.draws, add) &&
          thread % statistics_lanes == 0)
        atomicMin(totals.bad_row, static_cast<Count>(image) * work.draws + draw);
    }
  }
  __syncthreads();
  ends.sums.add_to(totals, image, classes, thread, threads);
}

class PackedMultiDraw : public MultiDraw {
 public:
  PackedMultiDraw(const Stream& stream, const MultiDrawNetwork& network,
                  const MultiDrawWeights& weights, int block_draws)
      : stream_(native(stream)),
        network_(network),
        block_draws_(block_draws),
        conv_(stream_, network.conv.weight_size() + network.conv.kernel_w * k * network.conv.out_c),
        dense_(stream_, network.hidden * network.dense_in()),
        dense_bias_(stream_, weights.dense_bias, network.hidden),
        head_(stream_, weights.head, network.hidden * network.classes),
        head_bias_(stream_, weights.head_bias, network.classes) {
    const Conv2dShape& conv = network.conv;
    pack(conv.in_c, conv.kernel_h, conv.out_c, weights.conv, conv_);
    pack(network.dense_in(), 1, network.hidden, weights.dense, dense_);
  }

  void run(const MultiDrawParams& params, const float* prefixes, const std::uint32_t* image_ids,
           std::uint64_t* votes, std::uint64_t* sums, std::uint64_t* squares,
           std::uint64_t* bad_row) const override {
    const MultiDrawGrid grid =
        MultiDrawGrid::plan(network_, params, current_arch(), block_draws_, prefixes);
    if (grid.draw_blocks == 0 || grid.images == 0) return;
    const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
    Work work = {to_int(network_.conv.in_h),
                 to_int(network_.conv.out_h()),
                 to_int(network_.conv.pad_h.before),
                 params.noise,
                 params.first_draw,
                 params.draws,
                 prefixes,
                 image_ids};
    if (params.noise.distribution == NoiseDistribution::none) work.noise.scale = 0.0f;
    const Weights weights = {reinterpret_cast<const uint4*>(conv_.data()),
                             reinterpret_cast<const uint4*>(dense_.data()),
                             dense_bias_.data(),
                             {head_.data(), head_bias_.data(), network_.hidden, network_.classes}};
    const auto counts = [](std::uint64_t* values) { return reinterpret_cast<Count*>(values); };
    const Totals totals = {{counts(votes), counts(sums), counts(squares)}, counts(bad_row)};
    // Without noise any transform does: scale 0 leaves the prefix as it is, up to the sign of zero.
    switch (params.noise.distribution) {
      case NoiseDistribution::none:
      case NoiseDistribution::gaussian:
        return start<GaussianTransform>(grid, work, weights, totals);
      case NoiseDistribution::laplace:
        return start<LaplaceTransform>(grid, work, weights, totals);
    }
  }

 private:
  void pack(std::int64_t in_c, std::int64_t kernel, std::int64_t out_c, const float* weight,
            const StreamScratch<std::uint16_t>& packed) const {
    pack_fragments(stream_, static_cast<int>(in_c), static_cast<int>(kernel),
                   static_cast<int>(out_c), weight, packed.data());
  }

  template <class Transform, std::size_t index = 0>
  void start(const MultiDrawGrid& grid, const Work& work, const Weights& weights,
             const Totals& totals) const {
    using S = ShapeOf<index>;
    static_assert(sizeof(SharedStorage<S>) == S::value.shared_bytes);
    if (grid.shape == S::value) {
      launch<multi_draw_kernel<S, Transform>>(dim3(grid.draw_blocks, grid.images), threads,
                                              sizeof(SharedStorage<S>), stream_, work, weights,
                                              totals);
    } else if constexpr (index + 1 < std::size(multi_draw_shapes)) {
      start<Transform, index + 1>(grid, work, weights, totals);
    }
  }

  cudaStream_t stream_;
  MultiDrawNetwork network_;
  int block_draws_;
  StreamScratch<std::uint16_t> conv_;  // and room for a step that is loaded for nothing
  StreamScratch<std::uint16_t> dense_;
  StreamCopy dense_bias_, head_, head_bias_;
};

}  // namespace

std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights, int block_draws) {
  MultiDrawGrid::plan(network, {}, current_arch(), block_draws);  // throws where no kernel fits
  return std::make_unique<PackedMultiDraw>(stream, network, weights, block_draws);
}

std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights) {
  return pack_multi_draw(stream, network, weights, 0);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
