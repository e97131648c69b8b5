#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/launch.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

/// Runs `body` in `threads` threads; body(y) writes y[thread].
template <class T, auto body>
__global__ void each_thread_kernel(T* y) {
  y[threadIdx.x] = body();
}

template <class T, auto body>
std::vector<T> each_thread(int threads = 32) {
  const DeviceArray<T> y(static_cast<std::size_t>(threads));
  launch<each_thread_kernel<T, body>>(1, threads, 0, nullptr, y.data());
  return y.values();
}

int lane() { return static_cast<int>(threadIdx.x % 32); }

TEST_CASE("shuffles read the lanes that the CUDA C++ Programming Guide names") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    const auto value = [](int source) { return 100 + source; };
    const auto any = each_thread<int, [] { return __shfl_sync(~0u, 100 + lane(), 3 * lane()); }>();
    const auto group =
        each_thread<int, [] { return __shfl_sync(~0u, 100 + lane(), 3 * lane(), 8); }>();
    const auto up = each_thread<int, [] { return __shfl_up_sync(~0u, 100 + lane(), 3); }>();
    const auto up8 = each_thread<int, [] { return __shfl_up_sync(~0u, 100 + lane(), 3, 8); }>();
    const auto down = each_thread<int, [] { return __shfl_down_sync(~0u, 100 + lane(), 5); }>();
    const auto down16 =
        each_thread<int, [] { return __shfl_down_sync(~0u, 100 + lane(), 5, 16); }>();
    const auto cross = each_thread<int, [] { return __shfl_xor_sync(~0u, 100 + lane(), 13); }>();
    const auto cross4 = each_thread<int, [] { return __shfl_xor_sync(~0u, 100 + lane(), 6, 4); }>();
    for (int i = 0; i < 32; ++i) {
      const auto at = static_cast<std::size_t>(i);
      CHECK(any[at] == value(3 * i % 32));
      CHECK(group[at] == value(i / 8 * 8 + 3 * i % 8));
      CHECK(up[at] == value(i < 3 ? i : i - 3));
      CHECK(up8[at] == value(i % 8 < 3 ? i : i - 3));
      CHECK(down[at] == value(i + 5 > 31 ? i : i + 5));
      CHECK(down16[at] == value(i % 16 + 5 > 15 ? i : i + 5));
      CHECK(cross[at] == value(i ^ 13));
      // Lane 0 of a group of 4 asks for lane 6, in a higher group; lane 4 for lane 2, in a lower.
      CHECK(cross4[at] == value((i ^ 6) / 4 > i / 4 ? i : i ^ 6));
    }
    const auto wide = each_thread<double, [] { return __shfl_xor_sync(~0u, 0.5 * lane(), 31); }>();
    CHECK(wide[3] == 14.0);
  }
}

TEST_CASE("votes and reductions see all lanes") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    const auto ballot = each_thread<unsigned, [] { return __ballot_sync(~0u, lane() % 3 == 0); }>();
    const auto none = each_thread<int, [] { return __any_sync(~0u, lane() > 31); }>();
    const auto one = each_thread<int, [] { return __any_sync(~0u, lane() == 17); }>();
    const auto all = each_thread<int, [] { return __all_sync(~0u, 5 + lane()); }>();
    const auto not_all = each_thread<int, [] { return __all_sync(~0u, lane()); }>();
    const auto sum = each_thread<int, [] { return __reduce_add_sync(~0u, lane() - 20); }>();
    const auto lowest = each_thread<int, [] { return __reduce_min_sync(~0u, 7 - lane()); }>();
    const auto highest =
        each_thread<unsigned, [] { return __reduce_max_sync(~0u, 7u - threadIdx.x); }>();
    const auto active = each_thread<unsigned, [] { return __activemask(); }>();
    for (std::size_t i = 0; i < 32; ++i) {
      CHECK(ballot[i] == 0x49249249u);
      CHECK(none[i] == 0);
      CHECK(one[i] == 1);
      CHECK(all[i] == 1);
      CHECK(not_all[i] == 0);
      CHECK(sum[i] == 496 - 640);
      CHECK(lowest[i] == 7 - 31);
      CHECK(highest[i] == ~0u);
      CHECK(active[i] == 1u << i);
    }
  }
}

TEST_CASE("parts of a warp work on their own, and lanes that returned are not waited for") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    const auto halves = each_thread<int, [] {
      int sum = lane();
      if (lane() < 16) {
        for (int i = 1; i < 16; i *= 2) sum += __shfl_xor_sync(0x0000ffff, sum, i);
        __syncwarp(0x0000ffff);
      } else {
        sum = __reduce_add_sync(0xffff0000, sum);
      }
      return sum;
    }>();
    for (std::size_t i = 0; i < 32; ++i) CHECK(halves[i] == (i < 16 ? 120 : 376));

    // 40 threads: the second warp has 8 lanes, of which one returns before the vote.
    const auto few =
        each_thread<unsigned, [] { return threadIdx.x == 35 ? 0u : __ballot_sync(~0u, 1); }>(40);
    CHECK(few[0] == ~0u);
    CHECK(few[34] == 0xf7u);
    CHECK(few[39] == 0xf7u);
  }
}

