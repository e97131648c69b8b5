#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/launch.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

constexpr int threads = 128;

struct Reversal {
  int values[threads];
};

/// y = x backwards, by way of shared memory.
template <bool barrier>
__global__ void reverse_kernel(const int* x, int* y) {
  auto& shared = shared_storage<Reversal>();
  const int t = static_cast<int>(threadIdx.x);
  shared.values[t] = x[static_cast<int>(blockIdx.x) * threads + t];
  if constexpr (barrier) __syncthreads();
  y[static_cast<int>(blockIdx.x) * threads + t] = shared.values[threads - 1 - t];
}

template <bool barrier>
bool reverses() {
  constexpr int blocks = 5;
  std::vector<int> x;
  for (int i = 0; i < blocks * threads; ++i) x.push_back(i);
  const DeviceArray<int> device_x(x), device_y(x.size());
  launch<reverse_kernel<barrier>>(blocks, threads, sizeof(Reversal), nullptr, device_x.data(),
                                  device_y.data());
  const std::vector<int> y = device_y.values();
  for (int i = 0; i < blocks * threads; ++i) {
    const int expected = i / threads * threads + threads - 1 - i % threads;
    if (y[static_cast<std::size_t>(i)] != expected) return false;
  }
  return true;
}

TEST_CASE("a barrier separates writing from reading under every schedule") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CAPTURE(schedule.name());
    CHECK(reverses<true>());
    CHECK_FALSE(reverses<false>());
  }
}

/// Each warp reads what the one before wrote: a missing barrier goes unnoticed where warps run in
/// their order, and only there.
template <bool barrier>
__global__ void hand_on_kernel(int* y) {
  auto& shared = shared_storage<Reversal>();
  const int t = static_cast<int>(threadIdx.x);
  shared.values[t] = t;
  if constexpr (barrier) __syncthreads();
  y[t] = t < 32 ? t : shared.values[t - 32] + 32;
}

template <bool barrier>
bool hands_on(Order order) {
  const WithSettings with(Schedule{order, 1, false});
  const DeviceArray<int> device_y(threads);
  launch<hand_on_kernel<barrier>>(1, threads, sizeof(Reversal), nullptr, device_y.data());
  const std::vector<int> y = device_y.values();
  for (int i = 0; i < threads; ++i)
    if (y[static_cast<std::size_t>(i)] != i) return false;
  return true;
}

TEST_CASE("a missing barrier that one order of the warps hides, another shows") {
  for (const Order order : {Order::round_robin, Order::first_warp, Order::last_warp, Order::random})
    CHECK(hands_on<true>(order));
  CHECK(hands_on<false>(Order::first_warp));
  CHECK_FALSE(hands_on<false>(Order::last_warp));
  CHECK_FALSE(hands_on<false>(Order::random));
}

/// Many barriers in a row: the parity of a double buffer must never slip.
__global__ void relay_kernel(int rounds, int* y) {
  struct Two {
    int values[2][threads];
  };
  auto& shared = shared_storage<Two>();
  const int t = static_cast<int>(threadIdx.x);
  shared.values[0][t] = t;
  for (int i = 0; i < rounds; ++i) {
    __syncthreads();
    shared.values[(i + 1) % 2][t] = shared.values[i % 2][(t + 1) % threads] + 1;
  }
  y[t] = shared.values[rounds % 2][t];
}

TEST_CASE("barriers follow one another") {
  constexpr int rounds = 201;
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    const DeviceArray<int> y(threads);
    launch<relay_kernel>(1, threads, sizeof(int) * 2 * threads, nullptr, rounds, y.data());
    const std::vector<int> values = y.values();
    for (int t = 0; t < threads; ++t)
      REQUIRE(values[static_cast<std::size_t>(t)] == (t + rounds) % threads + rounds);
  }
}

enum class Mistake { half_a_warp, early_return, two_places, stuck_warp };

__global__ void mistaken_kernel(Mistake mistake) {
  const unsigned t = threadIdx.x;
  switch (mistake) {
    case Mistake::half_a_warp:
      if (blockIdx.x == 2 && t < 16) __syncthreads();
      break;
    case Mistake::early_return:
      if (t == 40) return;
      __syncthreads();
      break;
    case Mistake::two_places:
      if (t % 2 == 0)
        __syncthreads();
      else
        __syncthreads();
      break;
    case Mistake::stuck_warp:
      if (t == 33) __syncwarp(0x6);  // for lane 2, which is at the barrier
      __syncthreads();
      break;
  }
}

