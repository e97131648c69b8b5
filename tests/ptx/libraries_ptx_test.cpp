#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/ptx/libraries_on_device.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

/// NVIDIA's libraries beside the project's kernels. An interpreter of PTX has a stand-in for
/// cuBLAS, and none for cuDNN, whose convolutions only a GPU can check.
namespace pixeldp::kernels::cuda {
namespace {

/// run.sh says so.
bool interpreted() { return std::getenv("PTXRUN_ARCH") != nullptr; }

/// Of a real cuDNN an interpreter could only fail.
bool cudnn_to_test() {
  const char* preloaded = std::getenv("LD_PRELOAD");
  const bool stand_in =
      preloaded != nullptr && std::string(preloaded).find("cudnn_stand_in") != std::string::npos;
  return (stand_in || !interpreted()) && cudnn::available();
}

std::vector<float> product(const GemmCase& one, std::vector<float> c) {
  const Gemm& g = one.gemm;
  for (std::int64_t i = 0; i < g.m; ++i)
    for (std::int64_t j = 0; j < g.n; ++j) {
      float& sum = c[static_cast<std::size_t>(i * g.n + j)];
      if (!g.accumulate) sum = 0.0f;
      for (std::int64_t l = 0; l < g.k; ++l)
        sum += one.a[static_cast<std::size_t>(g.transpose_a ? l * g.m + i : i * g.k + l)] *
               one.b[static_cast<std::size_t>(g.transpose_b ? j * g.k + l : l * g.n + j)];
    }
  return c;
}

GemmCase gemm_case(Gemm gemm, Precision precision) {
  return {gemm, precision, reference::integers(gemm.m * gemm.k, 8, 1),
          reference::integers(gemm.k * gemm.n, 8, 2)};
}

TEST_CASE("products by cuBLAS are exact on integers, in any layout and precision") {
  if (!cublas::available()) {
    CHECK_FALSE(interpreted());
    return;
  }
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    for (const DenseShape& s : {DenseShape{1, 1, 1}, {3, 5, 7}, {33, 129, 10}, {20, 1, 3}}) {
      for (Gemm gemm :
           {Gemm::dense_forward(s), Gemm::dense_backward_data(s), Gemm::dense_backward_weight(s)}) {
        const auto c = reference::integers(gemm.m * gemm.n, 8, 3);
        for (const bool transpose_a : {false, true}) {
          for (const bool accumulate : {false, true}) {
            gemm.transpose_a ^= transpose_a, gemm.accumulate = accumulate;
            const GemmCase one = gemm_case(gemm, precision);
            CAPTURE(gemm.k);
            CHECK(one.run(c) == product(one, c));
          }
        }
      }
    }
  }
  GemmCase empty = gemm_case({.m = 2, .n = 3, .k = 0}, Precision::fp32);
  CHECK(empty.run({1, 2, 3, 4, 5, 6}) == std::vector<float>(6));
  empty = gemm_case({.m = 0, .n = 1, .k = 4}, Precision::fp32);
  CHECK(empty.run({7}) == std::vector<float>{7});
}

TEST_CASE("a product by cuBLAS is recorded into a graph, after a first call") {
  if (!cublas::available()) return;
  const GemmCase one = gemm_case({.m = 6, .n = 9, .k = 11, .transpose_b = true, .accumulate = true},
                                 Precision::bf16);
  const auto c = reference::integers(6 * 9, 8, 3);
  CHECK(one.run_recorded(c, 1) == product(one, product(one, product(one, c))));
  CHECK_FAILS(one.run_recorded(c, 0), "do the operation once before");
}

TEST_CASE("convolutions by cuDNN are exact on integers that bf16 has") {
  if (!cudnn_to_test()) return;
  for (const Conv2dShape& s :
       {reference::same(2, 5, 6, 8, 16, 3, 1), reference::same(1, 7, 5, 16, 8, 3, 2),
        reference::same(2, 4, 6, 24, 32, 1, 1), Conv2dShape{1, 6, 9, 8, 16, 2, 3, 2, {}, {2, 2}}}) {
    REQUIRE(cudnn_takes(s));
    CAPTURE(s.in_h);
    const auto x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 1, 1);
    const auto weight = reference::integers(s.weight_size(), 1, 2);
    const auto dy = reference::integers(s.batch * s.out_h() * s.out_w() * s.out_c, 1, 3);
    const auto check = [&](ConvDirection direction, const std::vector<float>& a,
                           const std::vector<float>& b, const std::vector<double>& expected) {
      CHECK(run_cudnn(direction, s, a, b) == std::vector<float>(expected.begin(), expected.end()));
    };
    check(ConvDirection::forward, x, weight, reference::conv2d_forward(s, x, weight));
    check(ConvDirection::backward_data, dy, weight, reference::conv2d_backward_data(s, dy, weight));
    check(ConvDirection::backward_weight, x, dy, reference::conv2d_backward_weight(s, x, dy));
  }
}

TEST_CASE("convolutions that cuDNN is not asked for, or refuses") {
  const auto refused = [](const Conv2dShape& s) {
    const auto x = static_cast<std::size_t>(s.batch * s.in_h * s.in_w * s.in_c);
    const auto y = static_cast<std::size_t>(s.batch * s.out_h() * s.out_w() * s.out_c);
    const std::vector<float> a(std::max(x, y)),
        b(std::max(y, static_cast<std::size_t>(s.weight_size())));
    return run_cudnn(ConvDirection::forward, s, a, b).empty() &&
           run_cudnn(ConvDirection::backward_data, s, a, b).empty() &&
           run_cudnn(ConvDirection::backward_weight, s, a, b).empty();
  };
  CHECK(refused(reference::same(1, 8, 8, 8, 8, 3, 2)));  // asymmetric padding
  if (!interpreted() || !cudnn_to_test()) return;        // the stand-in has its whims
  CHECK_FALSE(refused(reference::same(1, 5, 5, 8, 32, 3, 1)));
  CHECK(refused(reference::same(1, 5, 5, 8, 40, 3, 1)));
  CHECK(refused(reference::same(1, 5, 5, 8, 48, 3, 1)));
}

/// What run_convolution called: o for the own path, c for cuDNN's.
struct Calls {
  std::string made;
  int own_ms = 0, cudnn_ms = 0;
  bool refuses = false;

  void run(void* stream, std::int64_t side) {
    made.clear();
    Conv2dShape shape;
    shape.in_h = side;
    const auto work = [&](char name, int milliseconds) {
      made += name;
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    };
    run_convolution(
        stream, ConvDirection::forward, shape, [&] { work('o', own_ms); },
        [&] {
          if (refuses) return false;
          work('c', cudnn_ms);
          return true;
        });
  }
};

TEST_CASE("who does a convolution") {
  if (std::getenv("PIXELDP_CONVOLUTION") != nullptr) return;
  const TestStream stream;
  Calls calls;
  calls.own_ms = 4;
  calls.run(stream.get(), 1);
  CHECK(calls.made == "o");

  setenv("PIXELDP_CONVOLUTION", "cudnn", 1);
  calls.run(stream.get(), 1);
  CHECK(calls.made == "c");
  calls.refuses = true;
  calls.run(stream.get(), 1);
  CHECK(calls.made == "o");

  setenv("PIXELDP_CONVOLUTION", "fastest", 1);
  calls.run(stream.get(), 2);  // it refuses, and is asked no more
  CHECK(calls.made == "o");
  calls.refuses = false;
  calls.run(stream.get(), 2);
  CHECK(calls.made == "o");
  // Events time the host's work too, where the stream waits for nothing.
  calls.run(stream.get(), 3);
  CHECK(calls.made == "cccccccccoooooooooc");
  calls.run(stream.get(), 3);
  CHECK(calls.made == "c");
  calls.own_ms = 0, calls.cudnn_ms = 4;
  calls.run(stream.get(), 4);
  CHECK(calls.made ==
        "cccccccccooooooooo"
        "o");
  calls.run(stream.get(), 4);
  CHECK(calls.made == "o");

  // Nothing can be timed under capture, and nothing is remembered.
  calls.own_ms = 4, calls.cudnn_ms = 0;
  stream.record_and_run([&] { calls.run(stream.get(), 5); });
  CHECK(calls.made == "o");
  calls.run(stream.get(), 5);
  CHECK(calls.made.back() == 'c');
  unsetenv("PIXELDP_CONVOLUTION");
  calls.run(stream.get(), 5);
  CHECK(calls.made == "o");
}

TEST_CASE("compiled changes of precision and layout") {
  std::vector<float> x = reference::integers(700, 256, 1);
  CHECK(through_bf16(x) == x);
  CHECK(through_bf16({257.0f, 259.0f, 258.5f, -257.0f}) ==
        std::vector<float>{256.0f, 260.0f, 258.0f, -256.0f});
  Conv2dShape s;
  s.out_c = 5, s.in_c = 24, s.kernel_h = 3, s.kernel_w = 2;
  x = reference::integers(s.weight_size(), 200, 2);
  CHECK(weight_through_bf16(s, x) == x);
}

}  // namespace
}  // namespace pixeldp::kernels::cuda
