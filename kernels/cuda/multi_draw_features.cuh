#pragma once

#include <cstdint>

#include "kernels/cuda/multi_draw_work.cuh"
#include "kernels/cuda/noise.cuh"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/store.cuh"

/// Noise and convolution of the multi-draw kernel, by the first S::threads threads of a block.
namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers {

/// A thread's part of the noise: always the same channels of the same draws.
template <class S, class Transform>
struct NoiseMaker {
  NoisyRow<Transform, AnyActivation> noise;  // of the first draw
  const uint4* prefix;                       // bits, of the image, from this thread's channels on
  int in_h, pixel, quad, target;
  float inverse_scale;

  __device__ __forceinline__ NoiseMaker(const Work& work, std::int64_t image, std::uint32_t first,
                                        int thread)
      : in_h(work.in_h), inverse_scale(work.scales.inverse_scale) {
    const int draw = thread / S::quads % S::draws_at_once;
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
  __device__ __forceinline__ void make(Noised<S>& noised, int first_row, int count,
                                       int step) const {
    const int p = step * S::pixels_at_once + pixel, h = first_row + p / S::in_w, w = p % S::in_w;
    const bool exists = p < count * S::in_w && h >= 0 && h < in_h;
    const int block = exists ? (h * S::in_w + w) * S::quads : 0;
    const uint4 v = __ldg(prefix + block);
    const float x[4] = {__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                        __uint_as_float(v.w)};
    // Before the first is written, so that they are made side by side.
    float y[S::thread_draws][4];
    for (int i = 0; i < S::thread_draws; ++i) {
      NoisyRow<Transform, AnyActivation> of_draw = noise;
      of_draw.row.draw += static_cast<std::uint32_t>(i * S::draws_at_once);
      of_draw.apply(static_cast<std::uint32_t>(block + quad), x, y[i]);
    }
    if (!exists) return;
    for (int i = 0; i < S::thread_draws; ++i) {
      auto* const to =
          noised[h % S::kernel] + w * S::draws * S::in_c + i * S::draws_at_once * S::in_c + target;
      if constexpr (S::in_int8)
        store_shared(reinterpret_cast<std::uint32_t*>(to), to_bytes(y[i], inverse_scale));
      else
        ptx::store_shared_pair(
            reinterpret_cast<uint2*>(to),
            make_uint2(ptx::to_bf16x2(y[i][0], y[i][1]), ptx::to_bf16x2(y[i][2], y[i][3])));
    }
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

  int lane, tile_m, tile_n, first;  // first of the warp's tiles of channels; first pixel
  typename S::Sum sum[S::pixels][2 * S::warp_tiles][4] = {};

  __device__ __forceinline__ explicit Convolution(int thread) {
    const int warp = thread / 32;
    lane = thread % 32;
    tile_m = warp % S::m, tile_n = warp % S::pixel_warps / S::m * S::warp_tiles;
    first = S::pixel_groups == 1 ? 0 : warp / S::pixel_warps * S::pixels;
  }

  using Taps = WeightFragment[most_taps][S::warp_tiles];  // of one residue

  /// step: of the kernel's rows and the channels.
  __device__ __forceinline__ void load(Taps& taps, const uint4* weight, int step,
                                       int residue) const {
    for (int t = 0; t * S::stride + residue < S::kernel; ++t) {
      const int tap = step * S::kernel + t * S::stride + residue;
      for (int i = 0; i < S::warp_tiles; ++i)
        taps[t][i].load(weight + (tap * S::conv_n + tile_n + i) * 32 + lane);
    }
  }

  __device__ __forceinline__ void add_taps(const typename S::Element* row, const Taps& fragments,
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
        for (int i = 0; i < 2 * S::warp_tiles; ++i)
          multiply(sum[j - t][i], a, fragments[t][i / 2].b[i % 2]);
      }
    }
  }

  /// Row p.
  __device__ __forceinline__ void run(const Noised<S>& noised, const Work& work,
                                      const uint4* weight, int p) {
    const int top = p * S::stride - work.pad_h;
    const int first_r = top < 0 ? -top : 0;
    const int last_r = work.in_h - top < S::kernel ? work.in_h - top : S::kernel;
    const int end = last_r * steps;
    Taps fragments[S::stride];
    int step = first_r * steps;
    if (step >= end) return;
    for (int residue = 0; residue < S::stride; ++residue)
      load(fragments[residue], weight, step, residue);
#pragma unroll 1
    for (; step < end; ++step) {
      const auto* const row =
          noised[(top + step / steps) % S::kernel] +
          place<S, S::in_chunks>(tile_m * 16 + lane % 16, step % steps * 2 + lane / 16);
      for (int residue = 0; residue < S::stride; ++residue) {
        add_taps(row, fragments[residue], residue);
        load(fragments[residue], weight, step + 1, residue);  // after the last step, for nothing
      }
    }
  }

  /// f(j, half, pair) with what becomes of the sums of pixel first + i: of this lane's two channels
  /// behind 16 tile_n + 8 j, and its draw behind 16 tile_m + 8 half, as two times 16 bits or, in
  /// int8, 8. j < 2 warp_tiles, and for each half = 0 comes before 1.
  template <class F>
  __device__ __forceinline__ void for_each_pair(int i, const Scales& scales, const F& f) const {
#pragma unroll
    for (int j = 0; j < 2 * S::warp_tiles; ++j) {
      const int channel = tile_n * n + j * 8 + lane % 4 * 2;
      float scale[2] = {};  // loaded anew for each pixel: there are no registers to keep them in
      if constexpr (S::in_int8)
        scale[0] = scales.conv[channel], scale[1] = scales.conv[channel + 1];
      for (int half = 0; half < 2; ++half) {
        const auto &a = sum[i][j][2 * half], &b = sum[i][j][2 * half + 1];
        if constexpr (S::in_int8) {
          const auto byte = [&](std::int32_t sum_of_bytes, int e) {
            return to_byte(scaled_relu(sum_of_bytes, scale[e], 0.0f),
                           scales.features_inverse_scale);
          };
          f(j, half, byte(a, 0) | byte(b, 1) << 8);
        } else {
          f(j, half, ptx::to_bf16x2(relu(a), relu(b)));
        }
      }
    }
  }
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers
