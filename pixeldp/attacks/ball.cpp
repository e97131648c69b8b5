#include "pixeldp/attacks/ball.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/error.hpp"
#include "engine/io/dataset.hpp"
#include "kernels/formulas/ball.hpp"
#include "kernels/noise.hpp"

namespace pixeldp {

namespace ball = kernels::ball;

namespace {

/// Independent values of a distribution with scale 1, addressed as noise is.
std::vector<float> random_values(kernels::NoiseDistribution distribution, std::uint64_t seed,
                                 std::uint32_t image, std::uint32_t sample, std::size_t count) {
  const std::vector<float> zeros(count, 0.0f);
  std::vector<float> values(count);
  const kernels::NoiseRow row = {.source = 0, .image = image, .draw = sample};
  kernels::add_noise(Stream(),
                     {.distribution = distribution,
                      .scale = 1.0f,
                      .seed = seed,
                      .tag = StreamTag::attack_start,
                      .activation = kernels::Activation::identity()},
                     &row, 1, static_cast<std::int64_t>(count), zeros.data(), values.data());
  return values;
}

/// In (0, 1).
double uniform(std::uint32_t word) { return (word + 0.5) * 0x1p-32; }

}  // namespace

kernels::BallNorm ball_norm(AttackNorm norm) {
  switch (norm) {
    case AttackNorm::l1:
      return kernels::BallNorm::l1;
    case AttackNorm::l2:
      return kernels::BallNorm::l2;
    case AttackNorm::linf:
      return kernels::BallNorm::linf;
  }
  fail("not an attack norm: {}", static_cast<int>(norm));
}

double distance(AttackNorm norm, std::span<const float> a, std::span<const float> b) {
  return ball::distance(ball_norm(norm), std::ssize(a), a.data(), b.data());
}

double largest_distance(AttackNorm norm, std::int64_t values) {
  return ball::norm_of_all(ball_norm(norm), values, [](std::int64_t) { return 1.0; });
}

void shorten(std::span<const float> centre, double share, std::span<float> x) {
  ball::shorten(std::ssize(x), centre.data(), share, x.data());
}

void step_against(AttackNorm norm, std::span<const float> gradient, double length,
                  std::span<float> x) {
  ball::step_against(ball_norm(norm), std::ssize(x), gradient.data(), length, x.data());
}

void project(AttackNorm norm, std::span<const float> centre, double size, PixelRange pixels,
             std::span<float> x) {
  ball::project(ball_norm(norm), std::ssize(x), centre.data(), size, pixels.lowest,
                pixels.highest(), x.data());
}

void round_to_8_bits(std::span<const float> centre, PixelRange pixels, std::span<float> x) {
  const auto nearest = [&](float value) {
    return static_cast<int>(std::lround(255.0 * (double{value} - double{pixels.lowest})));
  };
  const auto pixel = [&](int u) {
    return pixel_value(static_cast<std::uint8_t>(u), pixels.lowest);
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto far = [&](float value) { return std::abs(double{value} - double{centre[i]}); };
    int u = std::clamp(nearest(x[i]), 0, 255);
    if (far(pixel(u)) > far(x[i])) u += u < nearest(centre[i]) ? 1 : -1;
    x[i] = pixel(u);
  }
}

void sample_ball(AttackNorm norm, std::span<const float> centre, double size, PixelRange pixels,
                 std::uint64_t seed, std::uint32_t image, std::uint32_t sample,
                 std::span<float> x) {
  const auto words = [&](std::size_t i) {
    return Philox::at(seed, StreamTag::attack_start, image, sample,
                      static_cast<std::uint32_t>(i / 4))[i % 4];
  };
  std::vector<double> direction(x.size());
  switch (norm) {
    case AttackNorm::linf:
      for (std::size_t i = 0; i < x.size(); ++i) direction[i] = 2.0 * uniform(words(i)) - 1.0;
      break;
    case AttackNorm::l1:
    case AttackNorm::l2: {
      // A random direction, and a radius whose power of as many values as there are is uniform.
      const auto values =
          random_values(norm == AttackNorm::l1 ? kernels::NoiseDistribution::laplace
                                               : kernels::NoiseDistribution::gaussian,
                        seed, image, sample, x.size());
      const auto count = static_cast<double>(x.size());
      const double radius = std::pow(uniform(words(4 * ((x.size() + 3) / 4))), 1.0 / count);
      const double length =
          ball::norm_of_all(ball_norm(norm), std::ssize(values),
                            [&](std::int64_t i) { return double{values.data()[i]}; });
      for (std::size_t i = 0; i < x.size(); ++i) direction[i] = radius * values[i] / length;
      break;
    }
  }
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(centre[i] + size * direction[i]);
  project(norm, centre, size, pixels, x);
}

}  // namespace pixeldp
