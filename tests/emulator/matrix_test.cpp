#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/mma.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

int lane() { return static_cast<int>(threadIdx.x); }

// ---- ldmatrix

struct Tile {
  std::uint16_t values[4][8][8];
};

/// The value at (matrix, row, column) is 64 matrix + 8 row + column.
template <int count, bool transposed>
__global__ void ldmatrix_kernel(std::uint32_t* y) {
  auto& shared = shared_storage<Tile>();
  for (int i = lane(); i < 256; i += 32)
    shared.values[i / 64][i / 8 % 8][i % 8] = static_cast<std::uint16_t>(i);
  __syncwarp();
  std::uint32_t registers[count];
  ptx::ldmatrix<transposed>(registers, shared.values[lane() / 8][lane() % 8]);
  for (int m = 0; m < count; ++m) y[32 * m + lane()] = registers[m];
}

template <int count, bool transposed>
void check_ldmatrix() {
  const DeviceArray<std::uint32_t> y(32 * count);
  launch<ldmatrix_kernel<count, transposed>>(1, 32, sizeof(Tile), nullptr, y.data());
  const std::vector<std::uint32_t> values = y.values();
  for (std::uint32_t m = 0; m < count; ++m) {
    for (std::uint32_t g = 0; g < 8; ++g) {
      for (std::uint32_t t = 0; t < 4; ++t) {
        const std::uint32_t low = 64 * m + (transposed ? 8 * (2 * t) + g : 8 * g + 2 * t);
        const std::uint32_t high = low + (transposed ? 8 : 1);
        CHECK(values[32 * m + 4 * g + t] == (low | high << 16));
      }
    }
  }
}

TEST_CASE("ldmatrix deals rows and columns out as documented") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    check_ldmatrix<1, false>();
    check_ldmatrix<2, false>();
    check_ldmatrix<4, false>();
    check_ldmatrix<1, true>();
    check_ldmatrix<2, true>();
    check_ldmatrix<4, true>();
  }
}

enum class LoadMistake { outside, misaligned, half_a_warp };

__global__ void bad_ldmatrix_kernel(LoadMistake mistake) {
  auto& shared = shared_storage<Tile>();
  const std::uint16_t* row = shared.values[lane() / 8][lane() % 8];
  if (mistake == LoadMistake::outside) row += 64;
  if (mistake == LoadMistake::misaligned && lane() == 3) row += 4;
  if (mistake == LoadMistake::half_a_warp && lane() >= 16) return;
  std::uint32_t registers[4];
  ptx::ldmatrix(registers, row);
}

TEST_CASE("ldmatrix outside shared memory, across rows or with half a warp is reported") {
  const auto run = [](LoadMistake mistake) {
    launch<bad_ldmatrix_kernel>(1, 32, sizeof(Tile), nullptr, mistake);
  };
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CHECK_FAILS(run(LoadMistake::outside),
                "ldmatrix: 16 bytes at offset 512 do not lie in the block's 512 bytes");
    CHECK_FAILS(run(LoadMistake::misaligned), "offset 56 in shared memory is not a multiple of 16");
    CHECK_FAILS(run(LoadMistake::half_a_warp), "ldmatrix needs a whole warp");
  }
}

// ---- mma

/// One warp multiplies A (16 x k) by B (k x 8), fragments filled element by element from the map in
/// the PTX ISA manual.
template <class Format>
__global__ void mma_kernel(const typename Format::Element* a, const typename Format::Element* b,
                           const typename Format::Sum* c, typename Format::Sum* d) {
  constexpr int n = Format::per_register, k = 8 * n;
  const int g = lane() / 4, t = lane() % 4;
  std::uint32_t fragment_a[4], fragment_b[2];
  for (int j = 0; j < 4; ++j) {
    const int row = j % 2 == 0 ? g : g + 8, column = n * t + (j < 2 ? 0 : k / 2);
    fragment_a[j] = Format::pack(a + row * k + column, 1);
  }
  for (int j = 0; j < 2; ++j) fragment_b[j] = Format::pack(b + (n * t + j * k / 2) * 8 + g, 8);
  typename Format::Sum sum[4];
  for (int j = 0; j < 4; ++j) sum[j] = c[(g + j / 2 * 8) * 8 + 2 * t + j % 2];
  Format::multiply(sum, fragment_a, fragment_b);
  for (int j = 0; j < 4; ++j) d[(g + j / 2 * 8) * 8 + 2 * t + j % 2] = sum[j];
}

