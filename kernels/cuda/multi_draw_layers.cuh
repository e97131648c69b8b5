#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/multi_draw_features.cuh"

/// Where the features of kernels/cuda/multi_draw.cu lie in shared memory, and the dense layer.
namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers {

/// A shape as a block without a cluster does it, by 256 threads.
template <std::size_t index, class Operand>
struct ShapeOf : ShapeBy<index, Operand, 256> {
  using Base = ShapeBy<index, Operand, 256>;
  using Base::draws, Base::hidden, Base::in_c, Base::kernel, Base::noise_steps, Base::out_w,
      Base::pixel_steps, Base::pixels_at_once, Base::row, Base::stride, Base::feature_pixel;

  // Dense layer: a warp makes `dense_n` times 16 units of all draws.
  static constexpr int dense_n = hidden / n / Base::warps, steps = out_w * pixel_steps;
  static_assert(hidden % (n * Base::warps) == 0 && hidden % 32 == 0 && steps % 2 == 0);

  // The noise of the next rows, made in the meantime.
  static constexpr int noise_at_once = (noise_steps + steps - 1) / steps;

  /// The first pixels of the features that find no room of their own. They lie where the last new
  /// row's last noise is going to be.
  static constexpr int overlaid = [] {
    const int free = static_cast<int>(Base::value.shared_bytes / sizeof(Operand)) - kernel * row;
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

/// Rows of the image, and one row of what the convolution makes of them, as [w, draw, channel].
template <class S>
struct Rows {
  Noised<S> noised;
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

template <class S>
union alignas(16) SharedStorage {
  Rows<S> rows;
  Ends<S> ends;
};

/// Puts a warp's part of a row of the convolution there.
template <class S>
__device__ __forceinline__ void store_features(const Convolution<S>& conv, Rows<S>& rows,
                                               const Scales& scales, int last_new_row) {
  for (int i = 0; i < S::pixels; ++i) {
    if (conv.first + i >= S::out_w) continue;
    typename S::Element* const pixel = rows.feature(conv.first + i, last_new_row);
    conv.for_each_pair(i, scales, [&](int j, int half, std::uint32_t pair) {
      using Pair = std::conditional_t<S::in_int8, std::uint16_t, std::uint32_t>;
      const int channel = conv.tile_n * n + j * 8 + conv.lane % 4 * 2;
      const int draw = conv.tile_m * 16 + half * 8 + conv.lane / 4;
      store_shared(
          reinterpret_cast<Pair*>(pixel + place<S, S::out_chunks>(draw, channel / S::chunk) +
                                  channel % S::chunk),
          static_cast<Pair>(pair));
    });
  }
}

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
            noise.make(rows.noised, new_row, S::stride, step * S::noise_at_once + i);
        }
        weight += S::hidden / n * 32;
        add_step(a[ahead ? odd : 0], weight, last);
      }
    }
  }

  __device__ __forceinline__ void store(Ends<S>& ends, const Scales& scales,
                                        const float* bias) const {
    for (int j = 0; j < 2 * S::dense_n; ++j) {
      const int column = (first * 2 + j) * 8 + lane % 4 * 2;
      float b[2] = {};
      if (bias != nullptr) b[0] = bias[column], b[1] = bias[column + 1];
      for (int i = 0; i < S::m; ++i) {
        for (int half = 0; half < 2; ++half) {
          float unit[2];
          for (int e = 0; e < 2; ++e)
            unit[e] = hidden_unit<S>(sum[i][j][2 * half + e], scales, column + e, b[e]);
          store_shared(
              reinterpret_cast<float2*>(&ends.hidden[i * 16 + half * 8 + lane / 4][column]),
              make_float2(unit[0], unit[1]));
        }
      }
    }
  }
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers
