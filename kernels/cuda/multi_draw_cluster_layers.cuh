#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/multi_draw_features.cuh"
#include "kernels/cuda/ptx/anew.cuh"
#include "kernels/cuda/ptx/cluster.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/ptx/tma.cuh"
#include "kernels/cuda/ptx/wgmma.cuh"
#include "kernels/cuda/warpgroups.cuh"

/// What the threads of kernels/cuda/multi_draw_cluster.cu do: those that make features, and those
/// that multiply them; and how they wait for each other.
namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers {

using warpgroups::RingSlot;
using warpgroups::warpgroup;

/// A shape as a cluster does it: 128 threads of each block make noise and features.
template <std::size_t index, class Operand>
struct ClusterShape : ShapeBy<index, Operand, warpgroup> {
  using Base = ShapeBy<index, Operand, warpgroup>;

  static constexpr MultiDrawCluster plan = MultiDrawCluster::of(Base::value, sizeof(Operand));
  static constexpr int slots = plan.slots, stages = plan.stages;
  static constexpr int cluster_draws = MultiDrawCluster::draws,
                       consumers = MultiDrawCluster::consumers,
                       depth_bytes = MultiDrawCluster::depth_bytes;
  static constexpr int columns = MultiDrawCluster::columns_of(Base::hidden);

  // Bytes. A part: 16 channels of 16 draws of a pixel.
  static constexpr int chunk_bytes = 16, matrix = 8 * chunk_bytes;
  static constexpr int part_matrices = n / Base::chunk, part = 2 * part_matrices * matrix;
  static constexpr int group = cluster_draws / 16 * part;  // 16 channels of all draws
  static constexpr int pixel = Base::conv_n * group, stage = columns * depth_bytes;
  /// From the first 16 bytes of a product's depth to the others, and to the next eight draws.
  static constexpr int next_depth = part_matrices == 2 ? matrix : group;
  static constexpr int next_draws = part_matrices * matrix;
  static_assert(part_matrices * Base::chunk == n && (part_matrices == 1 || part_matrices == 2));

  // A warp must see each use of a slot, or its phases pass unseen: so it makes all pixels, or those
  // of others come to other slots.
  static_assert(slots == 0 || Base::pixel_groups == 1 || slots >= Base::out_w);
};

/// While rows go by. Features: pixel after pixel, as core matrices, of both blocks' draws. Weights:
/// step after step, for each of the warpgroups that multiply.
template <class S>
struct Pipeline {
  Noised<S> noised;
  std::uint8_t features[S::slots][S::pixel];
  std::uint8_t weights[S::consumers][S::stages][S::stage];
};

/// full: a slot, when the warps of this block have written their parts and those of the peer have
/// come. empty: when the warps that multiply, of both blocks, have read it. brought, read: the same
/// of weights, by a copy and by the four warps of a warpgroup. made, convolved: of the noised rows,
/// when all warps have made those that a row of the convolution needs, and when all have read them.
template <class S>
struct alignas(MultiDrawCluster::alignment) Barriers {
  std::uint64_t full[S::slots], empty[S::slots];
  std::uint64_t brought[S::consumers][S::stages], read[S::consumers][S::stages];
  std::uint64_t made, convolved;

  /// By one thread, before the cluster's barrier.
  __device__ __forceinline__ void begin() {
    for (int i = 0; i < S::slots; ++i) {
      ptx::mbarrier_init(&full[i], S::pixel_warps);
      ptx::mbarrier_init(&empty[i], MultiDrawCluster::blocks * S::consumers * (warpgroup / 32));
    }
    for (int c = 0; c < S::consumers; ++c) {
      for (int i = 0; i < S::stages; ++i) {
        ptx::mbarrier_init(&brought[c][i], 1);
        ptx::mbarrier_init(&read[c][i], warpgroup / 32);
      }
    }
    ptx::mbarrier_init(&made, S::warps);
    ptx::mbarrier_init(&convolved, S::warps);
    ptx::fence_mbarrier_init();
    ptx::fence_proxy_async();
  }
};

template <class S>
struct ClusterStorage {
  union alignas(MultiDrawCluster::alignment) {
    Pipeline<S> pipeline;
    Ends<S> ends;
  };
  Barriers<S> barriers;
};

/// All lanes of a warp have come so far.
__device__ __forceinline__ void arrive_as_warp(std::uint64_t* barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) ptx::mbarrier_arrive(barrier);
}

/// A warp's parts of a row of features, until their slots are empty.
template <class S>
struct Parts {
  // Of a part: in bf16 a pair of for_each_pair for each 8 channels and 8 draws; in int8 those of 16
  // channels in one.
  static constexpr int words = S::in_int8 ? 2 : 4;
  int lane, tile_m, tile_n, first;
  std::uint32_t word[S::pixels][S::warp_tiles][words];

