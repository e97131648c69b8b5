#include "kernels/emulator/memory.hpp"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/emulator/sanitizer.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

struct Words {
  std::uint32_t values[10];
};

/// Every block leaves something behind for the next.
__global__ void leave_behind_kernel(std::uint32_t* y) {
  auto& shared = shared_storage<Words>();
  y[blockIdx.x] = shared.values[7];
  shared.values[7] = 1;
}

TEST_CASE("shared memory is not a number at the beginning of each block") {
  const DeviceArray<std::uint32_t> y(20);
  CHECK(y.values() == std::vector<std::uint32_t>(20, 0xffffffffu));  // and so is device memory
  launch<leave_behind_kernel>(20, 1, sizeof(Words), nullptr, y.data());
  CHECK(y.values() == std::vector<std::uint32_t>(20, 0xffffffffu));
}

TEST_CASE("shared memory that a launch did not ask for is refused") {
  const DeviceArray<std::uint32_t> y(1);
  CHECK_FAILS(launch<leave_behind_kernel>(1, 1, sizeof(Words) - 4, nullptr, y.data()),
              "shared_storage: 40 bytes at offset 0 do not lie in the block's 36 bytes");
}

/// By a pointer, for the compiler would refuse an index.
__global__ void write_shared_kernel(int index) {
  *(&shared_storage<Words>().values[0] + index) = 1;
}

__global__ void write_kernel(float* y, int index) { y[index] = 1.0f; }

TEST_CASE(
    "guarded memory is for the work of streams: the processor's own access ends the program") {
  Settings guarded = settings();
  guarded.guard_memory = true;
  const WithSettings with(guarded);
  const DeviceArray<float> y(5);
  launch<write_kernel>(1, 1, 0, nullptr, y.data(), 2);
  CHECK(y.values()[2] == 1.0f);
  for (const bool touch : {false, true}) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGSEGV, SIG_DFL);  // or the test program would report it
      std::freopen("/dev/null", "w", stderr);
      if (touch) static_cast<void>(*const_cast<volatile float*>(y.data() + 2));
      std::_Exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0) == !touch);
  }
}

TEST_CASE("the processor may touch pinned memory at any time") {
  Settings guarded = settings();
  guarded.guard_memory = true;
  const WithSettings with(guarded);
  float* pinned = nullptr;
  REQUIRE(cudaMallocHost(&pinned, 5 * sizeof(float)) == cudaSuccess);
  pinned[4] = 1.0f;
  CHECK(pinned[4] == 1.0f);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

TEST_CASE("writing outside is found") {
  if (address_sanitizer) return;  // which would end the program at the very write
  const auto shared = [](int index) {
    // volatile: g++ sees through an index out of range
    volatile int hidden = index;
    launch<write_shared_kernel>(dim3(3), 1, sizeof(Words), nullptr, static_cast<int>(hidden));
  };
  CHECK_NOTHROW(shared(9));
  CHECK_FAILS(shared(10), "block (0,0,0) of (3,1,1): something wrote to byte 40 of 40 bytes of");
  CHECK_FAILS(shared(-1), "something wrote to byte -4 of 40 bytes of shared memory");
  const auto global = [](int index) {
    const DeviceArray<float> other(5), y(5);
    launch<write_kernel>(1, 1, 0, nullptr, y.data(), index);
  };
  CHECK_NOTHROW(global(4));
  CHECK_FAILS(global(5), "kernel write_kernel (launched at memory_test.cpp");
  CHECK_FAILS(global(5), "something wrote to byte 20 of allocation");
  CHECK_FAILS(global(-1), "something wrote to byte -4 of allocation");
}

TEST_CASE("frees are checked and leaks can be counted") {
  const std::size_t before = device_memory().live_allocations();
  const std::size_t bytes_before = device_memory().live_bytes();
  float* p = nullptr;
  CHECK(cudaMalloc(&p, 100) == cudaSuccess);
  CHECK(std::bit_cast<std::uintptr_t>(p) % 256 == 0);
  CHECK(device_memory().live_allocations() == before + 1);
  CHECK(device_memory().live_bytes() == bytes_before + 100);
  CHECK(device_memory().contains(p, 100));
  CHECK_FALSE(device_memory().contains(p, 101));
  CHECK_FALSE(device_memory().contains(p + 1, 100));
  CHECK(cudaFree(p + 1) == cudaErrorInvalidValue);
  CHECK(std::string(cudaGetErrorString(cudaPeekAtLastError())) ==
        "invalid argument: cudaFree: it is not the beginning of an allocation: 0 bytes at offset 4 "
        "of allocation " +
            std::to_string(device_memory().allocations()) + " of 100 bytes of device memory");
  CHECK(cudaFree(p) == cudaSuccess);
  CHECK(cudaFree(p) == cudaErrorInvalidValue);
  CHECK(std::string(cudaGetErrorString(cudaGetLastError())).ends_with("(or was freed before)"));
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(cudaFree(nullptr) == cudaSuccess);
  CHECK(cudaMalloc(&p, std::size_t{1} << 60) == cudaErrorMemoryAllocation);
  CHECK(p == nullptr);
  CHECK(device_memory().live_allocations() == before);
  CHECK(cudaMallocHost(&p, 8) == cudaSuccess);
  CHECK(cudaFree(p) == cudaErrorInvalidValue);
  CHECK(cudaFreeHost(p) == cudaSuccess);
  CHECK(cudaFreeHost(p) == cudaErrorInvalidValue);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
