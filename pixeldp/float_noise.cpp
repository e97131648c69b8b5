#include "pixeldp/float_noise.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "engine/error.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {
namespace {

using Kind = kernels::InferenceStep::Kind;
using Values = std::vector<double>;

/// More than rounding takes away of any bound below, sums of a million terms among them.
constexpr double rounded_up = 1.0 + 1e-9;
/// Half a unit in the last place of fp32, and the least that a normal number can lose below that.
constexpr double roundoff = 0x1p-24, least_normal = 0x1p-126;

double gamma(double roundings) {
  return roundings * roundoff / (1.0 - roundings * roundoff) * rounded_up;
}

/// sum f(v) over `values`.
template <class F>
double sum_of(const Values& values, F f) {
  return std::transform_reduce(values.begin(), values.end(), 0.0, std::plus<>(), f) * rounded_up;
}
double square(double x) { return x * x; }

/// Bounds of what stands before the noise.
struct Rounded {
  std::int64_t elements = 0;
  Values size, error;  ///< by channel: of an exact value, and of what the calculated one is off by
  double norm = 0.0, norm_of_error = 0.0;  ///< of all together, in the 2-norm

  double positions() const {
    return static_cast<double>(elements) / static_cast<double>(size.size());
  }
  /// The same for each of so many channels.
  void spread(std::int64_t channels) {
    size.resize(static_cast<std::size_t>(channels), size.front());
    error.resize(size.size(), error.front());
  }
  /// Takes for the norms what the channels say, where that is less.
  void tighten() {
    const auto of_channels = [&](const Values& values) {
      return std::sqrt(positions() * sum_of(values, square)) * rounded_up;
    };
    norm = std::min(norm, of_channels(size));
    norm_of_error = std::min(norm_of_error, of_channels(error));
  }
};

double of_channel(const std::vector<float>& values, std::size_t channel, double none) {
  return values.empty() ? none : std::abs(static_cast<double>(values[channel]));
}

/// The 2-norm of a row of such shifts.
double norm_of_shift(const std::vector<float>& shift, double positions) {
  double squares = 0.0;
  for (const float t : shift) squares += square(static_cast<double>(t));
  return std::sqrt(positions * squares) * rounded_up;
}

void rescale(const kernels::InferenceStep& step, Rounded& x) {
  const double g = gamma(2);
  x.spread(step.outputs);
  double largest = 0.0;
  for (std::size_t c = 0; c < x.size.size(); ++c) {
    const double s = of_channel(step.scale, c, 1.0), t = of_channel(step.shift, c, 0.0);
    largest = std::max(largest, s);
    x.error[c] =
        (s * x.error[c] + g * (s * (x.size[c] + x.error[c]) + t)) * rounded_up + 2.0 * least_normal;
    x.size[c] = (s * x.size[c] + t) * rounded_up;
  }
  const double shift = norm_of_shift(step.shift, x.positions());
  x.norm_of_error =
      (largest * x.norm_of_error + g * (largest * (x.norm + x.norm_of_error) + shift)) *
          rounded_up +
      std::sqrt(static_cast<double>(x.elements)) * 2.0 * least_normal;
  x.norm = (largest * x.norm + shift) * rounded_up;
}

/// sqrt(n) is the largest |y| of an element and of a row, and the Lipschitz constant
/// (standardise_norms). In double precision, means are off by e X and deviations by e X + e
/// deviation at most, e = (n + 8) 2^-52 and X the largest |x|; deviations are at least 1 / sqrt(n).
void standardise(Rounded& x) {
  const auto n = static_cast<double>(x.elements);
  const double root = std::sqrt(n) * rounded_up;
  double largest = 0.0;
  for (std::size_t c = 0; c < x.size.size(); ++c)
    largest = std::max(largest, x.size[c] + x.error[c]);
  const double in_double = 2.0 * (n + 8.0) * 0x1p-52 * (largest * (n + 2.0 * root) + root);
  const double before = root * x.norm_of_error;
  x.size = {root};
  x.error = {(before + gamma(1) * root + in_double) * rounded_up};
  x.norm = root;
  x.norm_of_error = (before + gamma(1) * root + root * in_double) * rounded_up;
}

/// The 2-norms of a convolution, and of the one with the absolute values of its weights.
struct LayerNorms {
  double plain = 0.0, absolute = 0.0;
};

LayerNorms layer_norms(const kernels::InferenceStep& step) {
  const kernels::Conv2dShape& s = step.convolution;
  const ConvGeometry geometry{.in_h = s.in_h,
                              .in_w = s.in_w,
                              .in_c = s.in_c,
                              .out_c = s.out_c,
                              .kernel_h = s.kernel_h,
                              .kernel_w = s.kernel_w,
                              .stride = s.stride};
  const auto norm = [&](std::span<const float> weight) {
    return conv_norms(weight, geometry, SensitivityForm::tight)[1][1];
  };
  std::vector<float> weight = step.weight;
  const std::size_t row = weight.size() / static_cast<std::size_t>(s.out_c);
  for (std::size_t i = 0; i < weight.size(); ++i)
    weight[i] = std::abs(weight[i] * (step.scale.empty() ? 1.0f : step.scale[i / row]));
  const double absolute = norm(weight) * (1.0 + 0x1p-22);  // one rounding each
  return {step.scale.empty() ? norm(step.weight) : absolute, absolute};
}

/// `by_norm`: whether another convolution follows or went before.
void convolve(const kernels::InferenceStep& step, Rounded& x, bool by_norm) {
  const kernels::Conv2dShape& s = step.convolution;
  const auto in = static_cast<std::size_t>(s.in_c), out = static_cast<std::size_t>(s.out_c);
  const auto taps = static_cast<std::size_t>(s.kernel_h * s.kernel_w);
  // Of the products, the scale, in the weights or behind the sum, and the shift.
  const auto terms = static_cast<double>(in * taps);
  const double g = gamma(terms + 3.0), lost = (terms + 3.0) * least_normal;
  x.spread(s.in_c);
  Rounded y{.elements = s.out_h() * s.out_w() * s.out_c,
            .size = Values(out),
            .error = Values(out),
            .norm = std::numeric_limits<double>::infinity(),
            .norm_of_error = std::numeric_limits<double>::infinity()};
  for (std::size_t o = 0; o < out; ++o) {
    double size = 0.0, error = 0.0;
    for (std::size_t i = 0; i < in; ++i)
      for (std::size_t at = 0; at < taps; ++at) {
        const double w = std::abs(static_cast<double>(step.weight[(o * in + i) * taps + at]));
        size += w * x.size[i];
        error += w * x.error[i];
      }
    const double scale = of_channel(step.scale, o, 1.0), shift = of_channel(step.shift, o, 0.0);
    y.error[o] =
        (scale * error + g * (scale * (size + error) + shift)) * rounded_up + lost * (1.0 + scale);
    y.size[o] = (scale * size + shift) * rounded_up;
  }
  if (by_norm) {
    const LayerNorms norms = layer_norms(step);
    const double shift = norm_of_shift(step.shift, y.positions());
    const double largest_scale =
        step.scale.empty()
            ? 1.0
            : std::abs(std::ranges::max(step.scale, {}, [](float v) { return std::abs(v); }));
    y.norm = (norms.plain * x.norm + shift) * rounded_up;
    y.norm_of_error = (norms.plain * x.norm_of_error +
                       g * (norms.absolute * (x.norm + x.norm_of_error) + shift)) *
                          rounded_up +
                      std::sqrt(static_cast<double>(y.elements)) * lost * (1.0 + largest_scale);
  }
  x = std::move(y);
}

/// ReLU rounds nothing; a slope is one more product.
void activate(const kernels::Activation& activation, Rounded& x) {
  if (activation.is_identity() || activation == kernels::Activation::relu()) return;
  for (std::size_t c = 0; c < x.error.size(); ++c)
    x.error[c] = (x.error[c] + gamma(1) * (x.size[c] + x.error[c])) * rounded_up + least_normal;
  x.norm_of_error = (x.norm_of_error + gamma(1) * (x.norm + x.norm_of_error)) * rounded_up +
                    std::sqrt(static_cast<double>(x.elements)) * least_normal;
}

/// 16 bits, none below.
double up_to_16_bits(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  return std::ldexp(std::ceil(std::ldexp(mantissa, 16)), exponent - 16);
}

double in_norm_of(Mechanism mechanism, const Rounded& x) {
  switch (norm_of(mechanism)) {
    case AttackNorm::l2:
      return x.norm_of_error;
    case AttackNorm::l1:
      return std::min(x.positions() * sum_of(x.error, std::identity()),
                      std::sqrt(static_cast<double>(x.elements)) * x.norm_of_error) *
             rounded_up;
    case AttackNorm::linf:
      break;
  }
  fail("no mechanism depends on the {}-norm", name(norm_of(mechanism)));
}

}  // namespace

