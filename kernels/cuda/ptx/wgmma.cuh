#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"

/// Matrix products of a warpgroup, four warps, on the tensor cores of sm_90a: D += A B, with A 64 x
/// 16 and B 16 x n in bf16 in shared memory, D 64 x n in single precision in registers; or of twice
/// as many signed bytes, with D in 32-bit integers. Products go on while the warps do something
/// else. All lanes of all four warps must call everything here together.
///
/// A and B are read from rows that lie as copy_box leaves boxes of 64 channels in bf16, or 128 of
/// bytes, with a swizzle of 128 bytes: row i (of A; column i of B) takes 128 bytes, and a quarter
/// of its values of k are one product's. Or they lie as core matrices: wgmma_matrices. Or, in bf16,
/// both lie transposed, a value of k to a row: wgmma_columns.
///
/// Lane 4 g + t of warp w holds, in d[4 j + 2 h + e], row 16 w + g + 8 h, column 8 j + 2 t + e.
///
/// Source: PTX ISA, "Register Fragments and Shared Memory Matrix Layouts" of wgmma.mma_async.
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// Describes rows that begin at `shared`, a multiple of 1024 bytes. For the product i of the four
/// of a row's values of k, of the rows from 8 j on, add wgmma_step(j, i).
__device__ __forceinline__ std::uint64_t wgmma_rows(const void* shared) {
  constexpr std::uint64_t eight_rows = 1024, swizzle_128 = 1;
#ifdef PIXELDP_EMULATED
  const std::uint64_t address = emulator::shared_address(shared);
#else
  const std::uint64_t address = shared_address(shared);
#endif
  // Bits 16 to 29 count for other layouts only; the manual has 1 there.
  return address >> 4 | std::uint64_t{1} << 16 | eight_rows >> 4 << 32 | swizzle_128 << 62;
}

__device__ __forceinline__ constexpr std::uint64_t wgmma_step(int eight_rows, int product) {
  return static_cast<std::uint64_t>(eight_rows * 64 + product * 2);
}

/// Describes an operand that lies as core matrices, eight rows of 16 bytes behind each other: those
/// of a product's 32 bytes of k are two, so many bytes apart, and the next eight rows' are
/// `next_rows` bytes behind them. `shared` is a multiple of 16 bytes, and distances of 128. For
/// what lies so many bytes behind it, add wgmma_bytes.
__device__ __forceinline__ std::uint64_t wgmma_matrices(const void* shared, int next_depth,
                                                        int next_rows) {
#ifdef PIXELDP_EMULATED
  const std::uint64_t address = emulator::shared_address(shared);
#else
  const std::uint64_t address = shared_address(shared);
#endif
  return address >> 4 | static_cast<std::uint64_t>(next_depth >> 4) << 16 |
         static_cast<std::uint64_t>(next_rows >> 4) << 32;
}

/// Describes operands that lie transposed: boxes of span / 2 channels, rows of A or columns of B,
/// as copy_box leaves them with a swizzle of `span` bytes (128 or 64). A value of k takes a row of
/// that length, 16 of these are one product's, and the channels that follow lie in the next box,
/// `box_bytes` further on. `shared` is where a multiple of eight such rows begins, which is a
/// multiple of 8 span bytes. For what lies so many bytes behind it, add wgmma_bytes.
template <int span>
__device__ __forceinline__ std::uint64_t wgmma_columns(const void* shared, int box_bytes) {
  static_assert(span == 128 || span == 64);
  constexpr std::uint64_t eight_rows = 8 * span, swizzle = span == 128 ? 1 : 2;
#ifdef PIXELDP_EMULATED
  const std::uint64_t address = emulator::shared_address(shared);
#else
  const std::uint64_t address = shared_address(shared);
#endif
  return address >> 4 | static_cast<std::uint64_t>(box_bytes >> 4) << 16 | eight_rows >> 4 << 32 |
         swizzle << 62;
}

__device__ __forceinline__ constexpr std::uint64_t wgmma_bytes(int bytes) {
  return static_cast<std::uint64_t>(bytes >> 4);
}

