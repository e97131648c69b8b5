#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/emulator/sanitizer.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/emulator/sm_90_settings.hpp"
#include "tests/emulator/wgmma_gemm.cuh"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using Fault = WgmmaGemmFault;
using reference::to_bf16;

std::vector<std::uint16_t> bf16_integers(std::int64_t count, std::uint64_t seed) {
  std::vector<std::uint16_t> bits;
  for (const float value : reference::integers(count, 4, seed)) bits.push_back(to_bf16(value));
  return bits;
}

double value_of(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
double value_of(std::int8_t value) { return value; }

/// Rows of k values, in boxes of 128 bytes of them.
template <class Element>
TensorBox rows_of(const Element* matrix, int rows, int k, int box_rows) {
  constexpr int bytes = sizeof(Element);
  return {.address = matrix,
          .rank = 2,
          .size = {k, rows},
          .stride = {bytes, bytes * k},
          .box = {128 / bytes, box_rows},
          .element_bytes = bytes};
}

/// In bf16 or, Element = std::int8_t, of bytes.
template <class Element>
struct WgmmaProblem {
  using Sum = std::conditional_t<std::is_same_v<Element, std::int8_t>, std::int32_t, float>;

  WgmmaGemmShape shape;
  std::vector<Element> a, b;

  explicit WgmmaProblem(WgmmaGemmShape s)
      : shape(s), a(integers(s.m * s.k, 1)), b(integers(s.n * s.k, 2)) {}

  static std::vector<Element> integers(std::int64_t count, std::uint64_t seed) {
    if constexpr (std::is_same_v<Element, std::uint16_t>) return bf16_integers(count, seed);
    std::vector<Element> bytes;
    for (const float value : reference::integers(count, 63, seed))
      bytes.push_back(static_cast<Element>(value));
    return bytes;
  }

  /// How many results are wrong.
  template <Fault fault = Fault::none>
  int wrong(bool doubles = false) const {
    using namespace wgmma_gemm;
    const DeviceArray<Element> device_a(a), device_b(b);
    const DeviceArray<Sum> device_c(static_cast<std::size_t>(shape.m * shape.n));
    const dim3 grid(static_cast<unsigned>((shape.n + tile_n - 1) / tile_n),
                    static_cast<unsigned>((shape.m + tile_m - 1) / tile_m));
    launch<wgmma_gemm_kernel<fault, Element, Sum>>(
        grid, threads, sizeof(Storage<Element>), nullptr,
        encode(rows_of(device_a.data(), shape.m, shape.k, tile_m)),
        encode(rows_of(device_b.data(), shape.n, shape.k, tile_n)), shape, doubles,
        device_c.data());
    const std::vector<Sum> c = device_c.values();
    int count = 0;
    for (int m = 0; m < shape.m; ++m)
      for (int n = 0; n < shape.n; ++n) {
        double sum = 0.0;
        for (int k = 0; k < shape.k; ++k)
          sum += value_of(a[static_cast<std::size_t>(m * shape.k + k)]) *
                 value_of(b[static_cast<std::size_t>(n * shape.k + k)]);
        const Sum value = c[static_cast<std::size_t>(m * shape.n + n)];
        count += !(static_cast<double>(value) == (doubles ? 2.0 : 1.0) * sum);
      }
    return count;
  }

  /// Whether a run fails or makes wrong results; `error` is what it says.
  template <Fault fault>
  bool notices(std::string* error = nullptr) const {
    try {
      return wrong<fault>(fault == Fault::write_without_fence ||
                          fault == Fault::write_without_barrier) > 0;
    } catch (const Error& caught) {
      if (error != nullptr) *error = caught.what();
      return true;
    }
  }
};

TEST_CASE_TEMPLATE("products of warpgroups on boxes of tensors are exact under every schedule",
                   Element, std::uint16_t, std::int8_t) {
  for (const WgmmaGemmShape shape : {WgmmaGemmShape{64, 128, 320}, {70, 136, 208}, {1, 1, 16}}) {
    const WgmmaProblem<Element> problem(shape);
    for (const Schedule& schedule : adversarial_schedules) {
      for (const bool checks : {false, true}) {
        const WithSettings with(sm_90_with(schedule, checks));
        CAPTURE(schedule.name());
        CAPTURE(checks);
        CHECK(problem.wrong() == 0);
        CHECK(problem.wrong(true) == 0);
      }
    }
  }
}

TEST_CASE_TEMPLATE("what a warpgroup or its copies do wrong is noticed under every schedule",
                   Element, std::uint16_t, std::int8_t) {
  if (address_sanitizer) return;  // in whose place accesses are not looked at
  // Five steps.
  const WgmmaProblem<Element> problem({64, 128, 5 * wgmma_gemm::depth_of<Element>});
  const auto says = [&]<Fault fault>(const std::string& what) {
    const WithSettings with(sm_90_with({}, true));
    std::string error;
    CHECK(problem.template notices<fault>(&error));
    CHECK_MESSAGE(error.find(what) != std::string::npos, error);
  };
  const auto is_noticed = [&]<Fault fault>(const std::string& what) {
    CAPTURE(what);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(sm_90_with(schedule, true));
      CAPTURE(schedule.name());
      CHECK(problem.template notices<fault>());
    }
    says.template operator()<fault>(what);
  };
  is_noticed.template operator()<Fault::no_barrier_after_init>("a race");
  is_noticed.template operator()<Fault::no_fence_after_init>("initialised the mbarrier at offset");
  is_noticed.template operator()<Fault::no_wait_for_full>("");
  is_noticed.template operator()<Fault::no_wait_for_empty>("there");
  is_noticed.template operator()<Fault::early_release>("");
  is_noticed.template operator()<Fault::one_arrival>("");
  is_noticed.template operator()<Fault::few_bytes>("");
  is_noticed.template operator()<Fault::many_bytes>("waits for 0 arrivals and 16 bytes");
  is_noticed.template operator()<Fault::no_products_fence>("no wgmma.fence since the registers");
  is_noticed.template operator()<Fault::no_commit>("");
  is_noticed.template operator()<Fault::no_wait_for_sums>("");
  is_noticed.template operator()<Fault::touched_sums>("were changed");
  is_noticed.template operator()<Fault::write_without_fence>("with no fence.proxy.async");
  is_noticed.template operator()<Fault::write_without_barrier>("");
  is_noticed.template operator()<Fault::three_warps>("warp 3 took part in 0 products of 20");
}