struct Bf16 {
  using Element = float;
  using Sum = float;
  static constexpr int per_register = 2;
  static std::uint32_t pack(const float* p, int stride) { return ptx::to_bf16x2(p[0], p[stride]); }
  static void multiply(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    ptx::mma_bf16(d, a, b);
  }
};
struct Tf32 {
  using Element = float;
  using Sum = float;
  static constexpr int per_register = 1;
  static std::uint32_t pack(const float* p, int) { return ptx::to_tf32(*p); }
  static void multiply(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    ptx::mma_tf32(d, a, b);
  }
};
struct S8 {
  using Element = int;
  using Sum = std::int32_t;
  static constexpr int per_register = 4;
  static std::uint32_t pack(const int* p, int stride) {
    std::uint32_t bits = 0;
    for (int i = 0; i < 4; ++i) bits |= static_cast<std::uint32_t>(p[i * stride] & 0xff) << 8 * i;
    return bits;
  }
  static void multiply(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                       const std::uint32_t (&b)[2]) {
    ptx::mma_s8(d, a, b);
  }
};

template <class Format>
void check_mma(int largest) {
  using Element = typename Format::Element;
  using Sum = typename Format::Sum;
  constexpr int k = 8 * Format::per_register;
  std::mt19937 random(5);
  const auto filled = [&]<class T>(T, int count) {
    std::vector<T> values;
    const auto range = static_cast<unsigned>(2 * largest + 1);
    for (int i = 0; i < count; ++i)
      values.push_back(static_cast<T>(static_cast<int>(random() % range) - largest));
    return values;
  };
  const auto a = filled(Element{}, 16 * k), b = filled(Element{}, k * 8);
  const auto c = filled(Sum{}, 16 * 8);
  const DeviceArray<Element> device_a(a), device_b(b);
  const DeviceArray<Sum> device_c(c), device_d(c.size());
  launch<mma_kernel<Format>>(1, 32, 0, nullptr, device_a.data(), device_b.data(), device_c.data(),
                             device_d.data());
  const std::vector<Sum> d = device_d.values();
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      const auto at = static_cast<std::size_t>(row * 8 + column);
      double sum = c[at];
      for (int i = 0; i < k; ++i)
        sum += static_cast<double>(a[static_cast<std::size_t>(row * k + i)]) *
               static_cast<double>(b[static_cast<std::size_t>(i * 8 + column)]);
      CHECK(static_cast<double>(d[at]) == sum);
    }
  }
}

TEST_CASE("matrix products of a warp are exact on integers") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    check_mma<Bf16>(120);
    check_mma<Tf32>(1000);
    check_mma<S8>(127);
  }
}

__global__ void edge_kernel(float* single, std::int32_t* wrapped) {
  // All of A is 0x7f7f7f7f: in s8 127, in tf32 a number with bits that tf32 does not have.
  const std::uint32_t a[4] = {0x7f7f7f7f, 0x7f7f7f7f, 0x7f7f7f7f, 0x7f7f7f7f};
  const std::uint32_t b[2] = {0x7f7f7f7f, 0x7f7f7f7f};
  std::int32_t sum[4] = {0x7fffffff, 0, 0, 0};
  ptx::mma_s8(sum, a, b);
  wrapped[lane()] = sum[0];
  if (single != nullptr) {
    float d[4] = {};
    ptx::mma_tf32(d, a, b);
    single[lane()] = d[0];
  }
}

TEST_CASE("sums of bytes wrap around, and numbers never rounded to tf32 are reported") {
  const DeviceArray<std::int32_t> wrapped(32);
  const DeviceArray<float> single(32);
  float* const none = nullptr;
  launch<edge_kernel>(1, 32, 0, nullptr, none, wrapped.data());
  CHECK(wrapped.values()[0] == std::numeric_limits<std::int32_t>::min() + 32 * 127 * 127 - 1);
  CHECK_FAILS(launch<edge_kernel>(1, 32, 0, nullptr, single.data(), wrapped.data()),
              "convert it by to_tf32");
}

TEST_CASE("conversions round as documented") {
  const auto bf16 = [](std::uint32_t bits) {
    return ptx::to_bf16x2(std::bit_cast<float>(bits), 0.0f);
  };
  CHECK(bf16(0x3f808000) == 0x3f80);  // a tie goes to even
  CHECK(bf16(0x3f818000) == 0x3f82);
  CHECK(bf16(0x3f808001) == 0x3f81);
  CHECK(bf16(0x7f7fffff) == 0x7f80);  // beyond the largest: infinity
  CHECK(bf16(0x00018000) == 0x0002);  // subnormal
  CHECK(bf16(0xff800001) == 0x7fff);  // not a number
  CHECK(ptx::to_bf16x2(1.0f, -2.0f) == 0xc0003f80);
  const auto tf32 = [](std::uint32_t bits) { return ptx::to_tf32(std::bit_cast<float>(bits)); };
  CHECK(tf32(0x3f801000) == 0x3f802000);  // a tie goes away from zero
  CHECK(tf32(0xbf801000) == 0xbf802000);
  CHECK(tf32(0x3f800fff) == 0x3f800000);
  CHECK(tf32(0x7f800000) == 0x7f800000);
  CHECK(std::isnan(std::bit_cast<float>(tf32(0x7f800001))));
}

