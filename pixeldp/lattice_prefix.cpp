#include "pixeldp/lattice_prefix.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "kernels/lattice_noise.hpp"

namespace pixeldp {
namespace {

using Kind = kernels::InferenceStep::Kind;

constexpr double largest_pixel = 255.0;
constexpr const char* what_takes_it =
    "--sound takes noise in the image, or after one convolution: certify without it, or train with "
    "noise.after_layers 0 or 1";

/// To the nearest whole number, where that is one of sums that fit.
std::int32_t whole(double steps) {
  if (!(std::abs(steps) <= static_cast<double>(kernels::most_lattice_steps)))
    fail_usage(
        "--sound: a value before the noise is more than 1024 noise scales: there the lattice ends. "
        "Take more noise, or certify without --sound");
  return static_cast<std::int32_t>(std::lround(steps));
}

/// visit(tap, pixel) for each tap (y, x) of output (oy, ox) whose pixel, (oy s - before + y, ...),
/// lies in the image.
template <typename Visit>
void for_taps(const kernels::Conv2dShape& s, std::int64_t oy, std::int64_t ox, const Visit& visit) {
  for (std::int64_t y = 0; y < s.kernel_h; ++y)
    for (std::int64_t x = 0; x < s.kernel_w; ++x) {
      const std::int64_t iy = oy * s.stride - s.pad_h.before + y,
                         ix = ox * s.stride - s.pad_w.before + x;
      if (iy >= 0 && iy < s.in_h && ix >= 0 && ix < s.in_w)
        visit(y * s.kernel_w + x, iy * s.in_w + ix);
    }
}

}  // namespace

LatticePrefix::LatticePrefix(const kernels::NetworkPlan& network, double pixel_shift)
    : pixel_shift_(static_cast<float>(pixel_shift)), image_size_(network.image_size()) {
  kernels::lattice_variation(network.distribution);  // refuses what is no such noise
  step_ = std::ldexp(static_cast<double>(network.noise_scale), -kernels::lattice_bits);

  std::vector<double> scale = {1.0}, shift = {0.0};
  const kernels::InferenceStep* convolution = nullptr;
  for (const kernels::InferenceStep& step : network.prefix.steps) {
    if (step.kind == Kind::scaling && !convolution && step.activation.is_identity()) {
      scale.assign(step.scale.begin(), step.scale.end());
      shift.assign(step.shift.begin(), step.shift.end());
    } else if (step.kind == Kind::convolution && !convolution && !step.has_residual() &&
               (step.activation.is_identity() || step.activation == kernels::Activation::relu())) {
      convolution = &step;
    } else {
      fail_usage("layer {} before the noise: {}", step.name, what_takes_it);
    }
  }
  if (convolution) {
    shape_ = convolution->convolution;
    convolves_ = true;
    rectifies_ = !convolution->activation.is_identity();
  } else {
    const auto channels = std::ssize(scale);
    shape_.in_h = shape_.kernel_h = shape_.kernel_w = 1;
    shape_.in_w = image_size_ / channels;
    shape_.in_c = shape_.out_c = channels;
  }
  const auto channels = static_cast<std::size_t>(shape_.in_c);
  scale.resize(channels, scale.front());
  shift.resize(channels, shift.front());
  const auto outputs = static_cast<std::size_t>(shape_.out_c);
  const auto positions = static_cast<std::size_t>(shape_.kernel_h * shape_.kernel_w);
  const auto of_output = [](const std::vector<float>& values, std::size_t o, double none) {
    return values.empty() ? none : static_cast<double>(values[o]);
  };
  // What a tap adds to its output, of the image's scaled and shifted channel.
  const auto tap = [&](std::size_t o, std::size_t i, std::size_t at) {
    if (!convolution) return o == i ? 1.0 : 0.0;
    return of_output(convolution->scale, o, 1.0) *
           static_cast<double>(convolution->weight[(o * channels + i) * positions + at]);
  };
  weight_.resize(outputs * channels * positions);
  taps_.resize(weight_.size());
  for (std::size_t o = 0; o < outputs; ++o)
    for (std::size_t i = 0; i < channels; ++i)
      for (std::size_t at = 0; at < positions; ++at) {
        const std::int32_t q = whole(tap(o, i, at) * scale[i] / (largest_pixel * step_));
        weight_[(o * channels + i) * positions + at] = q;
        taps_[(at * channels + i) * outputs + o] = q;
      }
  constants_.resize(static_cast<std::size_t>(shape_.out_h() * shape_.out_w()) * outputs);
  auto constant = constants_.begin();
  for (std::int64_t oy = 0; oy < shape_.out_h(); ++oy)
    for (std::int64_t ox = 0; ox < shape_.out_w(); ++ox)
      for (std::size_t o = 0; o < outputs; ++o) {
        double sum = convolution ? of_output(convolution->shift, o, 0.0) : 0.0;
        for_taps(shape_, oy, ox, [&](std::int64_t at, std::int64_t) {
          for (std::size_t i = 0; i < channels; ++i)
            sum += tap(o, i, static_cast<std::size_t>(at)) *
                   (shift[i] + scale[i] * static_cast<double>(pixel_shift_));
        });
        *constant++ = whole(sum / step_);
      }
  check_range();
}

void LatticePrefix::check_range() const {
  std::int64_t constant = 0, change = 0;
  for (const std::int32_t c : constants_) constant = std::max(constant, std::abs(std::int64_t{c}));
  const std::size_t row = weight_.size() / static_cast<std::size_t>(shape_.out_c);
  for (std::size_t first = 0; first < weight_.size(); first += row) {
    std::int64_t sum = 0;
    for (std::size_t i = first; i < first + row; ++i) sum += std::abs(std::int64_t{weight_[i]});
    change = std::max(change, 255 * sum);
  }
  const std::int64_t most = change + constant;
  if (change == 0)
    fail_usage(
        "--sound: all weights before the noise are smaller than half a step of the lattice, {:.3g} "
        "of the noise scale for a pixel: take less noise, or certify without --sound",
        std::ldexp(1.0, -kernels::lattice_bits));
  if (most > kernels::most_lattice_steps)
    fail_usage(
        "--sound: values before the noise may be {:.0f} noise scales, and the lattice ends at "
        "1024: take more noise, {:.3g} at least, or certify without --sound",
        std::ldexp(static_cast<double>(most), -kernels::lattice_bits),
        std::ldexp(step_ * static_cast<double>(most), -10));
}

void LatticePrefix::run(const float* pixels, std::int32_t* steps) const {
  std::vector<std::int32_t> image(static_cast<std::size_t>(image_size_));
  for (std::size_t i = 0; i < image.size(); ++i) {
    const float nearest =
        std::round((pixels[i] - pixel_shift_) * static_cast<float>(largest_pixel));
    const bool byte = nearest >= 0.0f && nearest <= static_cast<float>(largest_pixel);
    if (!byte || pixel_value(static_cast<std::uint8_t>(nearest), pixel_shift_) != pixels[i])
      fail(
          "--sound: value {} of an image is {}, which is no pixel of 8 bits: certify such images "
          "without --sound",
          i, pixels[i]);
    image[i] = static_cast<std::int32_t>(nearest);
  }
  std::copy(constants_.begin(), constants_.end(), steps);
  const auto channels = shape_.in_c, outputs = shape_.out_c;
  for (std::int64_t oy = 0; oy < shape_.out_h(); ++oy)
    for (std::int64_t ox = 0; ox < shape_.out_w(); ++ox, steps += outputs) {
      for_taps(shape_, oy, ox, [&](std::int64_t at, std::int64_t pixel) {
        for (std::int64_t i = 0; i < channels; ++i) {
          const std::int32_t u = image[static_cast<std::size_t>(pixel * channels + i)];
          const std::int32_t* const w =
              &taps_[static_cast<std::size_t>((at * channels + i) * outputs)];
          for (std::int64_t o = 0; o < outputs; ++o) steps[o] += w[o] * u;
        }
      });
      if (rectifies_)
        for (std::int64_t o = 0; o < outputs; ++o) steps[o] = std::max(steps[o], 0);
    }
}

NormTable LatticePrefix::norms(SensitivityForm form) const {
  NormTable norms;
  if (convolves_) {
    // Whole numbers below 2^24, which floats hold exactly.
    const std::vector<float> weight(weight_.begin(), weight_.end());
    norms = conv_norms(weight,
                       {.in_h = shape_.in_h,
                        .in_w = shape_.in_w,
                        .in_c = shape_.in_c,
                        .out_c = shape_.out_c,
                        .kernel_h = shape_.kernel_h,
                        .kernel_w = shape_.kernel_w,
                        .stride = shape_.stride},
                       form);
  } else {
    norms = identity_norms(image_size_);
    const auto largest = static_cast<double>(
        std::abs(std::ranges::max(weight_, {}, [](std::int32_t q) { return std::abs(q); })));
    for (auto& row : norms)
      for (double& norm : row) norm *= largest;
  }
  const double unit = largest_pixel * step_ * (1.0 + 8 * std::numeric_limits<double>::epsilon());
  for (auto& row : norms)
    for (double& norm : row) norm *= unit;
  return norms;
}

LatticeModel on_lattice(const Model& model) {
  LatticeModel lattice{.prefix = nullptr, .norms = {}, .calibration = check_certifiable(model)};
  lattice.prefix =
      std::make_shared<LatticePrefix>(lower(Stream(), model.network), model.pixel_shift);
  lattice.norms = lattice.prefix->norms(model.form);
  Calibration& c = lattice.calibration;
  const double sensitivity = sensitivity_of(lattice.norms, c.attack_norm, c.mechanism);
  constexpr double worth_refusing = 1.01;
  if (sensitivity > worth_refusing * c.sensitivity)
    fail(
        "--sound: the weights before the noise, rounded to steps of the lattice ({:.3g}), have a "
        "sensitivity of {:.6g}, which exceeds the calibration's {:.6g} by more than a hundredth: "
        "take less noise, or certify without --sound",
        lattice.prefix->step(), sensitivity, c.sensitivity);
  c.sensitivity = sensitivity;
  c.lattice_step = lattice.prefix->step();
  c.variation = static_cast<double>(lattice.prefix->elements()) *
                kernels::lattice_variation(distribution_of(c.mechanism)) *
                (1.0 + 4 * std::numeric_limits<double>::epsilon());
  return lattice;
}

std::shared_ptr<const LatticePrefix> lattice_of(const Calibration& calibration,
                                                const Model& model) {
  if (calibration.lattice_step == 0.0) return nullptr;
  return std::make_shared<LatticePrefix>(lower(Stream(), model.network), model.pixel_shift);
}

}  // namespace pixeldp
