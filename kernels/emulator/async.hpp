#pragma once

#include <cstdint>

#include "kernels/emulator/async_state.hpp"
#include "kernels/emulator/block.hpp"

/// The emulated twins of what kernels/cuda/ptx/ has for sm_90: clusters, mbarriers, bulk copies,
/// tiled ones of tensors among them, and products of warpgroups, as the PTX ISA manual describes
/// them ("barrier.cluster", "mapa", "mbarrier", "cp.async.bulk", "cp.async.bulk.tensor",
/// "Asynchronous Warpgroup Level Matrix Instructions").
/// async_state.hpp says when asynchronous work is done, cluster.hpp what peers may do.
namespace pixeldp::emulator {

/// Where the block's shared memory begins in its window: what lies below is the system's.
inline constexpr std::uint32_t shared_window = 1024;
std::uint32_t shared_address(const void* address);

// ---- Clusters

unsigned cluster_rank();
unsigned cluster_blocks();
void cluster_arrive();
void cluster_wait(const Location& where = Location::current());
/// Where what lies at `shared` in this block lies in that of this rank (mapa).
void* in_peer(void* shared, unsigned rank);

// ---- mbarrier

void mbarrier_init(std::uint64_t* barrier, unsigned arrivals);
void mbarrier_arrive(std::uint64_t* barrier);
/// Expects so many bytes more in this phase, then arrives.
void mbarrier_arrive_expect(std::uint64_t* barrier, std::uint32_t bytes);
/// Waits until the phase of this parity is over. A thread that looks up only after the next one is
/// over as well has missed it, as on a GPU.
void mbarrier_wait(std::uint64_t* barrier, unsigned parity,
                   const Location& where = Location::current());
void fence_proxy_async();
/// At the barrier in that place of another block, or of this one.
void mbarrier_arrive_in_peer(std::uint64_t* barrier, unsigned rank);
/// fence.mbarrier_init, behind the init of a barrier that peers use.
void fence_mbarrier_init();

// ---- cp.async.bulk.tensor

/// Copies the box of the tensor that begins at these coordinates, innermost first, to shared memory
/// (aligned to 128 bytes), with zeros for what lies outside of the tensor, and takes its bytes,
/// zeros included, from those that the mbarrier expects. map: 128 bytes that hold a TensorBoxMap.
void copy_tensor_box(void* shared, const void* map, std::uint64_t* barrier, const int* coordinates,
                     int rank);
/// The same to that place of each block of the mask, whose mbarrier in that place gets the bytes.
void multicast_tensor_box(void* shared, const void* map, std::uint64_t* barrier,
                          const int* coordinates, int rank, unsigned blocks);

// ---- cp.async.bulk of bytes that lie side by side; of multiples of 16, as all addresses are

/// From device memory to this block's shared memory.
void copy_bytes(void* shared, const void* global, std::uint32_t bytes, std::uint64_t* barrier);
/// From this block's shared memory to that place of another block of the cluster, whose mbarrier in
/// that place gets the bytes. The source is read when the copy lands.
void send_bytes(void* shared, std::uint32_t bytes, std::uint64_t* barrier, unsigned rank);

// ---- wgmma: for whole warps, of whole warpgroups

void wgmma_fence(const Location& where = Location::current());
/// d += A B of bf16 with A 64 x 16 and B 16 x n, both in shared memory with rows of k side by side
/// (K-major, swizzled or as core matrices) or, transposed, channels (MN-major, swizzled), by their
/// descriptors; d: n/2 sums of the lane. Of a warp with number w in its warpgroup, lane 4 g + t:
/// d[4 j + 2 h + e] is row 16 w + g + 8 h, column 8 j + 2 t + e. The sum of the exact products and
/// d is rounded once.
void wgmma_bf16(float* d, int n, std::uint64_t a, std::uint64_t b, bool transposed,
                const Location& where = Location::current());
/// The same of signed bytes, K-major, with A 64 x 32 and B 32 x n: sums of 32 bits, which wrap
/// around.
void wgmma_s8(std::int32_t* d, int n, std::uint64_t a, std::uint64_t b,
              const Location& where = Location::current());
void wgmma_commit(const Location& where = Location::current());
void wgmma_wait(int pending_groups, const Location& where = Location::current());
/// setmaxnreg: of no effect here.
void set_registers(int count, const Location& where = Location::current());

}  // namespace pixeldp::emulator
