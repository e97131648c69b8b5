#include <cmath>

#include <doctest/doctest.h>

#include "tests/multi_draw_on_device.cuh"
#include "tests/ptx/multi_draw_on_device.hpp"
#include "tests/ptx/wgmma_on_device.hpp"

/// The multi-draw kernel as nvcc compiled it, against the emulator, where all sums are exact.
namespace pixeldp::kernels {
namespace {

template <class Problem>
void check(const Problem& problem, int block_draws) {
  CHECK(cuda::run_multi_draw(problem, block_draws) == emulated::run(problem, block_draws));
}

TEST_CASE("the compiled multi-draw kernel adds the integers of the emulated one") {
  for (const NoiseDistribution distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    MultiDrawProblem problem(small_convolution(), 128, 10, 2, 37);
    problem.noise(distribution);
    check(problem, 16);
    check(problem, 32);
  }
  MultiDrawProblem bare(small_convolution(7, {1, 1}), 128, 17, 1, 5);
  bare.dense_bias.clear();
  bare.head_bias.clear();
  bare.params.noise.activation = Activation::leaky_relu(0.5f);
  check(bare, 0);
}

TEST_CASE("the compiled multi-draw kernel for MNIST adds the integers of the emulated one") {
  for (const int block_draws : {16, 32})
    check(MultiDrawProblem(reference::same(1, 6, 14, 32, 64, 5, 2), 1024, 10, 1, 32), block_draws);
}

TEST_CASE("the compiled multi-draw kernel in int8 adds the integers of the emulated one") {
  for (const NoiseDistribution distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    MultiDrawInt8Problem problem(small_int8_convolution(), 128, 10, 2, 37);
    problem.noise(distribution);
    check(problem, 16);
    check(problem, 32);
  }
  for (const int block_draws : {16, 32})
    check(MultiDrawInt8Problem(reference::same(1, 4, 14, 32, 64, 5, 2), 1024, 10, 1, 32),
          block_draws);
}

TEST_CASE("the compiled multi-draw kernel in clusters adds the integers of the emulated one") {
  if (!cuda::has_warpgroup_products()) return;
  const emulator::WithSettings with(sm_90);
  for (const NoiseDistribution distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    MultiDrawProblem problem(small_convolution(), 128, 10, 2, 65);
    problem.noise(distribution);
    check(problem, MultiDrawCluster::draws);
    MultiDrawInt8Problem bytes(small_int8_convolution(), 128, 10, 2, 65);
    bytes.noise(distribution);
    check(bytes, MultiDrawCluster::draws);
  }
  // 42 pixels: slots and stages are used over and over.
  check(MultiDrawProblem(reference::same(1, 12, 14, 32, 64, 5, 2), 1024, 10, 1, 64), 0);
  check(MultiDrawInt8Problem(reference::same(1, 12, 14, 32, 64, 5, 2), 1024, 10, 1, 64), 0);
}

TEST_CASE("the compiled multi-draw kernel reports a logit that is not finite") {
  MultiDrawProblem problem(small_convolution(), 128, 10, 2, 20);
  problem.prefixes.back() = NAN;
  check(problem, 0);
  CHECK(cuda::run_multi_draw(problem, 0).bad_row == 20);
}

}  // namespace
}  // namespace pixeldp::kernels
