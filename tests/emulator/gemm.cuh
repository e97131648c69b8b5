#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/mma.cuh"

/// C[m, n] = sum over k of A[m, k] B[n, k] in bf16 with sums in float: everything that a fast
/// kernel is made of, in a small one. Tiles of 64 x 64 x 32; a ring of slots in shared memory
/// filled by cp.async two tiles ahead; 16-byte chunks swizzled; ldmatrix; mma. Extents that are no
/// multiple of a tile are filled up with zeros; k must be a multiple of 8.
namespace pixeldp::kernels::PIXELDP_DEVICE {

struct GemmShape {
  int m, n, k;
};

/// Mistakes that tests make on purpose.
enum class GemmFault { none, no_barrier, no_wait, short_ring, no_swizzle };

namespace gemm {

constexpr int tile_m = 64, tile_n = 64, tile_k = 32, ahead = 2, warps = 4;
constexpr int threads = 32 * warps;
constexpr int chunk = 8;                    // elements in 16 bytes
constexpr int row_chunks = tile_k / chunk;  // 4: a row is 64 bytes, two rows fill the 32 banks

template <GemmFault fault>
struct Storage {
  static constexpr int slots = fault == GemmFault::short_ring ? ahead : ahead + 1;
  std::uint16_t a[slots][tile_m * tile_k];
  std::uint16_t b[slots][tile_n * tile_k];
};

/// Where chunk `c` of row `row` of a tile begins: eight rows that follow each other, the same chunk
/// of each, lie in different banks.
template <GemmFault fault>
__device__ __forceinline__ int offset_of(int row, int c) {
  const int swizzled = fault == GemmFault::no_swizzle ? c : c ^ (row / 2 % row_chunks);
  return (row * row_chunks + swizzled) * chunk;
}

template <GemmFault fault>
__device__ void load_tile(std::uint16_t* tile, const std::uint16_t* matrix, int first_row,
                          int row_count, int first_k, int k) {
  for (int i = static_cast<int>(threadIdx.x); i < tile_m * row_chunks; i += threads) {
    const int row = i / row_chunks, c = i % row_chunks;
    const int kk = first_k + c * chunk;
    const bool inside = first_row + row < row_count && kk < k;
    const std::int64_t offset = std::int64_t{first_row + row} * k + kk;
    ptx::cp_async<16>(tile + offset_of<fault>(row, c), inside ? matrix + offset : matrix,
                      inside ? 16 : 0);
  }
}

}  // namespace gemm

template <GemmFault fault>
__global__ void __launch_bounds__(gemm::threads)
    gemm_kernel(GemmShape shape, const std::uint16_t* __restrict__ a,
                const std::uint16_t* __restrict__ b, float* __restrict__ c) {
  using namespace gemm;
  auto& shared = shared_storage<Storage<fault>>();
  constexpr int slots = Storage<fault>::slots;
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int first_m = static_cast<int>(blockIdx.y) * tile_m;
  const int first_n = static_cast<int>(blockIdx.x) * tile_n;
  const int warp_m = warp / 2 * 32, warp_n = warp % 2 * 32;
  const int tiles = (shape.k + tile_k - 1) / tile_k;

  const auto load = [&](int tile) {
    if (tile < tiles) {
      load_tile<fault>(shared.a[tile % slots], a, first_m, shape.m, tile * tile_k, shape.k);
      load_tile<fault>(shared.b[tile % slots], b, first_n, shape.n, tile * tile_k, shape.k);
    }
    ptx::cp_async_commit();  // empty at the end, so that groups and tiles stay in step
  };

  float sum[2][4][4] = {};
  for (int tile = 0; tile < ahead; ++tile) load(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    if constexpr (fault != GemmFault::no_wait) ptx::cp_async_wait<ahead - 1>();
    // Everybody's part of this tile has come, and nobody reads the slot that is filled next.
    if constexpr (fault != GemmFault::no_barrier) __syncthreads();
    load(tile + ahead);
    const std::uint16_t* const tile_a = shared.a[tile % slots];
    const std::uint16_t* const tile_b = shared.b[tile % slots];
#pragma unroll
    for (int k16 = 0; k16 < tile_k / 16; ++k16) {
      std::uint32_t fragment_a[2][4];
      for (int i = 0; i < 2; ++i) {
        const int row = warp_m + i * 16 + lane % 16, column = k16 * 2 + lane / 16;
        ptx::ldmatrix(fragment_a[i], tile_a + offset_of<fault>(row, column));
      }
      for (int j = 0; j < 4; j += 2) {
        std::uint32_t pair[4];
        const int row = warp_n + j * 8 + lane % 8 + lane / 16 * 8;
        const int column = k16 * 2 + lane / 8 % 2;
        ptx::ldmatrix(pair, tile_b + offset_of<fault>(row, column));
        const std::uint32_t fragment_b[2][2] = {{pair[0], pair[1]}, {pair[2], pair[3]}};
        for (int i = 0; i < 2; ++i)
          for (int half = 0; half < 2; ++half)
            ptx::mma_bf16(sum[i][j + half], fragment_a[i], fragment_b[half]);
      }
    }
  }

  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 4; ++j) {
      for (int e = 0; e < 4; ++e) {
        const int row = first_m + warp_m + i * 16 + lane / 4 + e / 2 * 8;
        const int column = first_n + warp_n + j * 8 + lane % 4 * 2 + e % 2;
        if (row < shape.m && column < shape.n)
          c[std::int64_t{row} * shape.n + column] = sum[i][j][e];
      }
    }
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
