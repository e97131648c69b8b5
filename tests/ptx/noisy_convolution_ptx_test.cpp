#include <doctest/doctest.h>

#include "tests/ptx/noisy_convolution_on_device.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"

/// Noise inside the convolution as nvcc compiled it, against the emulator. Noised pixels lie in
/// [32, 128), and weights are -1, 0 and 1, so that all sums are exact, in whatever order.
namespace pixeldp::kernels {
namespace {

TEST_CASE("compiled noise inside the convolution gives the bits of the emulated one") {
  for (const Conv2dShape& s :
       {reference::same(1, 5, 19, 16, 48, 3, 1), reference::same(1, 17, 6, 32, 32, 3, 1),
        reference::same(1, 6, 6, 16, 16, 5, 1), reference::same(1, 4, 5, 32, 32, 5, 1)}) {
    for (const NoiseDistribution distribution :
         {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
      CAPTURE(s.in_h);
      const std::int64_t row_size = s.in_h * s.in_w * s.in_c;
      NoisyConvCase problem;
      problem.shape = s;
      problem.input.noise.distribution = distribution;
      problem.input.noise.scale = 1.0f;
      problem.input.noise.activation = Activation::relu();
      problem.rows = {{1, 3, 7}, {0, 4, 7}};
      problem.prefix = reference::integers(2 * row_size, 1, 1);
      for (float& value : problem.prefix) value = 60.0f + 4.0f * value;
      problem.weight = reference::integers(s.weight_size(), 1, 2);
      if (distribution == NoiseDistribution::laplace) {
        problem.in_scale.assign(static_cast<std::size_t>(s.in_c), 1.0f);
        problem.in_shift = reference::integers(s.in_c, 1, 3);
        problem.input.scaling.activation = Activation::leaky_relu(0.5f);
        problem.scale = reference::reals(s.out_c, 4);
        problem.shift = reference::reals(s.out_c, 5);
        problem.residual.assign(static_cast<std::size_t>(2 * s.in_h * s.in_w * s.out_c), 0x42f7);
        problem.ending = Activation::relu();
      }
      const NoisyConvResult compiled = cuda::run(problem), emulated = emulated::run(problem);
      CHECK(compiled.y == emulated.y);
      CHECK(compiled.y16 == emulated.y16);
      CHECK(compiled.x == emulated.x);
    }
  }
}

}  // namespace
}  // namespace pixeldp::kernels
