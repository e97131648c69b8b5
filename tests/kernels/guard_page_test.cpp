#include <vector>

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include "kernels/cpu/product.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/cpu/winograd.hpp"
#include "kernels/inference.hpp"
#include "kernels/pooling.hpp"
#include "tests/guarded_array.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"

// The vector code touches nothing beyond its arrays: each of them lies at a page that nobody may
// touch, in turn with its first and with its last element, in sizes around those of vectors.

using namespace pixeldp;
using namespace pixeldp::kernels;
using namespace pixeldp::kernels::cpu;
using pixeldp::tests::Guard;
using pixeldp::tests::GuardedArray;

namespace {

constexpr std::int64_t sizes[] = {1, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};

template <class F>
void everywhere(F f) {
  for (const InstructionSet set : instruction_sets) {
    if (!supported(set)) continue;
    CAPTURE(name(set));
    for (const Guard guard : {Guard::before, Guard::after}) f(set, guard);
  }
}

}  // namespace

TEST_CASE("a guarded array ends a program that goes one element too far") {
  for (const Guard guard : {Guard::before, Guard::after}) {
    const GuardedArray<float> array(10, guard);
    array.data()[0] = array.data()[9] = 1.0f;
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGSEGV, SIG_DFL);  // sanitizers and doctest would report it
      const volatile float* data = array.data();
      const float beyond = data[guard == Guard::before ? -1 : 10];
      std::_Exit(beyond > 0.0f ? 1 : 0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
  }
}

TEST_CASE("noise touches its rows alone") {
  everywhere([](InstructionSet set, Guard guard) {
    for (const std::int64_t n : sizes) {
      const GuardedArray<float> prefix(reference::reals(n, 1), guard);
      const GuardedArray<float> y(static_cast<std::size_t>(n), guard);
      for (const auto distribution : {NoiseDistribution::gaussian, NoiseDistribution::laplace})
        simd_kernels(set).add_noise(
            {.distribution = distribution, .scale = 0.5f, .activation = Activation::relu()},
            {.row = {}, .elements = n, .prefix = prefix.data(), .y = y.data()});
    }
  });
}

TEST_CASE("draw statistics touch their features, weights and counts alone") {
  everywhere([](InstructionSet set, Guard guard) {
    for (const std::int64_t width : {1, 7, 8, 9, 16, 17, 33, 128, 130}) {
      for (const std::int64_t classes : {2, 3, 8, 10, 16, 17, 100}) {
        constexpr std::int64_t rows = 5;
        const auto make = [&](std::int64_t n, std::uint64_t seed) {
          return GuardedArray<float>(reference::reals(n, seed), guard);
        };
        const auto features = make(rows * width, 1), weight = make(classes * width, 2),
                   bias = make(classes, 3);
        const GuardedArray<std::int64_t> images(std::vector<std::int64_t>{0, 1, 1, -1, 0}, guard);
        const auto counts = [&] {
          return GuardedArray<std::uint64_t>(
              std::vector<std::uint64_t>(static_cast<std::size_t>(2 * classes)), guard);
        };
        const auto votes = counts(), sums = counts(), squares = counts();
        cpu::draw_statistics(set, {.rows = rows, .width = width, .classes = classes},
                             features.data(), weight.data(), bias.data(), images.data(),
                             votes.data(), sums.data(), squares.data());
        std::uint64_t cast = 0;
        for (std::size_t i = 0; i < votes.size(); ++i) cast += votes.data()[i];
        CHECK(cast == 4);
      }
    }
  });
}

