#pragma once

#include <cstdint>

#include "kernels/emulator/block.hpp"

/// The emulated twins of the instructions in kernels/cuda/ptx/: matrix fragments and asynchronous
/// copies, as the PTX ISA manual describes them ("Warp-level Matrix Instructions", "Data Movement
/// and Conversion Instructions: cp.async"). All are executed by whole warps except cp.async.
///
/// In the maps below lane = 4 g + t, with group g in 0...7 and thread t in 0...3 of the group; a
/// 32-bit register holds two bf16 or four s8, the lower index in the lower bits.
namespace pixeldp::emulator {

/// `count` (1, 2, 4) 8 x 8 matrices of 16-bit values. Lane 8 m + r gives the address of row r (16
/// bytes) of matrix m; the addresses of the others are ignored. registers[m] of a lane becomes row
/// g, columns 2t and 2t + 1, of matrix m; with `transposed`, rows 2t and 2t + 1 of column g.
void ldmatrix(std::uint32_t* registers, int count, bool transposed, const void* row,
              const Location& where = Location::current());

/// d = a b + c with A 16 x 16 (row-major), B 16 x 8 (column-major), in bf16; C, D 16 x 8 in float.
///   a: (g, 2t..) (g + 8, 2t..) (g, 2t + 8..) (g + 8, 2t + 8..)   b: (2t.., g) (2t + 8.., g)
///   c: (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)
/// The sum of the exact products and c is rounded once; hardware rounds, and truncates, in between.
void mma_m16n8k16_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
                       const Location& where = Location::current());

/// The same with A 16 x 8, B 8 x 8 in tf32.
///   a: (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4)   b: (t, g) (t + 4, g)
/// Operands must have been rounded to tf32: low bits that are not zero are reported.
void mma_m16n8k8_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
                      const Location& where = Location::current());

/// The same with A 16 x 32, B 32 x 8 in s8, and C, D in s32, which wraps around.
///   a: (g, 4t..) (g + 8, 4t..) (g, 4t + 16..) (g + 8, 4t + 16..)   b: (4t.., g) (4t + 16.., g)
void mma_m16n8k32_s8(std::int32_t* d, const std::uint32_t* a, const std::uint32_t* b,
                     const std::int32_t* c, const Location& where = Location::current());

/// cvt.rn.bf16x2.f32: to nearest, ties to even; not-a-number becomes 0x7fff.
std::uint32_t to_bf16x2(float low, float high);
/// cvt.rna.tf32.f32: to nearest, ties away from zero; the 13 low bits are zero. What is not a
/// number stays one.
std::uint32_t to_tf32(float value);

/// Copies source_bytes from global memory to shared memory and fills up with zeros to `bytes` (4,
/// 8 or 16). Delivered when the thread waits for it; 0xFF bytes until then.
void cp_async(void* shared, const void* global, int bytes, int source_bytes);
void cp_async_commit();
void cp_async_wait(int pending_groups);
void cp_async_wait_all();

/// A plain access to shared memory that counts for bank_tally().
void note_shared_access(const void* address, int bytes, const Location& where);

}  // namespace pixeldp::emulator
