#pragma once

#include <cstdint>

/// The words and vector types of CUDA C++ that g++ does not know. The words are macros, so this
/// header and CUDA's own cannot meet in one file; the types live in pixeldp::emulator, so both may
/// meet in one program.

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define __grid_constant__

namespace pixeldp::emulator {

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct uint3 {
  unsigned x, y, z;
};

template <class T>
struct alignas(2 * sizeof(T)) Vector2 {
  T x, y;
};
template <class T>
struct alignas(4 * sizeof(T)) Vector4 {
  T x, y, z, w;
};

using float2 = Vector2<float>;
using float4 = Vector4<float>;
using int2 = Vector2<int>;
using int4 = Vector4<int>;
using uint2 = Vector2<unsigned>;
using uint4 = Vector4<unsigned>;

constexpr float2 make_float2(float x, float y) { return {x, y}; }
constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
constexpr int2 make_int2(int x, int y) { return {x, y}; }
constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline constexpr int warpSize = 32;

// Where the running thread is. Set by the scheduler whenever it takes up a thread; kernels read.
extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;

}  // namespace pixeldp::emulator