TEST_CASE("scaling, shortcuts and pooling touch their pixels alone") {
  everywhere([](InstructionSet set, Guard guard) {
    const InferenceKernels& k = simd_kernels(set).inference;
    for (const std::int64_t channels : sizes) {
      for (const Real kind : {Real::fp32, Real::bf16}) {
        const std::size_t bytes = kind == Real::fp32 ? 4 : 2,
                          n = 3 * static_cast<std::size_t>(channels);
        const GuardedArray<std::byte> x(n * bytes, guard), y(n * bytes, guard);
        const GuardedArray<std::uint8_t> quantised(n, guard);
        const GuardedArray<float> scale(reference::reals(channels, 1), guard),
            shift(reference::reals(channels, 2), guard);
        k.scaling({.pixels = 3,
                   .channels = channels,
                   .scale = scale.data(),
                   .shift = shift.data(),
                   .slope = 0.1f},
                  kind, kind, x.data(),
                  {.real = y.data(), .bytes = quantised.data(), .inverse_scale = 2.0f});

        // 3 x 3 pixels at stride 2: 2 x 2 of them, with four channels more.
        const std::size_t from = 9 * static_cast<std::size_t>(channels),
                          to = 4 * static_cast<std::size_t>(channels + 4);
        const GuardedArray<std::byte> image(from * bytes, guard), around(to * bytes, guard);
        k.shortcut({.in_w = 3,
                    .in_c = channels,
                    .out_h = 2,
                    .out_w = 2,
                    .out_c = channels + 4,
                    .before = 2,
                    .stride = 2},
                   kind, image.data(), around.data());

        const GuardedArray<std::byte> pooled(bytes * static_cast<std::size_t>(channels), guard);
        const GuardedArray<float> lanes(static_cast<std::size_t>(pool_lanes * channels), guard);
        k.pool(9, channels, kind, kind, image.data(), pooled.data(), lanes.data());
      }
    }
  });
}

TEST_CASE("products touch their rows, results and scratch alone") {
  const std::vector<Conv2dShape> shapes = {
      reference::same(2, 9, 7, 3, 5, 3, 1),     reference::same(1, 28, 28, 1, 32, 5, 2),
      reference::same(2, 4, 4, 16, 48, 3, 1),   reference::same(2, 8, 8, 20, 70, 3, 2),
      reference::same(5, 1, 1, 300, 10, 1, 1),  reference::same(3, 1, 1, 7, 33, 1, 1),
      reference::same(2, 8, 8, 160, 17, 3, 1),  reference::same(2, 7, 6, 16, 48, 3, 1),
      reference::same(2, 14, 14, 32, 16, 5, 2), reference::same(1, 5, 16, 24, 40, 3, 1),
      reference::same(18, 4, 4, 20, 33, 3, 2),  reference::same(1, 3, 20, 16, 16, 3, 1),
      reference::same(21, 1, 1, 64, 48, 1, 1),  reference::same(2, 3, 16, 16, 16, 1, 1)};
  everywhere([&](InstructionSet set, Guard guard) {
    for (const Conv2dShape& s : shapes) {
      CAPTURE(s.in_c);
      CAPTURE(s.out_c);
      const std::int64_t rows = s.batch;
      Conv2dShape row = s;
      row.batch = 1;
      const auto inputs = rows * s.in_h * s.in_w * s.in_c;
      const auto outputs = rows * s.out_h() * s.out_w() * s.out_c;
      const auto shift = reference::reals(s.out_c, 3), scale = reference::reals(s.out_c, 4);
      const GuardedArray<float> residual(reference::reals(outputs, 5), guard);
      const auto run = [&](const PreparedProduct& product, const void* x) {
        const GuardedArray<float> y(static_cast<std::size_t>(outputs), guard);
        const GuardedArray<std::uint8_t> bytes(static_cast<std::size_t>(outputs), guard);
        const GuardedArray<std::byte> scratch(static_cast<std::size_t>(product.scratch_size(rows)),
                                              guard);
        product.run(rows, x,
                    {.activation = Activation::relu(),
                     .target = {.real = y.data(), .bytes = bytes.data(), .inverse_scale = 3.0f},
                     .residual = residual.data()},
                    scratch.data());
      };
      const auto weight = reference::reals(s.weight_size(), 2);
      const std::vector<std::int8_t> weight8(weight.size(), 3);
      const GuardedArray<float> x(reference::reals(inputs, 1), guard);
      const GuardedArray<std::uint8_t> x8(static_cast<std::size_t>(inputs), guard);
      run(Product(row, Precision::fp32, weight, shift, set), x.data());
      run(Product(row, weight8, scale, shift, set), x8.data());
      if (!takes_winograd(row)) continue;
      run(Winograd(row, Precision::fp32, weight, shift, set), x.data());
      run(Winograd(row, weight8, scale, shift, set), x8.data());
      const GuardedArray<std::uint16_t> x16(static_cast<std::size_t>(inputs), guard);
      run(Winograd(row, Precision::bf16, weight, shift, set), x16.data());
    }
  });
}
