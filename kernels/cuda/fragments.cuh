#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

/// Operands of mma_bf16: rows in shared memory, weights straight from memory.
namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Where chunk c (8 elements, 16 bytes) of row `row` begins, in elements; rows of `chunks` chunks
/// lie behind each other. The same chunk of any eight rows in a row meets no bank twice, as
/// ldmatrix reads them.
template <int chunks>
__device__ __forceinline__ int swizzled(int row, int c) {
  static_assert((chunks & (chunks - 1)) == 0, "a power of two");
  constexpr int rows = chunks < 8 ? 8 / chunks : 1;  // in 128 bytes
  return (row * chunks + (c ^ (row / rows % (chunks < 8 ? chunks : 8)))) * 8;
}

/// A lane's part of the weights of 16 products of 16 columns, as kernels/cuda/fragments.hpp packs
/// them.
struct WeightFragment {
  static constexpr int k = 16, n = 16;
  std::uint32_t b[2][2];  // of columns 0 to 7, and of 8 to 15

  __device__ __forceinline__ void load(const uint4* from) {
    const uint4 v = __ldg(from);
    b[0][0] = v.x, b[0][1] = v.y, b[1][0] = v.z, b[1][1] = v.w;
  }
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
