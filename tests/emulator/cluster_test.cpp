#include "kernels/cuda/ptx/cluster.cuh"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/ptx/tma.cuh"
#include "kernels/emulator/sanitizer.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/emulator/sm_90_settings.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

/// What a run says: empty where it fails in nothing.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

// ---- The barrier, and shared memory of peers

/// How each block tells its rank to the one before it, right or wrong.
enum class Exchange {
  reads,             // of the other's memory, between barriers
  no_first_barrier,  // before which the other need not have written
  no_last_barrier,   // before which the other must not return
  writes,            // to the other's memory, between barriers
  before_start,      // where the other need not run yet
  both_write,        // to the same block
  hands_over,        // written to the other, which waits for its mbarrier
  early_arrival,     // at the other's mbarrier, before the word is written
  no_init_fence,
  arrives_twice,
  only_waits,
  no_such_block,
  early_return,  // of half the threads
  one_returns,   // the block that others read, without a barrier
};

struct ExchangeStorage {
  std::uint64_t barrier;
  unsigned word, came;
};

__global__ void exchange_kernel(Exchange how, unsigned* y) {
  auto& shared = shared_storage<ExchangeStorage>();
  const unsigned rank = ptx::cluster_rank(), thread = threadIdx.x, other = rank ^ 1;
  const bool through_barrier = how == Exchange::hands_over || how == Exchange::early_arrival ||
                               how == Exchange::no_init_fence;
  if (thread == 0) {
    shared.word = 10 + rank;
    ptx::mbarrier_init(&shared.barrier, 1);
    if (how != Exchange::no_init_fence) ptx::fence_mbarrier_init();
  }
  if (how == Exchange::early_return && thread >= 32) return;
  if (how == Exchange::only_waits) ptx::cluster_wait();
  if (how != Exchange::no_first_barrier && how != Exchange::before_start) {
    ptx::cluster_arrive();
    if (how == Exchange::arrives_twice) ptx::cluster_arrive();
    ptx::cluster_wait();
  }
  if (thread == 0) {
    const auto send = [&](unsigned to) { *ptx::in_peer(&shared.came, to) = 10 + rank; };
    if (how == Exchange::no_such_block) send(2);
    if (how == Exchange::early_arrival) ptx::mbarrier_arrive_in_peer(&shared.barrier, other);
    if (through_barrier || how == Exchange::writes || how == Exchange::before_start) send(other);
    if (how == Exchange::both_write) send(1);
    if (how == Exchange::hands_over || how == Exchange::no_init_fence)
      ptx::mbarrier_arrive_in_peer(&shared.barrier, other);
    const bool reads = how == Exchange::reads || how == Exchange::no_first_barrier ||
                       how == Exchange::no_last_barrier || how == Exchange::early_return ||
                       (how == Exchange::one_returns && rank == 0);
    if (reads) shared.came = *ptx::in_peer(&shared.word, other);
    if (how == Exchange::one_returns && rank == 1) shared.came = 10;
    if (through_barrier) ptx::mbarrier_wait_for_peers(&shared.barrier, 0);
  }
  if (!through_barrier && how != Exchange::no_last_barrier && how != Exchange::one_returns) {
    ptx::cluster_arrive();
    ptx::cluster_wait();
  }
  if (thread == 0) y[blockIdx.x] = shared.came;
}

std::vector<unsigned> exchanged(Exchange how) {
  const DeviceArray<unsigned> y(4);
  launch<exchange_kernel>(Extent(4).in_clusters_of(2), 64, sizeof(ExchangeStorage), nullptr, how,
                          y.data());
  return y.values();
}

const std::vector<unsigned> all_exchanged = {11, 10, 11, 10};

TEST_CASE("blocks of a cluster exchange words between barriers") {
  for (const Schedule& schedule : adversarial_schedules) {
    for (const bool checks : {false, true}) {
      const WithSettings with(sm_90_with(schedule, checks));
      CAPTURE(schedule.name());
      CAPTURE(checks);
      CHECK(exchanged(Exchange::reads) == all_exchanged);
      CHECK(exchanged(Exchange::writes) == all_exchanged);
      CHECK(exchanged(Exchange::hands_over) == all_exchanged);
      CHECK(exchanged(Exchange::early_return) == all_exchanged);
    }
  }
}

TEST_CASE("what blocks of a cluster do wrong with each other's memory is noticed") {
  if (address_sanitizer) return;  // in whose place accesses are not looked at
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(sm_90_with(schedule, true));
    CAPTURE(schedule.name());
    CHECK_FAILS(exchanged(Exchange::no_first_barrier), "its cluster");
    CHECK_FAILS(exchanged(Exchange::no_last_barrier), "its cluster");
    CHECK_FAILS(exchanged(Exchange::before_start),
                "before its block has waited for the cluster's barrier");
    CHECK_FAILS(exchanged(Exchange::both_write), "a race");
    CHECK_FAILS(exchanged(Exchange::early_arrival), "");
    CHECK_FAILS(exchanged(Exchange::one_returns), "its cluster");
  }
  const auto says = [](Order order, const std::string& what) {
    const WithSettings with(sm_90_with({order}, true));
    CHECK_FAILS(exchanged(Exchange::no_last_barrier), what);
  };
  says(Order::first_warp, "of block 0 of its cluster after that has returned");
  says(Order::round_robin, "nothing says that accesses of thread (0,0,0) of block");
}

TEST_CASE("mistakes at a cluster's barrier, and with its blocks, are reported") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(sm_90_with(schedule, false));
    CAPTURE(schedule.name());
    CHECK_FAILS(exchanged(Exchange::arrives_twice), "it has arrived and not waited since");
    CHECK_FAILS(exchanged(Exchange::only_waits), "barrier.cluster.wait: it has not arrived");
    CHECK_FAILS(exchanged(Exchange::no_such_block), "there is no block 2 in a cluster of 2");
    CHECK_FAILS(exchanged(Exchange::no_init_fence), "with no fence.mbarrier_init behind it");
  }
  const DeviceArray<unsigned> y(4);
  const auto start = [&](unsigned blocks, unsigned cluster) {
    launch<exchange_kernel>(Extent(blocks).in_clusters_of(cluster), 64, sizeof(ExchangeStorage),
                            nullptr, Exchange::reads, y.data());
  };
  const WithSettings with(sm_90_with({}, false));
  CHECK_FAILS(start(3, 2), "clusters of 2 of (3,1,1) blocks");
  CHECK_FAILS(start(16, 16), "clusters of 16 of (16,1,1) blocks");
  const WithSettings older(sm_89);
  CHECK_FAILS(start(4, 2), "sm_89 has none");
}

__global__ void waiting_kernel() {
  auto& shared = shared_storage<ExchangeStorage>();
  ptx::mbarrier_init(&shared.barrier, 1);
  if (ptx::cluster_rank() == 1) ptx::mbarrier_wait(&shared.barrier, 0);
}

TEST_CASE("a block of a cluster that waits for a peer in vain is a deadlock that names it") {
  const WithSettings with(sm_90_with({}, false));
  const std::string error = error_of([] {
    launch<waiting_kernel>(Extent(2).in_clusters_of(2), 1, sizeof(ExchangeStorage), nullptr);
    cudaDeviceSynchronize();
  });
  CHECK_MESSAGE(error.find("deadlock") != std::string::npos, error);
  CHECK_MESSAGE(error.find("block 1 of the cluster") != std::string::npos, error);
}

// ---- Copies to several blocks

/// A ring of boxes, half of each brought by either block to both, whose values each block adds up.
enum class Ring {
  right,
  no_first_barrier,  // the other's mbarriers need not be there
  no_last_barrier,   // the other arrives at barriers of who has returned
  no_expect,         // block 1 expects no bytes
  half_expected,     // both expect what they bring themselves
  own_release,       // slots count the consumers of their own block alone
  own_half,          // block 1 brings its half to itself alone
  third_block,       // which a cluster of two has not
};

constexpr int ring_slots = 2, ring_half = 64 * 8, ring_box = 2 * ring_half;

struct RingStorage {
  alignas(1024) std::uint16_t box[ring_slots][ring_box];
  std::uint64_t full[ring_slots], empty[ring_slots];
};

__global__ void ring_kernel(const __grid_constant__ TensorMap map, Ring ring, int steps,
                            unsigned* y) {
  auto& shared = shared_storage<RingStorage>();
  const unsigned rank = ptx::cluster_rank(), lane = threadIdx.x % 32;
  if (threadIdx.x == 0) {
    for (int i = 0; i < ring_slots; ++i) {
      ptx::mbarrier_init(&shared.full[i], 1);
      ptx::mbarrier_init(&shared.empty[i], ring == Ring::own_release ? 1 : 2);
    }
    ptx::fence_mbarrier_init();
    ptx::fence_proxy_async();
  }
  if (ring == Ring::no_first_barrier) {
    __syncthreads();
  } else {
    ptx::cluster_arrive();
    ptx::cluster_wait();
  }
  unsigned sum = 0;
  for (int step = 0; step < steps; ++step) {
    const int slot = step % ring_slots;
    const unsigned parity = static_cast<unsigned>(step / ring_slots) % 2;
    std::uint64_t* const full = &shared.full[slot];
    if (threadIdx.x == 32) {
      ptx::mbarrier_wait_for_peers(&shared.empty[slot], parity ^ 1);
      constexpr std::uint32_t bytes = ring_box * 2;
      if (ring == Ring::no_expect && rank == 1)
        ptx::mbarrier_arrive(full);
      else
        ptx::mbarrier_arrive_expect(full, ring == Ring::half_expected ? bytes / 2 : bytes);
      const bool alone = ring == Ring::own_half && rank == 1;
      const unsigned blocks = ring == Ring::third_block ? 7 : alone ? 2 : 3;
      ptx::multicast_box(shared.box[slot] + rank * ring_half, map, full, 0, 0,
                         step * 16 + static_cast<int>(rank) * 8,
                         static_cast<std::uint16_t>(blocks));
    }
    if (threadIdx.x < 32) {
      ptx::mbarrier_wait(full, parity);
      for (unsigned i = lane; i < ring_box; i += 32) sum += shared.box[slot][i];
      __syncwarp();
      if (ring == Ring::own_release ? lane == rank : lane < 2)
        ptx::mbarrier_arrive_in_peer(&shared.empty[slot], lane);
    }
  }
  if (ring != Ring::no_last_barrier) {
    ptx::cluster_arrive();
    ptx::cluster_wait();
  }
  if (threadIdx.x < 32) {
    sum = __reduce_add_sync(~0u, sum);
    if (lane == 0) y[blockIdx.x] = sum;
  }
}

/// Whether both blocks of both clusters add up all values.
bool adds_up(Ring ring) {
  constexpr int steps = 5, rows = steps * 16;
  std::vector<std::uint16_t> values;
  unsigned expected = 0;
  for (unsigned i = 0; i < rows * 64; ++i) {
    values.push_back(static_cast<std::uint16_t>(i * 7 % 1000));
    expected += values.back();
  }
  const DeviceArray<std::uint16_t> x(values);
  const DeviceArray<unsigned> y(4);
  const TensorBox box = {.address = x.data(),
                         .rank = 3,
                         .size = {64, 1, rows},
                         .stride = {2, 128, 128},
                         .box = {64, 1, 8}};
  launch<ring_kernel>(Extent(4).in_clusters_of(2), 64, sizeof(RingStorage), nullptr, encode(box),
                      ring, steps, y.data());
  return y.values() == std::vector<unsigned>(4, expected);
}

/// Whether a run fails or makes wrong sums.
bool notices(Ring ring) {
  bool right = false;
  return !error_of([&] { right = adds_up(ring); }).empty() || !right;
}

TEST_CASE("copies bring data and bytes to the same place of every block that they name") {
  for (const Schedule& schedule : adversarial_schedules) {
    for (const bool checks : {false, true}) {
      const WithSettings with(sm_90_with(schedule, checks));
      CAPTURE(schedule.name());
      CAPTURE(checks);
      CHECK(adds_up(Ring::right));
    }
  }
}

TEST_CASE("what is wrong with copies to several blocks is noticed under every schedule") {
  if (address_sanitizer) return;  // in whose place accesses are not looked at
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(sm_90_with(schedule, true));
    CAPTURE(schedule.name());
    for (const Ring ring : {Ring::no_first_barrier, Ring::no_last_barrier, Ring::no_expect,
                            Ring::half_expected, Ring::own_release, Ring::own_half}) {
      CAPTURE(static_cast<int>(ring));
      CHECK(notices(ring));
    }
    CHECK_FAILS(adds_up(Ring::third_block), "there is no block 2 in a cluster of 2");
  }
}

TEST_CASE("most of that is noticed without a look at every access") {
  for (const Ring ring : {Ring::no_first_barrier, Ring::no_last_barrier, Ring::no_expect,
                          Ring::half_expected, Ring::own_release, Ring::own_half}) {
    CAPTURE(static_cast<int>(ring));
    int noticed = 0;
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(sm_90_with(schedule, false));
      noticed += notices(ring);
    }
    CHECK(noticed > 0);
  }
}

// ---- Bytes from block to block

/// A warp of each block writes its half of a place and sends it to the other block, step after
/// step; both add up all of it, and what a copy brought from device memory.
enum class Sent {
  right,
  no_fence,           // between the words and the copy that reads them
  no_order,           // of the warp's lanes, before one sends
  no_wait_for_empty,  // the place is in use there
  own_release,        // of the own block's place alone
  early_write,        // of words that a copy still reads
  no_wait_for_full,
  no_last_barrier,  // the other still reads what was sent
  other_lane,       // sends, which the emulator does not take
  odd_bytes,
};

struct SentStorage {
  alignas(16) unsigned half[2][32], brought[32];
  std::uint64_t full, empty, copied;
};

__global__ void sending_kernel(Sent how, int steps, const unsigned* x, unsigned* y) {
  auto& shared = shared_storage<SentStorage>();
  const unsigned rank = ptx::cluster_rank(), lane = threadIdx.x;
  if (lane == 0) {
    ptx::mbarrier_init(&shared.full, 1);
    ptx::mbarrier_init(&shared.empty, how == Sent::own_release ? 1 : 2);
    ptx::mbarrier_init(&shared.copied, 1);
    ptx::fence_mbarrier_init();
    ptx::fence_proxy_async();
  }
  ptx::cluster_arrive();
  ptx::cluster_wait();
  if (lane == 0) {
    ptx::mbarrier_arrive_expect(&shared.copied, sizeof shared.brought);
    ptx::copy_bytes(shared.brought, x, sizeof shared.brought, &shared.copied);
  }
  unsigned sum = 0;
  for (int step = 0; step < steps; ++step) {
    const unsigned parity = static_cast<unsigned>(step) % 2;
    if (how != Sent::no_wait_for_empty) ptx::mbarrier_wait_for_peers(&shared.empty, parity ^ 1);
    shared.half[rank][lane] = 1000 * rank + static_cast<unsigned>(step) + lane;
    if (how != Sent::no_fence) ptx::fence_proxy_async();
    if (how != Sent::no_order) __syncwarp();
    if (lane == (how == Sent::other_lane ? 1 : 0)) {
      ptx::mbarrier_arrive_expect(&shared.full, sizeof shared.half[0]);
      const std::uint32_t bytes = sizeof shared.half[0] - (how == Sent::odd_bytes ? 4 : 0);
      ptx::send_bytes(shared.half[rank], bytes, &shared.full, rank ^ 1);
    }
    if (how == Sent::early_write) shared.half[rank][lane] = 0;
    if (how != Sent::no_wait_for_full) ptx::mbarrier_wait(&shared.full, parity);
    for (const auto& half : shared.half) sum += half[lane];
    __syncwarp();
    if (how == Sent::own_release ? lane == rank : lane < 2)
      ptx::mbarrier_arrive_in_peer(&shared.empty, lane);
  }
  ptx::mbarrier_wait(&shared.copied, 0);
  sum += shared.brought[lane];
  if (how != Sent::no_last_barrier) {
    ptx::cluster_arrive();
    ptx::cluster_wait();
  }
  sum = __reduce_add_sync(~0u, sum);
  if (lane == 0) y[blockIdx.x] = sum;
}

/// Whether all blocks add up all words.
bool adds_up(Sent how) {
  constexpr unsigned steps = 5, lanes = 496;  // their sum
  std::vector<unsigned> values;
  for (unsigned i = 0; i < 32; ++i) values.push_back(i);
  const DeviceArray<unsigned> x(values), y(4);
  launch<sending_kernel>(Extent(4).in_clusters_of(2), 32, sizeof(SentStorage), nullptr, how,
                         static_cast<int>(steps), x.data(), y.data());
  const unsigned expected = steps * (32 * 1000 + 2 * lanes) + 2 * 32 * 10 + lanes;
  return y.values() == std::vector<unsigned>(4, expected);
}

bool notices(Sent how) {
  bool right = false;
  return !error_of([&] { right = adds_up(how); }).empty() || !right;
}

TEST_CASE("bytes are sent to the same place of the other block, and copied from device memory") {
  for (const Schedule& schedule : adversarial_schedules) {
    for (const bool checks : {false, true}) {
      const WithSettings with(sm_90_with(schedule, checks));
      CAPTURE(schedule.name());
      CAPTURE(checks);
      CHECK(adds_up(Sent::right));
    }
  }
}

TEST_CASE("what is wrong with bytes that are sent is noticed under every schedule") {
  if (address_sanitizer) return;  // in whose place accesses are not looked at
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(sm_90_with(schedule, true));
    CAPTURE(schedule.name());
    CHECK_FAILS(adds_up(Sent::no_fence), "with no fence.proxy.async");
    for (const Sent how : {Sent::no_order, Sent::no_wait_for_empty, Sent::own_release,
                           Sent::early_write, Sent::no_wait_for_full, Sent::no_last_barrier}) {
      CAPTURE(static_cast<int>(how));
      CHECK(notices(how));
    }
    CHECK_FAILS(adds_up(Sent::other_lane), "first lane of a warp");
    CHECK_FAILS(adds_up(Sent::odd_bytes), "124 bytes from");
  }
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