  __device__ __forceinline__ Parts(const Convolution<S>& conv, const Scales& scales)
      : lane(conv.lane), tile_m(conv.tile_m), tile_n(conv.tile_n), first(conv.first) {
#pragma unroll
    for (int i = 0; i < S::pixels; ++i) {
      conv.for_each_pair(i, scales, [&](int j, int half, std::uint32_t pair) {
        auto& of_part = word[i][j / 2];
        if constexpr (S::in_int8)
          of_part[half] = j % 2 == 0 ? pair : of_part[half] | pair << 16;
        else
          of_part[2 * (j % 2) + half] = pair;
      });
    }
  }

  /// Those of the next pixel, which is `w` of row p, to both blocks' slots.
  __device__ __forceinline__ void send(Pipeline<S>& pipeline, Barriers<S>& barriers, int p, int w) {
    if (w < S::out_w) {
      const int number = p * S::out_w + w, slot = number % S::slots, use = number / S::slots;
      const unsigned rank = ptx::cluster_rank();
      std::uint8_t* const parts = pipeline.features[slot] + tile_n * S::group +
                                  (static_cast<int>(rank) * S::m + tile_m) * S::part;
      ptx::mbarrier_wait_for_peers(&barriers.empty[slot], static_cast<unsigned>(use) % 2 ^ 1);
      for (int i = 0; i < S::warp_tiles; ++i) store(parts + i * S::group, word[0][i]);
      ptx::fence_proxy_async();
      __syncwarp();
      if (lane == 0) {
        ptx::mbarrier_arrive_expect(&barriers.full[slot], S::warp_tiles * S::part);  // the peer's
        for (int i = 0; i < S::warp_tiles; ++i)
          ptx::send_bytes(parts + i * S::group, S::part, &barriers.full[slot], rank ^ 1);
      }
    }
    for (int i = 1; i < S::pixels; ++i)
      for (int j = 0; j < S::warp_tiles; ++j)
        for (int k = 0; k < words; ++k) word[i - 1][j][k] = word[i][j][k];
  }

 private:
  __device__ __forceinline__ void store(std::uint8_t* part,
                                        const std::uint32_t (&of_part)[words]) const {
    std::uint8_t* const row = part + lane / 4 * S::chunk_bytes;
    for (int half = 0; half < 2; ++half) {
      for (int j = 0; j < 2; ++j) {
        std::uint8_t* const eight = row + half * S::next_draws;
        if constexpr (S::in_int8)
          store_shared(reinterpret_cast<std::uint16_t*>(eight + j * 8 + lane % 4 * 2),
                       static_cast<std::uint16_t>(of_part[half] >> 16 * j));
        else
          store_shared(reinterpret_cast<std::uint32_t*>(eight + j * S::matrix + lane % 4 * 4),
                       of_part[2 * j + half]);
      }
    }
  }
};

/// Noise and convolution of a block's draws, by the first S::threads threads. The parts of a row
/// are sent while the noise of the next rows is made, one after the other at equal distances.
template <class S, class Transform>
__device__ __forceinline__ void make_features(Pipeline<S>& pipeline, Barriers<S>& barriers,
                                              const Work& work, const uint4* weight,
                                              std::int64_t image, std::uint32_t first_draw,
                                              int thread) {
  // In int8 what follows from the thread would take registers all the time.
  const auto noise_thread = [&] { return S::in_int8 ? ptx::anew(thread) : thread; };
  constexpr int share = (S::noise_steps + S::pixels - 1) / S::pixels;
  {
    const NoiseMaker<S, Transform> noise(work, image, first_draw, noise_thread());
    const int first_rows = S::kernel - work.pad_h;
#pragma unroll 1
    for (int step = 0; step * S::pixels_at_once < first_rows * S::in_w; ++step)
      noise.make(pipeline.noised, 0, first_rows, step);
  }
  arrive_as_warp(&barriers.made);
#pragma unroll 1
  for (int p = 0; p < work.out_h; ++p) {
    const unsigned parity = static_cast<unsigned>(p) % 2;
    ptx::mbarrier_wait(&barriers.made, parity);
    Convolution<S> conv(thread);
    conv.run(pipeline.noised, work, weight, p);
    arrive_as_warp(&barriers.convolved);
    Parts<S> parts(conv, work.scales);
    const int new_row = p * S::stride - work.pad_h + S::kernel;
    const bool noisy = p + 1 < work.out_h && new_row < work.in_h;
    if (noisy) ptx::mbarrier_wait(&barriers.convolved, parity);  // nobody reads rows that are over
    // Made anew for each row, so that its parts take no registers during the convolution.
    const NoiseMaker<S, Transform> noise(work, image, first_draw, noise_thread());
#pragma unroll 1
    for (int i = 0; i < S::pixels; ++i) {
      parts.send(pipeline, barriers, p, parts.first + i);
      if (noisy) {
#pragma unroll 1
        for (int step = i * share; step < (i + 1) * share; ++step)
          noise.make(pipeline.noised, new_row, S::stride, step);
      }
    }
    arrive_as_warp(&barriers.made);
  }
}

