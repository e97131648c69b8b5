#include "pixeldp/attacks/ball.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/error.hpp"
#include "engine/io/dataset.hpp"
#include "kernels/noise.hpp"

namespace pixeldp {
namespace {

/// The norm of a difference, given one coordinate at a time.
template <class At>
double norm_of(AttackNorm norm, std::size_t count, const At& at) {
  double sum = 0.0;
  switch (norm) {
    case AttackNorm::l1:
      for (std::size_t i = 0; i < count; ++i) sum += std::abs(at(i));
      return sum;
    case AttackNorm::l2:
      for (std::size_t i = 0; i < count; ++i) sum += at(i) * at(i);
      return std::sqrt(sum);
    case AttackNorm::linf:
      for (std::size_t i = 0; i < count; ++i) sum = std::max(sum, std::abs(at(i)));
      return sum;
  }
  fail("not an attack norm: {}", static_cast<int>(norm));
}

void clip_to_ball(std::span<const float> centre, double size, std::span<float> x) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double c = centre[i];
    x[i] = static_cast<float>(std::clamp(double{x[i]}, c - size, c + size));
    if (std::abs(double{x[i]} - c) > size) x[i] = std::nextafter(x[i], centre[i]);
  }
}

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

double distance(AttackNorm norm, std::span<const float> a, std::span<const float> b) {
  return norm_of(norm, a.size(), [&](std::size_t i) { return double{a[i]} - double{b[i]}; });
}

double largest_distance(AttackNorm norm, std::int64_t values) {
  return norm_of(norm, static_cast<std::size_t>(values), [](std::size_t) { return 1.0; });
}

void shorten(std::span<const float> centre, double share, std::span<float> x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(centre[i] + share * (double{x[i]} - double{centre[i]}));
}

void step_against(AttackNorm norm, std::span<const float> gradient, double length,
                  std::span<float> x) {
  const double of_gradient =
      norm_of(norm, x.size(), [&](std::size_t i) { return double{gradient[i]}; });
  if (of_gradient == 0.0) return;
  const auto direction = [&](double g) {
    if (norm != AttackNorm::linf) return g / of_gradient;
    return g > 0.0 ? 1.0 : g < 0.0 ? -1.0 : 0.0;
  };
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(x[i] - length * direction(gradient[i]));
}

void project(AttackNorm norm, std::span<const float> centre, double size, PixelRange pixels,
             std::span<float> x) {
  // Towards the centre, so that no picture of the ball leaves it.
  for (float& value : x) value = std::clamp(value, pixels.lowest, pixels.highest());
  if (norm == AttackNorm::linf) return clip_to_ball(centre, size, x);
  double aimed_at = size;
  for (double now; (now = distance(norm, centre, x)) > size; aimed_at *= 1.0 - 1e-5)
    shorten(centre, aimed_at / now, x);
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
          norm_of(norm, x.size(), [&](std::size_t i) { return double{values[i]}; });
      for (std::size_t i = 0; i < x.size(); ++i) direction[i] = radius * values[i] / length;
      break;
    }
  }
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(centre[i] + size * direction[i]);
  project(norm, centre, size, pixels, x);
}

}  // namespace pixeldp
