/// What multi_draw.cu does, by clusters of two blocks with products of warpgroups (sm_90a): the
/// same formula, fused and unwritten things, noise, orders of sums and statistics, and in int8 the
/// same integers. In bf16 the last bits of the dense layer's sums are those of wgmma instead of
/// mma.sync, which tensor cores may round otherwise, so that the form follows from shape and device
/// alone.
///
/// Layouts: as there, but for the weights of the dense layer: pack_matrices (fragments.hpp), so
/// that what a warpgroup multiplies in a step lies side by side.
///
/// Work: a cluster does 64 draws of one image. Each of its blocks makes noise and features of 32 of
/// them, and half of the hidden units of all: so each weight of the dense layer is read once for 64
/// draws, where multi_draw.cu reads it once for 32.
///
///   The first warpgroup makes noise and convolution, by mma.sync. The features of a row are kept
///   in registers, rounded, and go to slots pixel by pixel while the noise of the next rows is
///   made: a warp writes its 16 channels of 16 draws, 512 bytes in a row (256 in int8), and sends
///   them on to the same place of the other block by a bulk copy, whose bytes its mbarrier expects.
///   No warp waits for another one to do so. The two other warpgroups multiply, each the 64 draws
///   of a slot by a quarter of the hidden units. The sums stay in registers to the end. A step is
///   32 bytes of each row, its weights one bulk copy to a ring of the warpgroup's own, which one of
///   its lanes asks for as soon as all four of its warps are done with the step before. A slot is
///   empty when the multiplying warps of both blocks have read it. The hidden units go to the block
///   that has the draw, through the cluster's shared memory, when both are done with their slots;
///   then head and scores are as in multi_draw.cu.
///
/// Roofline for MNIST, computed, not measured, beside that of multi_draw.cu on an H100; clocks of
/// one multiprocessor for 32 draws, in thousands:
///
///                                 by blocks   in clusters
///   convolution, tensor cores        33          33 (if mma.sync had all of 2048 products a clock)
///   dense layer, tensor cores        50          50
///   dense layer, shared memory                   56 (18 KB to a product of 64 x 256 x 16)
///   dense layer, L2 cache           166          82 (39 bytes a clock)
///   noise, 128 lanes                 86          86
///   head, 128 lanes                   9           9
///   sum of what does not overlap    233         145
///
/// The first warpgroup takes noise and convolution one after the other, 119, if the one warp that
/// each scheduler has of it issues at every clock, for which a thread makes the noise of two draws
/// side by side; behind them the dense layer of the last two rows, some 15, the exchange and the
/// head. The limit is the noise now. Bytes from the L2 cache for a draw: 100 KB of the dense
/// layer's weights, 22 of the convolution's (45 if the two warps that share them never meet in the
/// L1 cache), 2 of prefix and head: 125 where multi_draw.cu reads 226. In int8 half of the weights.
///
///   nvcc --resource-usage   registers, while they make, multiply   shared memory   (none spilt)
///   MNIST                   168, 184, 160                          225536
///   in int8                 168, 184, 160                          153856
///   6 x 6, both             168, 184, 160                           43264
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/multi_draw_cluster_layers.cuh"
#include "kernels/cuda/multi_draw_work.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers {
namespace {

constexpr int multiplier_threads = MultiDrawCluster::consumers * warpgroup,
              cluster_threads = warpgroup + multiplier_threads;
/// What a thread takes while it makes features, and while it multiplies.
constexpr int maker_registers = 184, multiplier_registers = 160;
static_assert(warpgroup * maker_registers + multiplier_threads * multiplier_registers <=
              cluster_threads * warpgroups::first_registers(cluster_threads));
static_assert(multiplier_threads == score_warps * 32);

template <class S, class Transform>
__global__ void __launch_bounds__(cluster_threads, 1)
    cluster_kernel(Work work, Weights weights, Totals totals) {
  auto& shared = shared_storage<ClusterStorage<S>>();
  Ends<S>& ends = shared.ends;
  const int thread = static_cast<int>(threadIdx.x);
  const int classes = static_cast<int>(weights.head.classes);
  const std::int64_t image = blockIdx.y;
  const std::uint32_t first = blockIdx.x * S::draws;  // of this launch's draws
  if (thread == 0) shared.barriers.begin();
  ptx::cluster_arrive();
  ptx::cluster_wait();

  if (thread < S::threads) {
    ptx::take_more_registers<maker_registers>();
    make_features<S, Transform>(shared.pipeline, shared.barriers, work, weights.conv, image,
                                work.first_draw + first, thread);
    ptx::cluster_arrive();
    ptx::cluster_wait();
    ptx::cluster_arrive();
    ptx::cluster_wait();
  } else {
    ptx::take_fewer_registers<multiplier_registers>();
    const int multiplier_thread = thread - S::threads;
    Multiplier<S> multiplier(multiplier_thread);
    multiplier.run(shared.pipeline, shared.barriers, weights.dense, work.out_h * S::out_w);
    ptx::cluster_arrive();
    ptx::cluster_wait();  // both blocks are done with what hidden units take the place of
    multiplier.store(ends, work.scales, weights.dense_bias);
    ends.sums.clear(classes, multiplier_thread, multiplier_threads);
    ptx::cluster_arrive();
    ptx::cluster_wait();
    score_draws(ends, work, weights.head, totals, image, first, multiplier_thread / 32);
  }
  __syncthreads();
  ends.sums.add_to(totals, image, classes, thread, cluster_threads);
}

template <class Element>
void start(cudaStream_t stream, const MultiDrawGrid& grid, const Work& work, const Weights& weights,
           const Totals& totals) {
  with_shape<ClusterShape, Element>(
      grid.shape, work.noise.distribution,
      [&]<class S, class Transform>(std::type_identity<S>, std::type_identity<Transform>) {
        if constexpr (S::slots > 0) {
          static_assert(sizeof(ClusterStorage<S>) == S::plan.shared_bytes);
          launch<cluster_kernel<S, Transform>>(
              Extent(dim3(grid.draw_blocks, grid.images)).in_clusters_of(MultiDrawCluster::blocks),
              cluster_threads, sizeof(ClusterStorage<S>), stream, work, weights, totals);
        }
      });
}

}  // namespace

void run_in_clusters(cudaStream_t stream, const MultiDrawGrid& grid, bool in_int8, const Work& work,
                     const Weights& weights, const Totals& totals) {
  if (in_int8)
    start<std::int8_t>(stream, grid, work, weights, totals);
  else
    start<std::uint16_t>(stream, grid, work, weights, totals);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers
