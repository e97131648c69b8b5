#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/emulator/sanitizer.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

constexpr int threads = 64;

struct Words {
  int values[threads];
};

/// What a kernel does, right or with one thing left out.
enum class Deed {
  hand_over,             // to a thread of another warp, across a barrier
  hand_over_at_once,     // without the barrier
  overwrite,             // what a thread of another warp has read before a barrier
  overwrite_at_once,     // without the barrier
  in_warp,               // to the lane beside, across __syncwarp
  in_warp_by_shuffle,    // a shuffle is no barrier
  warps_by_syncwarp,     // __syncwarp is none for other warps
  own_global,            // each thread its element, again and again
  halves,                // two threads, the halves of a word
  all_write,             // every thread the same to one address of global memory
  add,                   // every thread and block, atomically
  add_plainly,           // every block
  add_and_look,          // while others add
  look_before,           // all blocks read what the last one writes
  after,                 // reads behind the array
  far_after,             // by a hundred elements
  before,                // in front of it
  shared_after,          // reads shared memory that the block does not have
  half_after,            // half of it behind the array
  misaligned,            // four elements from the second on
  local_after,           // reads behind an array of the thread's own
  overflow,              // adds one to the largest integer
  shift,                 // by as many bits as there are
  divide,                // by zero
  copy,                  // cp.async, waited for, across a barrier
  copy_without_barrier,  // read by another thread
  copy_over,             // to where another thread still reads
  matrix,                // ldmatrix of rows that the lanes wrote, across __syncwarp
  matrix_at_once,        // without it
};

__global__ void deed_kernel(Deed deed, int* y, int count) {
  int* const shared = shared_storage<Words>().values;
  const int t = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  const int opposite = threads - 1 - t;
  volatile int sum = 0;  // so that no access is left out
  switch (deed) {
    case Deed::hand_over:
    case Deed::hand_over_at_once:
    case Deed::warps_by_syncwarp:
      shared[t] = t;
      if (deed == Deed::hand_over) __syncthreads();
      if (deed == Deed::warps_by_syncwarp) __syncwarp();
      sum = shared[opposite];
      break;
    case Deed::overwrite:
    case Deed::overwrite_at_once:
      shared[t] = t;
      __syncthreads();
      sum = shared[opposite];
      if (deed == Deed::overwrite) __syncthreads();
      shared[t] = sum;
      break;
    case Deed::in_warp:
    case Deed::in_warp_by_shuffle:
      shared[t] = t;
      if (deed == Deed::in_warp)
        __syncwarp();
      else
        sum = __shfl_xor_sync(~0u, t, 1);
      sum = shared[t ^ 1];
      break;
    case Deed::own_global:
      for (int i = 0; i < 3; ++i) y[block * threads + t] += t;
      break;
    case Deed::halves:
      reinterpret_cast<std::uint16_t*>(y)[block * threads + t] = 1;
      break;
    case Deed::all_write:
      y[block] = 7;
      break;
    case Deed::add:
      atomicAdd(y, 1);
      break;
    case Deed::add_plainly:
      if (t == 0) y[0] += 1;
      break;
    case Deed::add_and_look:
      atomicAdd(y, 1);
      if (block == 2 && t == 5) sum = y[0];
      break;
    case Deed::look_before:
      sum = y[0];
      if (block == 2 && t == 0) y[0] = 1;
      break;
    case Deed::after:
      if (t == 3) sum = y[count];
      break;
    case Deed::far_after:
      if (t == 3) y[count + 100] = 1;
      break;
    case Deed::before:
      if (t == 3) sum = y[-1];
      break;
    case Deed::shared_after:
      if (t == 3) sum = shared[threads + 4];
      break;
    case Deed::half_after: {
      std::uint32_t two = 0;
      if (t == 3) std::memcpy(&two, reinterpret_cast<char*>(y + count) - 2, sizeof two);
      sum = static_cast<int>(two);
      break;
    }
    case Deed::local_after: {
      volatile int local[4] = {};
      sum = local[t + 4];
      break;
    }
    case Deed::overflow:
      sum = std::numeric_limits<int>::max() + (t + 1);
      break;
    case Deed::shift:
      sum = 1 << (t + 32);
      break;
    case Deed::divide: {
      volatile int zero = 0;
      sum = 7 / zero;
      break;
    }
    case Deed::misaligned:
      if (t == 3 && block == 1) *reinterpret_cast<int4*>(y + 1) = make_int4(1, 2, 3, 4);
      break;
    case Deed::copy:
    case Deed::copy_without_barrier:
      ptx::cp_async<4>(shared + t, y + t);
      ptx::cp_async_wait_all();
      if (deed == Deed::copy) __syncthreads();
      sum = shared[opposite];
      break;
    case Deed::copy_over:
      shared[t] = t;
      __syncthreads();
      sum = shared[opposite];
      ptx::cp_async<4>(shared + t, y + t);
      ptx::cp_async_wait_all();
      break;
    case Deed::matrix:
    case Deed::matrix_at_once: {
      const int lane = t % 8;
      if (t % 32 == lane)
        for (int i = 0; i < 4; ++i) shared[t / 32 * 32 + lane * 4 + i] = i;
      if (deed == Deed::matrix) __syncwarp();
      std::uint32_t registers[1];
      ptx::ldmatrix(registers, shared + t / 32 * 32 + lane * 4);
      sum = static_cast<int>(registers[0]);
      break;
    }
  }
}