TEST_CASE_TEMPLATE("most of that is noticed without a look at every access", Element, std::uint16_t,
                   std::int8_t) {
  const WgmmaProblem<Element> problem({64, 128, 5 * wgmma_gemm::depth_of<Element>});
  const auto is_noticed = [&]<Fault fault>(const std::string& what) {
    CAPTURE(what);
    int noticed = 0;
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(sm_90_with(schedule, false));
      noticed += problem.template notices<fault>();
    }
    CHECK(noticed > 0);
  };
  is_noticed.template operator()<Fault::no_barrier_after_init>("no_barrier_after_init");
  is_noticed.template operator()<Fault::no_fence_after_init>("no_fence_after_init");
  is_noticed.template operator()<Fault::no_wait_for_full>("no_wait_for_full");
  is_noticed.template operator()<Fault::no_wait_for_empty>("no_wait_for_empty");
  is_noticed.template operator()<Fault::early_release>("early_release");
  is_noticed.template operator()<Fault::few_bytes>("few_bytes");
  is_noticed.template operator()<Fault::many_bytes>("many_bytes");
  is_noticed.template operator()<Fault::no_products_fence>("no_products_fence");
  is_noticed.template operator()<Fault::no_commit>("no_commit");
  is_noticed.template operator()<Fault::no_wait_for_sums>("no_wait_for_sums");
  is_noticed.template operator()<Fault::touched_sums>("touched_sums");
  is_noticed.template operator()<Fault::write_without_barrier>("write_without_barrier");
}

/// d [64, 128] = A B of a [16, 64] and b [16, 128], which lie in shared memory as they are, a value
/// of k to a row, in boxes of `span` bytes of these, `offset` bytes behind their beginning,
/// swizzled.
template <int span>
__global__ void transposed_product_kernel(const std::uint16_t* a, const std::uint16_t* b,
                                          int offset, float* d) {
  constexpr int m = 64, n = 128, depth = 16, channels = span / 2, box = depth * channels;
  struct Storage {
    alignas(1024) std::uint16_t a[depth * m + span / 2];
    alignas(1024) std::uint16_t b[depth * n];
  };
  auto& shared = shared_storage<Storage>();
  const int thread = static_cast<int>(threadIdx.x);
  const auto place = [](int k, int c) {
    const int chunk = c % channels / 8 ^ (span == 128 ? k % 8 : k / 2 % 4);
    return c / channels * box + k * channels + chunk * 8 + c % 8;
  };
  for (int i = thread; i < depth * m; i += 128) shared.a[place(i / m, i % m)] = a[i];
  for (int i = thread; i < depth * n; i += 128) shared.b[place(i / n, i % n)] = b[i];
  ptx::fence_proxy_async();
  __syncthreads();
  float sum[n / 2] = {};
  ptx::wgmma_fence();
  ptx::wgmma_bf16<true>(sum, ptx::wgmma_columns<span>(shared.a + offset / 2, 2 * box),
                        ptx::wgmma_columns<span>(shared.b, 2 * box));
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  const int lane = thread % 32, row = thread / 32 * 16 + lane / 4;
  for (int i = 0; i < n / 2; ++i)
    d[(row + i / 2 % 2 * 8) * n + i / 4 * 8 + lane % 4 * 2 + i % 2] = sum[i];
}

