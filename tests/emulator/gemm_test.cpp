#include "tests/emulator/gemm.cuh"

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/emulator/sanitizer.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

/// bf16 of small integers: every product and every sum is exact.
std::vector<std::uint16_t> small_integers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint16_t> values(count);
  for (std::uint16_t& value : values) {
    const auto number = static_cast<float>(static_cast<int>(random() % 9) - 4);
    value = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(number) >> 16);
  }
  return values;
}

double number(std::uint16_t bf16) { return std::bit_cast<float>(std::uint32_t{bf16} << 16); }

struct Problem {
  GemmShape shape;
  std::vector<std::uint16_t> a, b;
  std::vector<float> expected;

  explicit Problem(GemmShape s)
      : shape(s),
        a(small_integers(static_cast<std::size_t>(s.m) * static_cast<std::size_t>(s.k), 1)),
        b(small_integers(static_cast<std::size_t>(s.n) * static_cast<std::size_t>(s.k), 2)) {
    const auto at = [&](const std::vector<std::uint16_t>& matrix, int row, int k) {
      return number(matrix[static_cast<std::size_t>(row * shape.k + k)]);
    };
    for (int m = 0; m < shape.m; ++m)
      for (int n = 0; n < shape.n; ++n) {
        double sum = 0.0;
        for (int k = 0; k < shape.k; ++k) sum += at(a, m, k) * at(b, n, k);
        expected.push_back(static_cast<float>(sum));
      }
  }

  /// How many results are wrong.
  template <GemmFault fault = GemmFault::none>
  int wrong() const {
    const DeviceArray<std::uint16_t> device_a(a), device_b(b);
    const DeviceArray<float> device_c(expected.size());
    launch<gemm_kernel<fault>>(dim3(static_cast<unsigned>((shape.n + 63) / 64),
                                    static_cast<unsigned>((shape.m + 63) / 64)),
                               gemm::threads, sizeof(gemm::Storage<fault>), nullptr, shape,
                               device_a.data(), device_b.data(), device_c.data());
    const std::vector<float> c = device_c.values();
    int count = 0;
    for (std::size_t i = 0; i < c.size(); ++i) count += c[i] != expected[i];
    return count;
  }
};

TEST_CASE("a pipelined tensor-core product is exact under every schedule") {
  for (const GemmShape shape : {GemmShape{100, 72, 104}, {64, 64, 32}, {1, 1, 8}, {65, 130, 160}}) {
    const Problem problem(shape);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      CAPTURE(schedule.name());
      CHECK(problem.wrong() == 0);
    }
  }
}

TEST_CASE("its swizzle leaves no bank conflicts, and without it there are some") {
  const Problem problem({64, 64, 64});
  Settings counting = settings();
  counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  reset_bank_tally();
  CHECK(problem.wrong() == 0);
  // 4 warps, 2 tiles, 2 steps, 4 loads of 4 matrices
  CHECK(bank_tally().phases == 4 * 2 * 2 * 4 * 4);
  CHECK(bank_tally().conflicts == 0);
  reset_bank_tally();
  CHECK(problem.wrong<GemmFault::no_swizzle>() == 0);
  // Rows are 64 bytes: of eight rows, every other one begins at the same bank.
  CHECK(bank_tally().phases == 4 * 2 * 2 * 4 * 4);
  CHECK(bank_tally().conflicts == 3 * bank_tally().phases);
}

TEST_CASE("mistakes in the pipeline give wrong results under some schedule") {
  const Problem problem({64, 64, 160});
  const auto wrong_schedules = [&]<GemmFault fault>() {
    int count = 0;
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      count += problem.wrong<fault>() > 0;
    }
    return count;
  };
  constexpr int schedules = std::size(adversarial_schedules);
  CHECK(wrong_schedules.operator()<GemmFault::no_wait>() == schedules);
  CHECK(wrong_schedules.operator()<GemmFault::short_ring>() == schedules);
  CHECK(wrong_schedules.operator()<GemmFault::no_barrier>() > 0);
}

TEST_CASE("what comes or goes too early is a race under any schedule") {
  if (address_sanitizer) return;
  const Problem problem({64, 64, 160});
  Settings checking = settings();
  checking.check_accesses = true;
  const WithSettings with(checking);
  CHECK(problem.wrong() == 0);
  CHECK_FAILS(problem.wrong<GemmFault::short_ring>(), "a race");
  CHECK_FAILS(problem.wrong<GemmFault::no_barrier>(), "a race");
}

TEST_CASE("a copy that nobody waits for is not a number") {
  const Problem problem({64, 64, 32});
  CHECK(problem.wrong<GemmFault::no_wait>() == 64 * 64);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