TEST_CASE("threads that do not meet are reported with their places") {
  const auto run = [](Mistake mistake) {
    launch<mistaken_kernel>(4, 64, 0, nullptr, mistake);
    cudaDeviceSynchronize();
  };
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CAPTURE(schedule.name());
    CHECK_FAILS(run(Mistake::half_a_warp), "divergent __syncthreads, which some threads returned");
    CHECK_FAILS(run(Mistake::half_a_warp), "block (2,0,0) of (4,1,1)");
    CHECK_FAILS(run(Mistake::half_a_warp),
                "warp 0: lanes 0-15 wait in __syncthreads at barrier_test.cpp:");
    CHECK_FAILS(run(Mistake::half_a_warp), "; lanes 16-31 have returned\n  warp 1: lanes 0-31");
    CHECK_FAILS(run(Mistake::early_return), "; lanes 8 have returned");
    CHECK_FAILS(run(Mistake::two_places), "divergent __syncthreads: it came to barrier_test.cpp:");
    CHECK_FAILS(run(Mistake::stuck_warp), "deadlock; no thread can go on");
    CHECK_FAILS(run(Mistake::stuck_warp), "lanes 1 wait in __syncwarp at barrier_test.cpp:");
    CHECK_FAILS(run(Mistake::stuck_warp), "with mask 0x6");
  }
  // What was abandoned in mid-flight leaves nothing behind.
  CHECK(reverses<true>());
}

__global__ void numbers_kernel(unsigned* y) {
  const unsigned block =
      blockIdx.x + gridDim.x * (blockIdx.y + static_cast<unsigned>(gridDim.y) * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned per_block = blockDim.x * blockDim.y * blockDim.z;
  atomicAdd(y + block * per_block + thread, block * per_block + thread + 1);
}

TEST_CASE("every thread of every block runs once, whatever the shape") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const dim3 block : {dim3(1), dim3(33), dim3(5, 3, 7), dim3(1, 2, 64), dim3(1024)}) {
      const dim3 grid(3, 2, 4);
      const std::size_t count = 24u * block.x * block.y * block.z;
      const DeviceArray<unsigned> y(count);
      cudaMemset(y.data(), 0, count * sizeof(unsigned));
      launch<numbers_kernel>(grid, block, 0, nullptr, y.data());
      const std::vector<unsigned> values = y.values();
      for (std::size_t i = 0; i < count; ++i) REQUIRE(values[i] == i + 1);
    }
  }
}

__global__ void throwing_kernel() { __trap(); }

TEST_CASE("launches that no device can do, and kernels that give up, are refused by name") {
  const auto run = [](dim3 grid, dim3 block, std::size_t shared) {
    launch<mistaken_kernel>(grid, block, shared, nullptr, Mistake::half_a_warp);
  };
  CHECK_FAILS(run(0, 32, 0), "barrier_test.cpp:");
  CHECK_FAILS(run(0, 32, 0),
              "kernel mistaken_kernel with (0,1,1) blocks of (32,1,1) threads and 0 bytes of "
              "shared memory was not launched: invalid configuration argument");
  CHECK_FAILS(run(dim3(1, 65536), 32, 0), "a grid of (1,65536,1) blocks");
  CHECK_FAILS(run(1, 1025, 0), "a block of (1025,1,1) threads");
  CHECK_FAILS(run(1, dim3(1, 1, 65), 0), "a block of (1,1,65) threads");
  CHECK_FAILS(run(1, dim3(32, 32, 2), 0), "a block of (32,32,2) threads");
  CHECK_FAILS(run(1, 32, 163 * 1024 + 1), "sm_80 has 166912");
  const WithSettings with(sm_90);
  CHECK_NOTHROW(run(1, 32, 227 * 1024));
  CHECK_FAILS(run(1, 32, 227 * 1024 + 1), "sm_90 has 232448");
  CHECK_FAILS(launch<throwing_kernel>(1, 32, 0, nullptr), "kernel throwing_kernel (launched at");
  CHECK_FAILS(launch<throwing_kernel>(1, 32, 0, nullptr), "thread (0,0,0): __trap");
  CHECK_FAILS(__syncthreads(), "__syncthreads was called outside a kernel");
  CHECK(cudaGetLastError() == cudaSuccess);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
