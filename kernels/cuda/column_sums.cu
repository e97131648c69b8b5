/// sums[j] = sum over r of x[r, j]
///
/// Layouts: x [rows, columns], sums [columns], dense, of any alignment.
///
/// Work: a block has 32 columns, a lane each, and 32 warps; warp g adds up the rows g, g + 32, ...
/// in this order. The 32 partial sums of a column then go through the tree of warp_sum, by way of
/// shared memory, whose rows are 33 floats apart so that neither way meets a bank twice. Only the
/// number of rows decides the order.
///
/// Never written to global memory: partial sums.
///
/// Bytes: 4 * columns * (rows + 1), each once. Operations: rows * columns additions.
///
/// 26 registers on sm_80, 24 on sm_90; 4224 bytes of shared memory.
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/warp_sum.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int width = ColumnSumsGrid::block_columns, groups = ColumnSumsGrid::groups;
static_assert(width == 32 && groups == 32, "lanes and warps change places");

struct SharedStorage {
  float partial[groups][width + 1];
};

__global__ void __launch_bounds__(width* groups)
    column_sums_kernel(std::int64_t rows, std::int64_t columns, const float* __restrict__ x,
                       float* __restrict__ sums) {
  auto& shared = shared_storage<SharedStorage>();
  const int lane = threadIdx.x, warp = threadIdx.y;
  const std::int64_t first = std::int64_t{blockIdx.x} * width;
  float sum = 0.0f;
  if (first + lane < columns) {
#pragma unroll 4  // so that four rows are on their way at once
    for (std::int64_t r = warp; r < rows; r += groups) sum += x[r * columns + first + lane];
  }
  store_shared(&shared.partial[warp][lane], sum);
  __syncthreads();
  const float total = warp_sum(load_shared(&shared.partial[lane][warp]));
  if (lane == 0 && first + warp < columns) sums[first + warp] = total;
}

}  // namespace

void column_sums(void* stream, std::int64_t rows, std::int64_t columns, const float* x,
                 float* sums) {
  const ColumnSumsGrid grid = ColumnSumsGrid::plan(rows, columns);
  if (columns == 0) return;
  launch<column_sums_kernel>(grid.blocks, dim3(width, groups), sizeof(SharedStorage),
                             static_cast<cudaStream_t>(stream), rows, columns, x, sums);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