template <int sums>
__device__ __forceinline__ void multiply(float (&sum)[sums], std::uint64_t a, std::uint64_t b) {
  ptx::wgmma_bf16(sum, a, b);
}
template <int sums>
__device__ __forceinline__ void multiply(std::int32_t (&sum)[sums], std::uint64_t a,
                                         std::uint64_t b) {
  ptx::wgmma_s8(sum, a, b);
}

/// A warpgroup's part of the dense layer: its hidden units of all draws of the cluster. The sums
/// stay in registers from the first pixel to the last.
template <class S>
struct Multiplier {
  int number, warp, lane;  // in the block; in the warpgroup; in the warp
  typename S::Sum sum[S::columns / 2] = {};

  __device__ __forceinline__ explicit Multiplier(int thread)
      : number(thread / warpgroup), warp(thread % warpgroup / 32), lane(thread % 32) {}

  /// The first of its hidden units.
  __device__ __forceinline__ int first_unit() const {
    return (static_cast<int>(ptx::cluster_rank()) * S::consumers + number) * S::columns;
  }

  /// Of the k-th step of a pixel.
  __device__ __forceinline__ static std::uint64_t features_of(const Pipeline<S>& pipeline, int slot,
                                                              int k) {
    return ptx::wgmma_matrices(pipeline.features[slot] + k * S::depth_bytes * S::cluster_draws,
                               S::next_depth, S::next_draws);
  }
  __device__ __forceinline__ std::uint64_t weights_of(const Pipeline<S>& pipeline,
                                                      int stage) const {
    return ptx::wgmma_matrices(pipeline.weights[number][stage], S::matrix, 2 * S::matrix);
  }

  __device__ __forceinline__ void run(Pipeline<S>& pipeline, Barriers<S>& barriers,
                                      const uint4* weights, int pixels) {
    const int steps = pixels * S::pixel_steps;
    const auto* const from = reinterpret_cast<const std::uint8_t*>(weights) +
                             std::int64_t{first_unit()} * S::depth_bytes * steps;
    std::uint64_t* const brought = barriers.brought[number];
    std::uint64_t* const read = barriers.read[number];
    const auto bring = [&](int stage, int step) {
      ptx::mbarrier_arrive_expect(&brought[stage], S::stage);
      ptx::copy_bytes(pipeline.weights[number][stage], from + std::int64_t{step} * S::stage,
                      S::stage, &brought[stage]);
    };
    const bool brings = warp == 0 && lane == 0;
    if (brings)
      for (int i = 0; i < S::stages && i < steps; ++i) bring(i, i);
    __syncwarp();  // or nvcc takes the warp for split, and has each product wait for the one before

    RingSlot<S::stages> stage, stage_before;
    RingSlot<S::slots> slot, slot_before;
    ptx::keep_sums(sum);
#pragma unroll 1
    for (int pixel = 0; pixel < pixels; ++pixel) {
      ptx::mbarrier_wait(&barriers.full[slot.number], slot.parity);
#pragma unroll
      for (int k = 0; k < S::pixel_steps; ++k) {
        ptx::mbarrier_wait(&brought[stage.number], stage.parity);
        ptx::wgmma_fence();
        multiply(sum, features_of(pipeline, slot.number, k), weights_of(pipeline, stage.number));
        ptx::wgmma_commit();
        ptx::wgmma_wait<1>();  // for the product before
        if (pixel > 0 || k > 0) {
          if (lane == 0) ptx::mbarrier_arrive(&read[stage_before.number]);
          const int next = pixel * S::pixel_steps + k - 1 + S::stages;
          if (brings && next < steps) {
            ptx::mbarrier_wait(&read[stage_before.number], stage_before.parity);
            bring(stage_before.number, next);
          }
          if (k == 0 && lane < MultiDrawCluster::blocks)
            ptx::mbarrier_arrive_in_peer(&barriers.empty[slot_before.number],
                                         static_cast<unsigned>(lane));
          __syncwarp();
        }
        stage_before = stage;
        stage.next();
      }
      slot_before = slot;
      slot.next();
    }
    ptx::wgmma_wait<0>();
    ptx::keep_sums(sum);
  }

  /// To the block that has the draws, when both are done with their pipelines.
  __device__ __forceinline__ void store(Ends<S>& ends, const Scales& scales,
                                        const float* bias) const {
#pragma unroll
    for (int j = 0; j < S::columns / 8; ++j) {
      const int unit = first_unit() + j * 8 + lane % 4 * 2;
      float b[2] = {};
      if (bias != nullptr) b[0] = bias[unit], b[1] = bias[unit + 1];
      for (int half = 0; half < 2; ++half) {
        const int draw = warp * 16 + half * 8 + lane / 4;
        float value[2];
        for (int e = 0; e < 2; ++e)
          value[e] = hidden_unit<S>(sum[j * 4 + half * 2 + e], scales, unit + e, b[e]);
        *ptx::in_peer(reinterpret_cast<float2*>(&ends.hidden[draw % S::draws][unit]),
                      static_cast<unsigned>(draw / S::draws)) = make_float2(value[0], value[1]);
      }
    }
  }
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers
