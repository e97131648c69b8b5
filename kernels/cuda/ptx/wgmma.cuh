#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"

/// Matrix products of a warpgroup, four warps, on the tensor cores of sm_90a: D += A B, with A 64 x
/// 16 and B 16 x n in bf16 in shared memory, D 64 x n in single precision in registers. Products go
/// on while the warps do something else. All lanes of all four warps must call everything here
/// together.
///
/// A and B are read from rows that lie as copy_box leaves boxes of 64 channels with a swizzle of
/// 128 bytes: row i (of A; column i of B) takes 128 bytes, and 16 of its 64 values of k are one
/// product's. Or both lie transposed, a value of k to a row: wgmma_columns.
///
/// Lane 4 g + t of warp w holds, in d[4 j + 2 h + e], row 16 w + g + 8 h, column 8 j + 2 t + e.
///
/// Source: PTX ISA, "Register Fragments and Shared Memory Matrix Layouts" of wgmma.mma_async.
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// Describes rows that begin at `shared`, a multiple of 1024 bytes. For the products of k = 16 i
/// ... 16 i + 15 of the rows from 8 j on, add wgmma_step(j, i).
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

__device__ __forceinline__ constexpr std::uint64_t wgmma_step(int eight_rows, int k16) {
  return static_cast<std::uint64_t>(eight_rows * 64 + k16 * 2);
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

// d += A B, for n = 128 and n = 160, of operands by wgmma_rows or, transposed, by wgmma_columns.
// Until it was waited for, the sums must not be touched but by further products of the same shape.
template <bool transposed = false>
__device__ __forceinline__ void wgmma_bf16(float (&d)[64], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_bf16(d, 128, a, b, transposed);
#else
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
      "}, %64, %65, 1, 1, 1, %66, %66;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]),
        "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]),
        "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
        "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
        "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]),
        "+f"(d[63])
      : "l"(a), "l"(b), "n"(transposed ? 1 : 0));
#endif
}

template <bool transposed = false>
__device__ __forceinline__ void wgmma_bf16(float (&d)[80], std::uint64_t a, std::uint64_t b) {
#ifdef PIXELDP_EMULATED
  emulator::wgmma_bf16(d, 160, a, b, transposed);
#else
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n160k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"
      "}, %80, %81, 1, 1, 1, %82, %82;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]),
        "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]),
        "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
        "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
        "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]),
        "+f"(d[63]), "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]),
        "+f"(d[70]), "+f"(d[71]), "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]),
        "+f"(d[77]), "+f"(d[78]), "+f"(d[79])
      : "l"(a), "l"(b), "n"(transposed ? 1 : 0));
#endif
}

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
