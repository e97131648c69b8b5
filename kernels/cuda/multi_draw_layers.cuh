#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/noise.cuh"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/to_bytes.cuh"

/// What a block of kernels/cuda/multi_draw.cu does between prefix and statistics, layer by layer:
/// noise, convolution, dense layer; and where its values lie in shared memory.
namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers {

constexpr int threads = 256, warps = threads / 32;
constexpr int n = WeightFragment::n;

/// What there is for operands in bf16, and in int8.
template <class Element>
inline constexpr std::span<const MultiDrawShape> shapes_of = multi_draw_shapes;
template <>
inline constexpr std::span<const MultiDrawShape> shapes_of<std::int8_t> = multi_draw_int8_shapes;

/// shapes_of<Operand>[index] as a type. (nvcc 13 cannot launch kernels whose template argument is a
/// struct.)
template <std::size_t index, class Operand>
struct ShapeOf {
  using Element = Operand;  // of what tensor cores multiply
  static constexpr bool in_int8 = std::is_same_v<Element, std::int8_t>;
  using Sum = std::conditional_t<in_int8, std::int32_t, float>;
  static constexpr int chunk = 16 / sizeof(Element);  // elements in 16 bytes
  static constexpr int k = 2 * chunk;                 // of a product
  static constexpr MultiDrawShape value = shapes_of<Element>[index];
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
    const int free = static_cast<int>(value.shared_bytes / sizeof(Element)) - kernel * row;
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
  typename S::Element noised[S::kernel][S::row];
  typename S::Element features[(S::out_w - S::overlaid) * S::feature_pixel];

  /// Pixel w of the features of row p.
  __device__ __forceinline__ typename S::Element* feature(int w, int last_new_row) {
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

/// A thread's part of the noise: always the same channels of the same draw.
template <class S, class Transform>
struct NoiseMaker {
  NoisyRow<Transform, AnyActivation> noise;
  const uint4* prefix;  // bits, of the image, from this thread's channels on
  int in_h, pixel, quad, target;
  float inverse_scale;

  __device__ __forceinline__ NoiseMaker(const Work& work, std::int64_t image, std::uint32_t first)
      : in_h(work.in_h), inverse_scale(work.scales.inverse_scale) {
    const int thread = static_cast<int>(threadIdx.x);
    const int draw = thread / S::quads % S::draws;
    quad = thread % S::quads, pixel = thread / S::pixel_threads;
    noise = {work.noise.seed, work.noise.tag,
             NoiseRow{image, work.image_ids[image], first + static_cast<std::uint32_t>(draw)},
             work.noise.scale, AnyActivation{work.noise.activation.slope}};
    prefix = reinterpret_cast<const uint4*>(work.prefixes +
                                            image * (std::int64_t{work.in_h} * S::in_w * S::in_c)) +
             quad;
    target = place<S, S::in_chunks>(draw, quad * 4 / S::chunk) + quad * 4 % S::chunk;
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
    auto* const to = rows.noised[h % S::kernel] + w * S::draws * S::in_c + target;
    if constexpr (S::in_int8)
      store_shared(reinterpret_cast<std::uint32_t*>(to), to_bytes(y, inverse_scale));
    else
      store_shared(reinterpret_cast<uint2*>(to),
                   make_uint2(ptx::to_bf16x2(y[0], y[1]), ptx::to_bf16x2(y[2], y[3])));
  }
};

/// A warp's part of a row of the convolution. An operand in registers, k channels of a pixel of 16
/// draws, serves all the taps that meet it: those of one residue modulo the stride. When the pixels
/// have met the taps of a residue, the registers of their weights wait for those of the next step,
/// while the next residue has its turn.
template <class S>
struct Convolution {
  static constexpr int most_taps = (S::kernel + S::stride - 1) / S::stride;
  static constexpr int steps = S::in_c / S::k;  // of a tap

  int lane, tile_m, tile_n, first;  // first pixel
  typename S::Sum sum[S::pixels][2][4] = {};

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

  __device__ __forceinline__ void add_taps(const typename S::Element* row,
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
        for (int i = 0; i < 2; ++i) multiply(sum[j - t][i], a, fragments[t].b[i]);
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
      const auto* const row =
          rows.noised[(top + step / steps) % S::kernel] +
          place<S, S::in_chunks>(tile_m * 16 + lane % 16, step % steps * 2 + lane / 16);
      for (int residue = 0; residue < S::stride; ++residue) {
        add_taps(row, fragments[residue], residue);
        load(fragments[residue], weight, step + 1, residue);  // after the last step, for nothing
      }
    }
  }

  __device__ __forceinline__ void store(Rows<S>& rows, const Scales& scales,
                                        int last_new_row) const {
    for (int i = 0; i < S::pixels; ++i) {
      if (first + i >= S::out_w) continue;
      typename S::Element* const pixel = rows.feature(first + i, last_new_row);
      for (int j = 0; j < 2; ++j) {
        const int channel = tile_n * n + j * 8 + lane % 4 * 2;
        float scale[2] = {};  // loaded anew for each pixel: there are no registers to keep them in
        if constexpr (S::in_int8)
          scale[0] = scales.conv[channel], scale[1] = scales.conv[channel + 1];
        for (int half = 0; half < 2; ++half) {
          const int draw = tile_m * 16 + half * 8 + lane / 4;
          auto* const to =
              pixel + place<S, S::out_chunks>(draw, channel / S::chunk) + channel % S::chunk;
          const auto &a = sum[i][j][2 * half], &b = sum[i][j][2 * half + 1];
          if constexpr (S::in_int8) {
            const auto byte = [&](std::int32_t sum_of_bytes, int e) {
              return to_byte(scaled_relu(sum_of_bytes, scale[e], 0.0f),
                             scales.features_inverse_scale);
            };
            store_shared(reinterpret_cast<std::uint16_t*>(to),
                         static_cast<std::uint16_t>(byte(a, 0) | byte(b, 1) << 8));
          } else {
            store_shared(reinterpret_cast<std::uint32_t*>(to), ptx::to_bf16x2(relu(a), relu(b)));
          }
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
  typename S::Sum sum[S::m][2 * S::dense_n][4] = {};
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
    const auto* const pixel = rows.feature(step / S::pixel_steps, last_new_row);
    for (int i = 0; i < S::m; ++i)
      ptx::ldmatrix(a[i], pixel + place<S, S::out_chunks>(i * 16 + lane % 16,
                                                          step % S::pixel_steps * 2 + lane / 16));
  }

  __device__ __forceinline__ void add_step(const std::uint32_t (&a)[S::m][4], const uint4* next,
                                           bool last) {
    for (int j = 0; j < S::dense_n; ++j) {
      for (int half = 0; half < 2; ++half)
        for (int i = 0; i < S::m; ++i) multiply(sum[i][2 * j + half], a[i], fragments[j].b[half]);
      if (!last) fragments[j].load(next + j * 32);
    }
  }

  /// One row of features, whose first fragments of weights have been loaded; `weight`: of this row.
  /// In the meantime the noise of the next rows is made.
  template <bool noisy, class Noise>
  __device__ __forceinline__ void run(Rows<S>& rows, const uint4* weight, const Noise& noise,
                                      int new_row) {
    const int last_new_row = new_row + S::stride - 1;
    // Where bytes leave no registers for the next operands, these come while noise is made.
    constexpr bool ahead = !S::in_int8;
    std::uint32_t a[ahead ? 2 : 1][S::m][4];
    if constexpr (ahead) load(a[0], rows, 0, last_new_row);
#pragma unroll 1
    for (int pair = 0; pair < S::steps; pair += 2) {
      if constexpr (noisy && S::overlaid > 0)
        if (pair == S::overlay_barrier) __syncthreads();
#pragma unroll
      for (int odd = 0; odd < 2; ++odd) {
        const int step = pair + odd;
        const bool last = step + 1 == S::steps;
        load(a[ahead ? 1 - odd : 0], rows, ahead && !last ? step + 1 : step, last_new_row);
        // One after the other: side by side they take too many registers.
        if constexpr (noisy) {
#pragma unroll 1
          for (int i = 0; i < S::noise_at_once; ++i)
            noise.make(rows, new_row, S::stride, step * S::noise_at_once + i);
        }
        weight += S::hidden / n * 32;
        add_step(a[ahead ? odd : 0], weight, last);
      }
    }
  }

  __device__ __forceinline__ void store(Ends<S>& ends, const float* scale,
                                        const float* bias) const {
    for (int j = 0; j < 2 * S::dense_n; ++j) {
      const int column = (first * 2 + j) * 8 + lane % 4 * 2;
      float b[2] = {};
      if (bias != nullptr) b[0] = bias[column], b[1] = bias[column + 1];
      for (int i = 0; i < S::m; ++i) {
        for (int half = 0; half < 2; ++half) {
          float unit[2];
          for (int e = 0; e < 2; ++e) {
            const auto& all = sum[i][j][2 * half + e];
            if constexpr (S::in_int8)
              unit[e] = scaled_relu(all, scale[column + e], b[e]);
            else
              unit[e] = relu(__fadd_rn(all, b[e]));
          }
          store_shared(
              reinterpret_cast<float2*>(&ends.hidden[i * 16 + half * 8 + lane / 4][column]),
              make_float2(unit[0], unit[1]));
        }
      }
    }
  }
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers
