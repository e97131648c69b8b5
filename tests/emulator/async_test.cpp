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

// ---- mbarrier

struct Meeting {
  std::uint64_t barrier, other;
  int word, answer;
};

/// What two threads of different warps do, right or wrong.
enum class Meet {
  hand_over,        // a word from the first to the second, which waits
  no_wait,          // which does not
  wrong_barrier,    // which waits for another
  after_arrival,    // the first writes after it has arrived
  through_a_third,  // the word goes on, by another barrier
  two_phases,       // the second looks up after the next phase
  too_many,         // arrivals
  never,            // nobody arrives
  not_initialised,
  initialised_twice,
  written_over,
  no_arrivals_expected,
  misaligned,
};

__global__ void meeting_kernel(Meet meet, int* y) {
  auto& shared = shared_storage<Meeting>();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0 && meet != Meet::not_initialised) {
    const unsigned arrivals = meet == Meet::no_arrivals_expected ? 0 : 1;
    ptx::mbarrier_init(&shared.barrier, arrivals);
    if (meet == Meet::initialised_twice) ptx::mbarrier_init(&shared.barrier, 1);
    ptx::mbarrier_init(&shared.other, 1);
    if (meet == Meet::written_over) shared.barrier = 1;
  }
  __syncthreads();
  if (thread == 0) {
    if (meet != Meet::after_arrival) shared.word = 7;
    if (meet == Meet::misaligned)
      ptx::mbarrier_arrive(reinterpret_cast<std::uint64_t*>(&shared.word - 1));
    if (meet != Meet::never) ptx::mbarrier_arrive(&shared.barrier);
    if (meet == Meet::after_arrival) shared.word = 7;
    if (meet == Meet::two_phases) ptx::mbarrier_arrive(&shared.barrier);
    if (meet == Meet::too_many) {
      ptx::mbarrier_arrive_expect(&shared.barrier, 16);
      ptx::mbarrier_arrive(&shared.barrier);
    }
  } else if (thread == 32) {
    if (meet != Meet::no_wait && meet != Meet::wrong_barrier)
      ptx::mbarrier_wait(&shared.barrier, 0);
    if (meet == Meet::through_a_third)
      ptx::mbarrier_arrive(&shared.other);
    else if (meet == Meet::wrong_barrier)
      ptx::mbarrier_wait(&shared.other, 1);
    if (meet != Meet::through_a_third) *y = shared.word;
  } else if (thread == 64 && meet == Meet::through_a_third) {
    ptx::mbarrier_wait(&shared.other, 0);
    *y = shared.word;
  }
}

int met(Meet meet) {
  const DeviceArray<int> y(1);
  launch<meeting_kernel>(1, 96, sizeof(Meeting), nullptr, meet, y.data());
  return y.values()[0];
}

TEST_CASE("who waited for an mbarrier finds what was done before the arrivals") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(sm_90_with(schedule, true));
    CAPTURE(schedule.name());
    CHECK(met(Meet::hand_over) == 7);
    CHECK(met(Meet::through_a_third) == 7);
    if (address_sanitizer) continue;  // in whose place accesses are not looked at
    CHECK_FAILS(met(Meet::no_wait), "a race");
    CHECK_FAILS(met(Meet::wrong_barrier), "a race");
    CHECK_FAILS(met(Meet::after_arrival), "a race");
  }
}

TEST_CASE("a missed phase, and other mistakes with mbarriers, are reported") {
  {
    const WithSettings with(sm_90_with({Order::first_warp}, false));
    CHECK_FAILS(met(Meet::two_phases), "deadlock");
    CHECK_FAILS(met(Meet::two_phases), "lanes 0 wait in mbarrier.try_wait");
    CHECK_FAILS(met(Meet::two_phases), "mbarrier at offset 0: phase 2 waits for 1 arrivals");
  }
  {
    const WithSettings with(sm_90_with({Order::last_warp}, false));
    CHECK_FAILS(met(Meet::two_phases), "deadlock");  // woken, but late
  }
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(sm_90_with(schedule, false));
    CAPTURE(schedule.name());
    CHECK_FAILS(met(Meet::too_many), "expects 1 arrivals in a phase, and they were there");
    CHECK_FAILS(met(Meet::never), "phase 0 waits for 1 arrivals and 0 bytes");
    CHECK_FAILS(met(Meet::not_initialised), "no mbarrier was initialised at offset 0");
    CHECK_FAILS(met(Meet::initialised_twice), "there is an mbarrier at offset 0 already");
    CHECK_FAILS(met(Meet::written_over), "something wrote over the mbarrier at offset 0");
    CHECK_FAILS(met(Meet::no_arrivals_expected), "mbarrier.init: 0 arrivals");
    CHECK_FAILS(met(Meet::misaligned), "is not a multiple of 8");
  }
}

// ---- Copies of boxes

constexpr int most_box = 8192;  // elements

struct BoxStorage {
  alignas(1024) std::uint16_t box[most_box];
  std::uint64_t barrier;
};

struct BoxCase {
  int rank;
  int start[4];
  int elements, row, swizzle;
};

__global__ void box_kernel(const __grid_constant__ TensorMap map, BoxCase box, int target,
                           std::uint16_t* y) {
  auto& shared = shared_storage<BoxStorage>();
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&shared.barrier, 1);
    ptx::fence_proxy_async();
    ptx::mbarrier_arrive_expect(&shared.barrier, static_cast<std::uint32_t>(box.elements) * 2);
    std::uint16_t* const to = shared.box + target;
    const auto& s = box.start;
    if (box.rank == 2) ptx::copy_box(to, map, &shared.barrier, s[0], s[1]);
    if (box.rank == 3) ptx::copy_box(to, map, &shared.barrier, s[0], s[1], s[2]);
    if (box.rank == 4) ptx::copy_box(to, map, &shared.barrier, s[0], s[1], s[2], s[3]);
  }
  __syncthreads();
  ptx::mbarrier_wait(&shared.barrier, 0);
  for (int i = static_cast<int>(threadIdx.x); i < box.elements; i += 32) {
    // Chunk c of a row of 128 bytes lies at c xor (row mod 8); rows of 64 (32) bytes share such a
    // row by twos (fours), and one or two bits less change.
    const int byte = 2 * i, wide = byte / 128 % 8, chunks = box.swizzle / 16;
    const int chunk = box.swizzle == 0 ? 0 : wide % chunks;
    y[i] = shared.box[(byte ^ chunk * 16) / 2];
  }
}

struct BoxProblem {
  TensorBox box;
  int start[4];
};

/// The tensor's elements are numbers from 1 on, packed, innermost dimension first.
void check_box(const BoxProblem& problem) {
  TensorBox box = problem.box;
  std::int64_t size = 1;
  for (int i = 0; i < box.rank; ++i) {
    box.stride[i] = 2 * size;
    size *= box.size[i];
  }
  std::vector<std::uint16_t> x;
  for (int i = 0; i < size; ++i) x.push_back(static_cast<std::uint16_t>(i + 1));
  const DeviceArray<std::uint16_t> device_x(x);
  box.address = device_x.data();
  BoxCase run = {box.rank, {}, static_cast<int>(box.box_bytes() / 2), box.box[0], box.swizzle};
  std::copy_n(problem.start, 4, run.start);
  REQUIRE(run.elements <= most_box);
  const DeviceArray<std::uint16_t> y(static_cast<std::size_t>(run.elements));
  launch<box_kernel>(1, 32, sizeof(BoxStorage), nullptr, encode(box), run, 0, y.data());
  std::vector<std::uint16_t> expected;
  for (int i = 0; i < run.elements; ++i) {
    std::int64_t at = 0, rest = i, step = 1;
    bool inside = true;
    for (int d = 0; d < box.rank; ++d) {
      const std::int64_t position = problem.start[d] + rest % box.box[d];
      rest /= box.box[d];
      inside = inside && position >= 0 && position < box.size[d];
      at += position * step;
      step *= box.size[d];
    }
    expected.push_back(inside ? x[static_cast<std::size_t>(at)] : std::uint16_t{0});
  }
  CHECK(y.values() == expected);
}

TEST_CASE("boxes of tensors come swizzled, with zeros for what lies outside") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(sm_90_with(schedule, true));
    const auto box = [](int rank, std::vector<std::int64_t> size, std::vector<int> extents,
                        int swizzle) {
      TensorBox made;
      made.rank = rank, made.swizzle = swizzle;
      std::copy(size.begin(), size.end(), made.size);
      std::copy(extents.begin(), extents.end(), made.box);
      return made;
    };
    check_box({box(2, {128, 9}, {64, 9}, 128), {64, 0}});
    check_box({box(2, {96, 9}, {64, 16}, 128), {64, -3}});
    check_box({box(2, {40, 5}, {32, 8}, 64), {8, -1}});
    check_box({box(2, {40, 5}, {16, 8}, 32), {32, 2}});
    check_box({box(2, {24, 5}, {24, 4}, 0), {-8, 3}});
    check_box({box(3, {80, 3, 7}, {64, 1, 10}, 128), {64, 2, 0}});
    for (const int w : {-1, 0, 1})
      for (const int n : {0, 2, 3})
        check_box({box(4, {72, 5, 4, 3}, {64, 5, 4, 2}, 128), {64, w, -w, n}});
  }
}

TEST_CASE("copies of boxes from or to wrong places are reported") {
  const WithSettings with(sm_90_with({}, true));
  const DeviceArray<std::uint16_t> x(std::vector<std::uint16_t>(64 * 16)), y(64 * 16);
  TensorBox box;
  box.address = x.data(), box.rank = 2, box.size[0] = 64, box.size[1] = 16, box.stride[1] = 128;
  box.box[0] = 64, box.box[1] = 16;
  const auto run = [&](const TensorMap& map, int rank, int target) {
    launch<box_kernel>(1, 32, sizeof(BoxStorage), nullptr, map, BoxCase{rank, {}, 1024, 64, 128},
                       target, y.data());
  };
  CHECK_NOTHROW(run(encode(box), 2, 0));
  CHECK_FAILS(run(encode(box), 3, 0), "3 coordinates for a tensor of rank 2");
  CHECK_FAILS(run(TensorMap{}, 2, 0), "the operand is no tensor map");
  CHECK_FAILS(run(encode(box), 2, 8), "offset 16 in shared memory is not a multiple of 128");
  CHECK_FAILS(run(encode(box), 2, most_box), "do not lie in the block's");
  box.size[1] = 17;
  CHECK_FAILS(run(encode(box), 2, 0), "the tensor is not there: 2176 bytes at offset 0");
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