constexpr int blocks = 4, count = blocks * threads;

void run(Deed deed) {
  Settings checking = settings();
  checking.check_accesses = true;
  const WithSettings with(checking);
  const DeviceArray<int> other(count), y(std::vector<int>(count, 0)), another(count);
  launch<deed_kernel>(blocks, threads, sizeof(Words), nullptr, deed, y.data(), count);
  cudaDeviceSynchronize();
}

/// The deed is refused under every schedule, in such words.
void check_refused(Deed deed, const std::string& part) {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CAPTURE(schedule.name());
    CHECK_FAILS(run(deed), "kernel deed_kernel (launched at access_test.cpp:");
    CHECK_FAILS(run(deed), part);
  }
}

TEST_CASE("a race is found in whatever order threads run") {
  if (address_sanitizer) return;  // which the compiler offers instead
  check_refused(Deed::hand_over_at_once,
                "of the block's 256 bytes of shared memory, which thread (");
  check_refused(Deed::hand_over_at_once, "a race: it ");
  check_refused(Deed::overwrite_at_once, "with no barrier in between");
  check_refused(Deed::in_warp_by_shuffle, "wrote, with no barrier in between");
  check_refused(Deed::warps_by_syncwarp, "with no barrier in between");
  check_refused(Deed::all_write, "bytes of device memory, which thread (");
  check_refused(Deed::add_plainly, "and blocks have no order");
  check_refused(Deed::add_and_look, "changed atomically, ");
  check_refused(Deed::look_before, "and blocks have no order");
  check_refused(Deed::copy_without_barrier, "with no barrier in between");
  check_refused(Deed::copy_over, "with no barrier in between");
  check_refused(Deed::matrix_at_once, "with no barrier in between");
}

TEST_CASE("a race is reported with both accesses") {
  if (address_sanitizer) return;
  CHECK_FAILS(run(Deed::hand_over_at_once),
              "block (0,0,0) of (4,1,1), thread (32,0,0): a race: it writes 4 bytes at offset 128 "
              "of the block's 256 bytes of shared memory, which thread (31,0,0) read, with no "
              "barrier in between");
  CHECK_FAILS(run(Deed::add_plainly),
              "block (1,0,0) of (4,1,1), thread (0,0,0): a race: it reads 4 bytes at offset 0 of "
              "allocation ");
  CHECK_FAILS(run(Deed::add_plainly),
              " of 1024 bytes of device memory, which thread (0,0,0) of block (0,0,0) wrote, and "
              "blocks have no order");
  CHECK_FAILS(run(Deed::look_before), "which several blocks read, and blocks have no order");
}

TEST_CASE("an access beside an array is found, be it a read or far away") {
  if (address_sanitizer) return;
  check_refused(Deed::after,
                "thread (3,0,0): it reads outside of every array: 4 bytes at offset 1024 of");
  check_refused(Deed::far_after,
                "it writes outside of every array: 4 bytes at offset 1424 of alloc");
  check_refused(Deed::before,
                "it reads outside of every array: 4 bytes at offset -4 of allocation ");
  check_refused(Deed::shared_after,
                "outside of every array: 4 bytes at offset 272 of the block's 256 bytes of shared");
  check_refused(Deed::half_after,
                "it reads outside of every array: 4 bytes at offset 1022 of alloc");
}

TEST_CASE("an access that needs a multiple of its size is found elsewhere") {
  if (address_sanitizer) return;
  check_refused(Deed::misaligned, "thread (3,0,0): access_test.cpp:");
  check_refused(Deed::misaligned, " needs an address that is a multiple of 16, and 0x");
}

TEST_CASE("arithmetic that is undefined is found") {
  if (address_sanitizer) return;
  check_refused(Deed::local_after, " has no element ");
  check_refused(Deed::overflow, " adds or subtracts beyond what its type holds");
  check_refused(Deed::shift, " shifts by more than there are bits");
  check_refused(Deed::divide, " divides by zero");
}

TEST_CASE("what barriers or atomic operations order is no race") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const Deed deed : {Deed::hand_over, Deed::overwrite, Deed::in_warp, Deed::own_global,
                            Deed::halves, Deed::add, Deed::copy, Deed::matrix})
      CHECK_NOTHROW(run(deed));
  }
}

__global__ void use_kernel(int* y, bool write) {
  volatile int sum = 0;
  if (write)
    y[0] = 1;
  else
    sum = y[0];
  static_cast<void>(sum);
}

TEST_CASE("one kernel's end orders all that the next one does, but does not bring back memory") {
  Settings checking = settings();
  checking.check_accesses = true;
  const WithSettings with(checking);
  int* y = nullptr;
  REQUIRE(cudaMalloc(&y, 4) == cudaSuccess);
  for (const bool write : {true, false, false, true})
    CHECK_NOTHROW(launch<use_kernel>(1, 1, 0, nullptr, y, write));
  REQUIRE(cudaFree(y) == cudaSuccess);
  if (address_sanitizer) return;
  for (const bool write : {true, false})
    CHECK_FAILS(launch<use_kernel>(1, 1, 0, nullptr, y, write), "outside of every array");
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