TEST_CASE("a product of a warpgroup transposes operands that lie as the manual says") {
  const WithSettings with(sm_90_with({}, true));
  const auto a = bf16_integers(16 * 64, 3), b = bf16_integers(16 * 128, 4);
  const DeviceArray<std::uint16_t> device_a(a), device_b(b);
  const DeviceArray<float> d(64 * 128);
  const auto run = [&]<int span>(int offset) {
    launch<transposed_product_kernel<span>>(1, 128, 8192, nullptr, device_a.data(), device_b.data(),
                                            offset, d.data());
    return d.values();
  };
  std::vector<float> expected;
  for (std::size_t row = 0; row < 64; ++row)
    for (std::size_t column = 0; column < 128; ++column) {
      double sum = 0.0;
      for (std::size_t k = 0; k < 16; ++k)
        sum += value_of(a[k * 64 + row]) * value_of(b[k * 128 + column]);
      expected.push_back(static_cast<float>(sum));
    }
  CHECK(run.operator()<128>(0) == expected);
  CHECK(run.operator()<64>(0) == expected);
  CHECK_FAILS(run.operator()<128>(128), "does not begin with the first of the eight rows of 128");
  CHECK_FAILS(run.operator()<64>(64), "does not begin with the first of the eight rows of 64");
}

/// d [64, n] = A B of rows of 32 bytes, a [64] and b [n], laid down as core matrices: those of 16
/// bytes of a row `next_depth` apart, those of eight rows `next_rows`.
template <class Sum, int n>
__global__ void matrices_product_kernel(const uint4* a, const uint4* b, int next_depth,
                                        int next_rows, Sum* d) {
  constexpr int m = 64;
  struct Storage {
    alignas(128) std::uint8_t a[m * 32], b[n * 32];
  };
  auto& shared = shared_storage<Storage>();
  const int thread = static_cast<int>(threadIdx.x);
  const auto lay = [](std::uint8_t* matrices, const uint4* rows, int i, int depth, int eight) {
    const int row = i / 2;
    *reinterpret_cast<uint4*>(matrices + row / 8 * eight + i % 2 * depth + row % 8 * 16) = rows[i];
  };
  for (int i = thread; i < 2 * m; i += 128) lay(shared.a, a, i, next_depth, next_rows);
  for (int i = thread; i < 2 * n; i += 128) lay(shared.b, b, i, n * 16, 128);
  ptx::fence_proxy_async();
  __syncthreads();
  Sum sum[n / 2] = {};
  ptx::wgmma_fence();
  wgmma_gemm::multiply(sum, ptx::wgmma_matrices(shared.a, next_depth, next_rows),
                       ptx::wgmma_matrices(shared.b, n * 16, 128));
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  const int lane = thread % 32, row = thread / 32 * 16 + lane / 4;
  for (int i = 0; i < n / 2; ++i)
    d[(row + i / 2 % 2 * 8) * n + i / 4 * 8 + lane % 4 * 2 + i % 2] = sum[i];
}

/// Rows of 32 bytes of integers.
template <class Element>
std::vector<uint4> rows_of_32_bytes(std::size_t rows, std::uint64_t seed) {
  const auto values =
      WgmmaProblem<Element>::integers(static_cast<std::int64_t>(rows * 32 / sizeof(Element)), seed);
  std::vector<uint4> words(rows * 2);
  std::memcpy(words.data(), values.data(), rows * 32);
  return words;
}

TEST_CASE_TEMPLATE("a product of a warpgroup takes operands that lie as core matrices", Element,
                   std::uint16_t, std::int8_t) {
  const WithSettings with(sm_90_with({}, true));
  using Sum = typename WgmmaProblem<Element>::Sum;
  constexpr std::size_t depth = 32 / sizeof(Element);
  const auto check = [&]<int n>() {
    CAPTURE(n);
    const auto a = rows_of_32_bytes<Element>(64, 3), b = rows_of_32_bytes<Element>(n, 4);
    const auto value = [](const std::vector<uint4>& rows, std::size_t row, std::size_t k) {
      Element element;
      std::memcpy(&element,
                  reinterpret_cast<const std::byte*>(rows.data()) + row * 32 + k * sizeof(Element),
                  sizeof element);
      return value_of(element);
    };
    std::vector<Sum> expected;
    for (std::size_t row = 0; row < 64; ++row)
      for (std::size_t column = 0; column < n; ++column) {
        double sum = 0.0;
        for (std::size_t k = 0; k < depth; ++k) sum += value(a, row, k) * value(b, column, k);
        expected.push_back(static_cast<Sum>(sum));
      }
    const DeviceArray<uint4> device_a(a), device_b(b);
    for (const auto& [next_depth, next_rows] : {std::pair{128, 256}, std::pair{1024, 128}}) {
      const DeviceArray<Sum> d(64 * n);
      launch<matrices_product_kernel<Sum, n>>(1, 128, 64 * 32 + n * 32, nullptr, device_a.data(),
                                              device_b.data(), next_depth, next_rows, d.data());
      CHECK(d.values() == expected);
    }
  };
  check.template operator()<32>();
  check.template operator()<128>();
  check.template operator()<256>();
}

TEST_CASE("before sm_90 there are no such instructions") {
  const WithSettings with(sm_89);
  CHECK_FAILS(WgmmaProblem<std::uint16_t>({64, 128, 64}).wrong(), "sm_89 has no such instruction");
  CHECK_FAILS(WgmmaProblem<std::int8_t>({64, 128, 64}).wrong(), "sm_89 has no such instruction");
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