/// Before the first product, and before one on sums that the threads have written or read since the
/// last: orders these accesses to registers before it. (For what threads wrote to shared memory,
/// see fence_proxy_async.)
__device__ __forceinline__ void wgmma_fence() {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_fence();
#else
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

// The registers of sums, sixteen at a time: in the text of a product, and as operands, `type` being
// "+f" or "+r".
#define PIXELDP_SUMS(type, d, i)                                                        \
  type((d)[(i) + 0]), type((d)[(i) + 1]), type((d)[(i) + 2]), type((d)[(i) + 3]),       \
      type((d)[(i) + 4]), type((d)[(i) + 5]), type((d)[(i) + 6]), type((d)[(i) + 7]),   \
      type((d)[(i) + 8]), type((d)[(i) + 9]), type((d)[(i) + 10]), type((d)[(i) + 11]), \
      type((d)[(i) + 12]), type((d)[(i) + 13]), type((d)[(i) + 14]), type((d)[(i) + 15])
#define PIXELDP_64_SUMS(type, d)                                                  \
  PIXELDP_SUMS(type, d, 0), PIXELDP_SUMS(type, d, 16), PIXELDP_SUMS(type, d, 32), \
      PIXELDP_SUMS(type, d, 48)
#define PIXELDP_64_REGISTERS                                                         \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "           \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define PIXELDP_80_REGISTERS \
  PIXELDP_64_REGISTERS       \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"

#define PIXELDP_128_REGISTERS                                                                    \
  PIXELDP_64_REGISTERS                                                                           \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"             \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"             \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, " \
  "%127"
#define PIXELDP_16_REGISTERS "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"

// d += A B, for n = 32, 128, 160 and 256 (twice as many as a lane's sums), of operands by
// wgmma_rows and wgmma_matrices or, transposed, by wgmma_columns. Until it was waited for, the sums
// must not be touched but by further products of the same shape.
template <bool transposed = false>
__device__ __forceinline__ void wgmma_bf16(float (&d)[64], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_bf16(d, 128, a, b, transposed);
#else
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" PIXELDP_64_REGISTERS
               "}, %64, %65, 1, 1, 1, %66, %66;"
               : PIXELDP_64_SUMS("+f", d)
               : "l"(a), "l"(b), "n"(transposed ? 1 : 0));
#endif
}
template <bool transposed = false>
__device__ __forceinline__ void wgmma_bf16(float (&d)[80], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_bf16(d, 160, a, b, transposed);
#else
  asm volatile("wgmma.mma_async.sync.aligned.m64n160k16.f32.bf16.bf16 {" PIXELDP_80_REGISTERS
               "}, %80, %81, 1, 1, 1, %82, %82;"
               : PIXELDP_64_SUMS("+f", d), PIXELDP_SUMS("+f", d, 64)
               : "l"(a), "l"(b), "n"(transposed ? 1 : 0));
#endif
}
template <bool transposed = false>
__device__ __forceinline__ void wgmma_bf16(float (&d)[128], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_bf16(d, 256, a, b, transposed);
#else
  asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" PIXELDP_128_REGISTERS
               "}, %128, %129, 1, 1, 1, %130, %130;"
               : PIXELDP_64_SUMS("+f", d), PIXELDP_64_SUMS("+f", d + 64)
               : "l"(a), "l"(b), "n"(transposed ? 1 : 0));
#endif
}
template <bool transposed = false>
__device__ __forceinline__ void wgmma_bf16(float (&d)[16], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_bf16(d, 32, a, b, transposed);
#else
  asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {" PIXELDP_16_REGISTERS
               "}, %16, %17, 1, 1, 1, %18, %18;"
               : PIXELDP_SUMS("+f", d, 0)
               : "l"(a), "l"(b), "n"(transposed ? 1 : 0));
#endif
}

// The same of bytes, not transposed. Sums wrap around.
__device__ __forceinline__ void wgmma_s8(std::int32_t (&d)[64], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_s8(d, 128, a, b);
#else
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" PIXELDP_64_REGISTERS
               "}, %64, %65, 1;"
               : PIXELDP_64_SUMS("+r", d)
               : "l"(a), "l"(b));
#endif
}
__device__ __forceinline__ void wgmma_s8(std::int32_t (&d)[80], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_s8(d, 160, a, b);
#else
  asm volatile("wgmma.mma_async.sync.aligned.m64n160k32.s32.s8.s8 {" PIXELDP_80_REGISTERS
               "}, %80, %81, 1;"
               : PIXELDP_64_SUMS("+r", d), PIXELDP_SUMS("+r", d, 64)
               : "l"(a), "l"(b));
#endif
}
__device__ __forceinline__ void wgmma_s8(std::int32_t (&d)[128], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_s8(d, 256, a, b);
#else
  asm volatile("wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8 {" PIXELDP_128_REGISTERS
               "}, %128, %129, 1;"
               : PIXELDP_64_SUMS("+r", d), PIXELDP_64_SUMS("+r", d + 64)
               : "l"(a), "l"(b));
#endif
}
__device__ __forceinline__ void wgmma_s8(std::int32_t (&d)[16], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_s8(d, 32, a, b);
#else
  asm volatile("wgmma.mma_async.sync.aligned.m64n32k32.s32.s8.s8 {" PIXELDP_16_REGISTERS
               "}, %16, %17, 1;"
               : PIXELDP_SUMS("+r", d, 0)
               : "l"(a), "l"(b));
#endif
}

#undef PIXELDP_16_REGISTERS
#undef PIXELDP_128_REGISTERS
#undef PIXELDP_80_REGISTERS
#undef PIXELDP_64_REGISTERS
#undef PIXELDP_64_SUMS
#undef PIXELDP_SUMS

/// Closes a group: the products since the last one.
__device__ __forceinline__ void wgmma_commit() {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_commit();
#else
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

/// Waits until at most the latest `pending` groups are under way: the others have read their
/// operands and written their sums.
template <int pending>
__device__ __forceinline__ void wgmma_wait() {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_wait(pending);
#else
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
#endif
}

/// Nothing that is done to these sums, by their text, before or after this may be moved to the
/// other side of it: for the compiler, which does not know that products write registers later. To
/// be put before wgmma_fence and after wgmma_wait.
template <int count>
__device__ __forceinline__ void keep_sums(float (&d)[count]) {
#ifndef PIXELDP_EMULATED
#pragma unroll
  for (int i = 0; i < count; ++i) asm volatile("" : "+f"(d[i])::"memory");
#else
  static_cast<void>(d);
#endif
}
template <int count>
__device__ __forceinline__ void keep_sums(std::int32_t (&d)[count]) {
#ifndef PIXELDP_EMULATED
#pragma unroll
  for (int i = 0; i < count; ++i) asm volatile("" : "+r"(d[i])::"memory");
#else
  static_cast<void>(d);
#endif
}

/// The registers of each thread of this warpgroup from now on, a multiple of 8 (setmaxnreg): fewer,
/// to leave them to other warpgroups, or more, waiting until these have.
template <int count>
__device__ __forceinline__ void take_fewer_registers() {
#ifdef PIXELDP_EMULATED
  emulator::set_registers(count);
#else
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
#endif
}
template <int count>
__device__ __forceinline__ void take_more_registers() {
#ifdef PIXELDP_EMULATED
  emulator::set_registers(count);
#else
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