TEST_CASE("what a warp-wide operation may not do is reported") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CAPTURE(schedule.name());
    const auto not_named = [] {
      each_thread<int, [] { return __shfl_sync(0x7fffffff, lane(), 0); }>();
    };
    CHECK_FAILS(not_named(), "does not name the calling lane 31");
    const auto outside = [] {
      each_thread<int, [] { return lane() < 16 ? __shfl_down_sync(0xffff, lane(), 1) : 0; }>();
    };
    CHECK_FAILS(outside(), "__shfl_down_sync: lane 15 reads lane 16, which does not take part");
    const auto returned = [] {
      each_thread<int, [] { return lane() == 9 ? 0 : __shfl_sync(~0u, lane(), 9); }>();
    };
    CHECK_FAILS(returned(), "reads lane 9, which does not take part");
    const auto masks = [] {
      each_thread<int, [] { return __any_sync(lane() == 4 ? 0xff : ~0u, 1); }>();
    };
    CHECK_FAILS(masks(), "with mask 0xff");
    const auto different = [] {
      each_thread<int, [] { return lane() % 2 ? __any_sync(~0u, 1) : __all_sync(~0u, 1); }>();
    };
    CHECK_FAILS(different(), "which the mask names, waits in __a");
    const auto width = [] { each_thread<int, [] { return __shfl_sync(~0u, lane(), 0, 12); }>(); };
    CHECK_FAILS(width(), "width 12 is not a power of two");
  }
}

struct Exchange {
  int values[32];
};

/// A warp that relies on running in step, which it must not.
template <bool fenced>
__global__ void exchange_kernel(int* y) {
  auto& shared = shared_storage<Exchange>();
  shared.values[lane()] = lane();
  if constexpr (fenced) __syncwarp();
  y[lane()] = shared.values[31 - lane()];
}

TEST_CASE("a missing __syncwarp shows") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    const DeviceArray<int> y(32);
    const auto right = [&] {
      const std::vector<int> values = y.values();
      for (int i = 0; i < 32; ++i)
        if (values[static_cast<std::size_t>(i)] != 31 - i) return false;
      return true;
    };
    launch<exchange_kernel<true>>(1, 32, sizeof(Exchange), nullptr, y.data());
    CHECK(right());
    launch<exchange_kernel<false>>(1, 32, sizeof(Exchange), nullptr, y.data());
    CHECK_FALSE(right());
  }
}

struct Counters {
  unsigned sum, most, least, bits, kept, tickets;
  int signed_least, unused;
  unsigned long long wide;
  float single;
};

__global__ void count_kernel(Counters* counters) {
  const unsigned id = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&counters->sum, id);
  atomicMax(&counters->most, id);
  atomicMin(&counters->least, id + 5);
  atomicOr(&counters->bits, 1u << id % 32);
  atomicAnd(&counters->kept, ~(1u << id % 7));
  atomicMin(&counters->signed_least, -static_cast<int>(id));
  atomicAdd(&counters->wide, 1ull << 33);
  atomicAdd(&counters->single, 1.0f);
  unsigned seen = atomicAdd(&counters->tickets, 0);
  for (unsigned before; (before = atomicCAS(&counters->tickets, seen, seen + 1)) != seen;)
    seen = before;
  __threadfence();
}

TEST_CASE("atomic operations of many blocks at once lose nothing") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    const DeviceArray<Counters> counters(
        std::vector<Counters>{{0, 0, ~0u, 0, ~0u, 0, 0, 0, 0, 0.0f}});
    launch<count_kernel>(20, 100, 0, nullptr, counters.data());
    const Counters c = counters.values()[0];
    CHECK(c.sum == 2000u * 1999 / 2);
    CHECK(c.most == 1999);
    CHECK(c.least == 5);
    CHECK(c.bits == ~0u);
    CHECK(c.kept == ~0x7fu);
    CHECK(c.signed_least == -1999);
    CHECK(c.wide == 2000ull << 33);
    CHECK(c.single == 2000.0f);
    CHECK(c.tickets == 2000);
  }
}

TEST_CASE("what is not a number is the one that GPUs make, and nothing else changes") {
  const float payload = __uint_as_float(0x7fc12345), infinity = __uint_as_float(0x7f800000);
  for (const float made :
       {__fadd_rn(payload, 1.0f), __fmul_rn(0.0f, infinity), __fmaf_rn(1.0f, payload, 1.0f),
        __fsqrt_rn(-1.0f), __fdiv_rn(0.0f, 0.0f), __fsub_rn(infinity, infinity)})
    CHECK(__float_as_uint(made) == 0x7fffffffu);
  CHECK(__fmaf_rn(1.0f + 0x1p-23f, 1.0f - 0x1p-23f, -1.0f) == -0x1p-46f);
  CHECK(__umulhi(0xffffffffu, 0xfffffffeu) == 0xfffffffdu);
  CHECK(__popc(0xf0f0) == 8);
  CHECK(__clz(1) == 31);
  CHECK(__ffs(8) == 4);
  CHECK(__ffs(0) == 0);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