double truncation(kernels::NoiseDistribution distribution, std::int64_t elements) {
  switch (distribution) {
    case kernels::NoiseDistribution::none:
      break;
    case kernels::NoiseDistribution::gaussian:
      return std::ldexp(static_cast<double>((elements + 1) / 2), -33);
    case kernels::NoiseDistribution::laplace:
      return std::ldexp(static_cast<double>(elements), -32);
  }
  fail("noise {} is never cut off", static_cast<int>(distribution));
}

double prefix_error(const kernels::InferencePlan& prefix, double pixel_shift, Mechanism mechanism) {
  const double largest = std::max(std::abs(pixel_shift), std::abs(1.0 + pixel_shift));
  Rounded x{.elements = prefix.sizes.front(),
            .size = {largest * (1.0 + 2.0 * roundoff)},
            .error = {0.0},
            .norm = std::numeric_limits<double>::infinity()};
  x.tighten();
  const auto convolutions =
      std::ranges::count(prefix.steps, Kind::convolution, &kernels::InferenceStep::kind);
  for (const kernels::InferenceStep& step : prefix.steps) {
    if (step.has_residual())
      fail("the rounding of layer {} before the noise is not known: it adds two values", step.name);
    switch (step.kind) {
      case Kind::scaling:
        rescale(step, x);
        break;
      case Kind::standardise:
        standardise(x);
        break;
      case Kind::convolution:
        convolve(step, x, convolutions > 1);
        break;
      case Kind::dense:
      case Kind::addition:
      case Kind::shortcut:
      case Kind::pool:
      case Kind::noise:
      case Kind::operation:
        fail("the rounding of layer {} before the noise is not known", step.name);
    }
    activate(step.activation, x);
    x.tighten();
  }
  return up_to_16_bits(in_norm_of(mechanism, x));
}

Calibration charged(Calibration calibration, const Model& model) {
  const kernels::NetworkPlan plan = lower(Stream(), model.network);
  calibration.variation = truncation(plan.distribution, plan.noise_size());
  calibration.prefix_error = prefix_error(plan.prefix, model.pixel_shift, calibration.mechanism);
  return calibration;
}

}  // namespace pixeldp
