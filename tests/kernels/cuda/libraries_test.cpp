#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include "kernels/cuda/libraries/convolution_choice.hpp"
#include "kernels/cuda/libraries/cublas.hpp"
#include "kernels/cuda/libraries/cudnn.hpp"
#include "kernels/cuda/libraries/library.hpp"
#include "tests/engine/made_files.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

/// What surrounds the calls of NVIDIA's libraries, and needs none of them.
namespace pixeldp::kernels {
namespace {

/// c of a product, by its definition.
std::vector<float> product(const Gemm& g, const std::vector<float>& a,
                           const std::vector<float>& b) {
  std::vector<float> c;
  for (std::int64_t i = 0; i < g.m; ++i)
    for (std::int64_t j = 0; j < g.n; ++j) {
      float sum = 0.0f;
      for (std::int64_t l = 0; l < g.k; ++l)
        sum += a[static_cast<std::size_t>(g.transpose_a ? l * g.m + i : i * g.k + l)] *
               b[static_cast<std::size_t>(g.transpose_b ? j * g.k + l : l * g.n + j)];
      c.push_back(sum);
    }
  return c;
}

TEST_CASE("a library is looked for where a variable says, and as Python lays it out") {
  namespace fs = std::filesystem;
  const fs::path top = fs::temp_directory_path() / fmt::format("pixeldp-libraries-{}", getpid());
  const auto make = [&](const fs::path& folder) {
    fs::create_directories(top / folder);
    std::ofstream(top / folder / "libx.so.1") << "no library";
    return (top / folder / "libx.so.1").string();
  };
  const std::string second = make("nvidia/cudnn/lib"), first = make("nvidia/cublas/lib"),
                    own = make("own"), toolkit = make("toolkit/lib64");
  {
    const std::string named = fmt::format("{0}/missing:{0}/nvidia::{0}/own", top.string());
    const Environment folders("PIXELDP_LIBRARIES", named.c_str());
    const Environment cuda_home("CUDA_HOME", (top / "toolkit").c_str());
    CHECK(library_files("libx.so.1") == std::vector{first, second, own, toolkit});
    CHECK(library_files("liby.so.1").empty());
    CHECK_FALSE(Library("libx.so.1", "no_such_function"));
  }
  fs::remove_all(top);
}

TEST_CASE("a dense layer and its gradients are these matrix products") {
  const DenseShape s = {3, 5, 7};
  const auto x = reference::integers(s.rows * s.in, 8, 1);
  const auto weight = reference::integers(s.out * s.in, 8, 2);
  const auto dy = reference::integers(s.rows * s.out, 8, 3);
  const std::vector<float> bias(7);
  std::vector<float> y(21), dx(15), dweight(35), dbias(7);
  dense_forward(Stream(), s, Precision::fp32, x.data(), weight.data(), bias.data(), y.data());
  dense_backward_data(Stream(), s, Precision::fp32, dy.data(), weight.data(), dx.data());
  dense_backward_weight(Stream(), s, Precision::fp32, x.data(), dy.data(), dweight.data(),
                        dbias.data());
  CHECK(product(Gemm::dense_forward(s), x, weight) == y);
  CHECK(product(Gemm::dense_backward_data(s), dy, weight) == dx);
  CHECK(product(Gemm::dense_backward_weight(s), dy, x) == dweight);
}

TEST_CASE("matrix products that cuBLAS cannot make") {
  CHECK_NOTHROW(check_gemm({.m = 0, .n = 2147483647, .k = 1}, Precision::tf32));
  CHECK_FAILS(check_gemm({.m = 1, .n = 1, .k = 2147483648}, Precision::fp32), "2147483647");
  CHECK_FAILS(check_gemm({.m = -1, .n = 1, .k = 1}, Precision::bf16), "-1 x 1 x 1");
  CHECK_FAILS(check_gemm({.m = 1, .n = 1, .k = 1}, Precision::int8), "multiply in fp32");
}

TEST_CASE("cuDNN's is chosen where it is clearly faster, and there is something to compare") {
  CHECK(choose_conv_path({1.0f}, {0.9f}) == ConvPath::cudnn);
  CHECK(choose_conv_path({1.0f}, {0.98f}) == ConvPath::own);
  CHECK(choose_conv_path({1.0f}, {0.97f}) == ConvPath::cudnn);
  CHECK(choose_conv_path({1.0f}, {1.0f}) == ConvPath::own);
  // Medians: neither an outlier nor the order matters.
  CHECK(choose_conv_path({1.0f, 9.0f, 1.0f}, {2.0f, 0.1f, 2.0f}) == ConvPath::own);
  CHECK(choose_conv_path({1.0f, 0.1f, 1.0f}, {0.5f, 9.0f, 0.5f}) == ConvPath::cudnn);
  CHECK(choose_conv_path({5.0f, 1.0f, 3.0f}, {2.0f, 2.9f, 2.8f}) == ConvPath::cudnn);
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& bad : {std::vector<float>{},
                                        {0.0f},
                                        {-1.0f},
                                        {nan},
                                        {0.1f, nan, 0.1f},
                                        {std::numeric_limits<float>::infinity()}}) {
    CHECK(choose_conv_path({1.0f}, bad) == ConvPath::own);
    CHECK(choose_conv_path(bad, {0.1f}) == ConvPath::own);
  }
}

TEST_CASE("the policy of convolutions: own unless the environment asks for another") {
  constexpr const char* variable = "PIXELDP_CONVOLUTION";
  std::optional<std::string> before;
  if (const char* text = std::getenv(variable)) before = text;
  unsetenv(variable);
  CHECK(conv_policy() == ConvPolicy::own);
  setenv(variable, "fastest", 1);
  CHECK(conv_policy() == ConvPolicy::fastest);
  setenv(variable, "cudnn", 1);
  CHECK(conv_policy() == ConvPolicy::cudnn);
  setenv(variable, "own", 1);
  CHECK(conv_policy() == ConvPolicy::own);
  setenv(variable, "fast", 1);
  CHECK_FAILS(conv_policy(), "own, cudnn or fastest");
  before ? setenv(variable, before->c_str(), 1) : unsetenv(variable);
}

TEST_CASE("convolutions that cuDNN may be asked for") {
  const Conv2dShape good = {2, 9, 9, 16, 24, 3, 3, 2, {1, 1}, {1, 1}};
  REQUIRE(cudnn_takes(good));
  const auto without = [&](auto change) {
    Conv2dShape shape = good;
    change(shape);
    return cudnn_takes(shape);
  };
  CHECK_FALSE(without([](Conv2dShape& s) { s.pad_h.after = 2; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.pad_w.before = 0; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.pad_h = {-1, -1}; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.in_c = 12; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.out_c = 23; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.batch = 0; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.stride = 0; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.kernel_w = 12; }));
  CHECK(without([](Conv2dShape& s) { s.kernel_w = 11; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.batch = std::int64_t{1} << 31; }));
  CHECK_FALSE(without([](Conv2dShape& s) { s.batch = 1657009; }));  // x: 2^31 elements and more
  CHECK(without([](Conv2dShape& s) { s.batch = 1657008; }));
  // TensorFlow's padding of an even image, stride 2.
  CHECK_FALSE(cudnn_takes(reference::same(1, 8, 8, 16, 16, 3, 2)));
}

TEST_CASE("a library that is not there, and one that the program has already") {
  CHECK_FALSE(Library("libno_such_library.so.1", "no_such_function"));
  const Library own("libno_such_library.so.1", "malloc");
  CHECK(own);
  void* (*function)(std::size_t) = nullptr;
  CHECK(own.find("malloc", function));
  CHECK((function != nullptr));
  CHECK_FALSE(own.find("no_such_function", function));
  CHECK((function == nullptr));
}

}  // namespace
}  // namespace pixeldp::kernels
