#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

/// Clusters: blocks, neighbours in x, that run together and reach each other's shared memory
/// (sm_90). A launch without clusters is one of clusters of one block, in which all of this holds.
///
/// A block's shared memory may be accessed by its peers after they have waited for the cluster's
/// barrier once, for before it may not run yet, and until it returns: the last accesses must have
/// come before a barrier, or an mbarrier, that it waits for.
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// The number of this block in its cluster.
__device__ __forceinline__ unsigned cluster_rank() {
#ifdef PIXELDP_EMULATED
  return emulator::cluster_rank();
#else
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#endif
}

/// The barrier of all threads of the cluster that have not returned: each arrives, then waits, and
/// may do something else in between. What they did before they arrived has happened for those who
/// waited.
__device__ __forceinline__ void cluster_arrive() {
#ifdef PIXELDP_EMULATED
  emulator::cluster_arrive();
#else
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_wait() {
#ifdef PIXELDP_EMULATED
  emulator::cluster_wait();
#else
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}

/// Where what lies at `shared` in this block lies in the block of this rank, for ordinary loads and
/// stores.
template <class T>
__device__ __forceinline__ T* in_peer(T* shared, unsigned rank) {
#ifdef PIXELDP_EMULATED
  return static_cast<T*>(emulator::in_peer(shared, rank));
#else
  T* theirs;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(theirs) : "l"(shared), "r"(rank));
  return theirs;
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
