/// TODO
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/multi_draw_cluster_layers.cuh"
#include "kernels/cuda/multi_draw_work.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE::multi_draw_layers {
namespace {

constexpr int multiplier_threads = MultiDrawCluster::consumers * warpgroup,
              cluster_threads = warpgroup + multiplier_threads;
/// Of 65536: what a thread takes while it makes features, and while it multiplies.
constexpr int maker_registers = 192, multiplier_registers = 160;
static_assert(warpgroup * maker_registers + multiplier_threads * multiplier_registers <=
              sm_90.registers_per_multiprocessor);
static_assert(multiplier_threads == score_warps * 32);

template <class S, class Transform>
__global__ void __launch_bounds__(cluster_threads, 1)
    multi_draw_cluster_kernel(Work work, Weights weights, Totals totals) {
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
          launch<multi_draw_cluster_kernel<S, Transform>>(
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