// ---- cp.async

struct Slots {
  float values[4][32];
};

/// Three copies of 4, 8 or 16 bytes per thread, waited for one by one. `seen` takes what each
/// thread finds of its three copies after 0, 1, 2 and all waits.
template <int bytes>
__global__ void copy_kernel(const float* x, int source_bytes, float* seen) {
  auto& shared = shared_storage<Slots>();
  constexpr int floats = bytes / 4;
  const auto at = [&](int copy) { return &shared.values[copy][lane() * floats]; };
  for (int copy = 0; copy < 3; ++copy) {
    ptx::cp_async<bytes>(at(copy), x + (copy * 8 + lane()) * floats, source_bytes);
    ptx::cp_async_commit();
  }
  const auto look = [&](int step) {
    for (int copy = 0; copy < 3; ++copy)
      for (int i = 0; i < floats; ++i)
        seen[((step * 3 + copy) * 8 + lane()) * floats + i] = at(copy)[i];
  };
  look(0);
  ptx::cp_async_wait<2>();
  look(1);
  ptx::cp_async_wait<1>();
  look(2);
  ptx::cp_async_wait_all();
  look(3);
}

template <int bytes>
void check_copies(int source_bytes) {
  constexpr std::size_t floats = bytes / 4, block = 8 * floats;
  std::vector<float> x;
  for (std::size_t i = 0; i < 3 * block; ++i) x.push_back(static_cast<float>(i + 1));
  const DeviceArray<float> device_x(x), device_seen(4 * 3 * block);
  launch<copy_kernel<bytes>>(1, 8, sizeof(Slots), nullptr, device_x.data(), source_bytes,
                             device_seen.data());
  const std::vector<float> seen = device_seen.values();
  for (std::size_t step = 0; step < 4; ++step) {
    for (std::size_t copy = 0; copy < 3; ++copy) {
      for (std::size_t i = 0; i < block; ++i) {
        const float value = seen[(step * 3 + copy) * block + i];
        const bool beyond = static_cast<int>(i % floats * 4) >= source_bytes;
        if (copy < step)
          CHECK(value == (beyond ? 0.0f : x[copy * block + i]));
        else
          CHECK(std::bit_cast<std::uint32_t>(value) == 0xffffffffu);
      }
    }
  }
}

TEST_CASE("asynchronous copies arrive when they are waited for, group by group") {
  check_copies<4>(4);
  check_copies<8>(8);
  check_copies<16>(16);
  check_copies<4>(0);
  check_copies<8>(4);
  check_copies<16>(12);
  check_copies<16>(0);
}

__global__ void bad_copy_kernel(const float* x, int target, int source, int source_bytes) {
  auto& shared = shared_storage<Slots>();
  ptx::cp_async<16>(&shared.values[0][0] + target, x + source, source_bytes);
  ptx::cp_async_wait_all();
}

TEST_CASE("asynchronous copies to wrong places are reported") {
  const DeviceArray<float> x(std::vector<float>(64));
  const auto run = [&](int target, int source, int source_bytes) {
    launch<bad_copy_kernel>(1, 1, sizeof(Slots), nullptr, x.data(), target, source, source_bytes);
  };
  CHECK_NOTHROW(run(124, 60, 16));
  CHECK_FAILS(run(2, 0, 16), "cp.async: offset 8 in shared memory is not a multiple of 16");
  CHECK_FAILS(run(128, 0, 16), "cp.async: 16 bytes at offset 512 do not lie in the block's 512");
  CHECK_FAILS(run(0, 1, 16), "the source is not aligned to 16 bytes");
  CHECK_FAILS(run(0, 0, 17), "17 source bytes for a copy of 16");
}

// ---- Bank conflicts of ordinary accesses

struct Square {
  float values[32][33];
};

template <int stride>
__global__ void column_kernel(float* y) {
  auto& shared = shared_storage<Square>();
  float* const flat = &shared.values[0][0];
  for (int i = 0; i < 2; ++i) store_shared(flat + i * 32 + lane(), 1.0f);
  __syncwarp();
  y[lane()] = load_shared(flat + lane() * stride);
}

template <int stride>
BankTally column_tally() {
  Settings counting = settings();
  counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  reset_bank_tally();
  const DeviceArray<float> y(32);
  launch<column_kernel<stride>>(1, 32, sizeof(Square), nullptr, y.data());
  return bank_tally();
}

TEST_CASE("conflicts of ordinary accesses to shared memory are counted") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CHECK(column_tally<1>().phases == 3);  // two passes of the store, one load
    CHECK(column_tally<1>().conflicts == 0);
    CHECK(column_tally<33>().conflicts == 0);
    CHECK(column_tally<0>().conflicts == 0);  // all lanes read the same word
    CHECK(column_tally<2>().conflicts == 1);
    CHECK(column_tally<32>().conflicts == 31);
  }
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
