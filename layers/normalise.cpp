#include "layers/normalise.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "kernels/batch_norm.hpp"

namespace pixeldp::layers {
namespace {

kernels::BatchNormParams params_for(const Shape& input) {
  const std::int64_t channels = input[input.rank() - 1];
  return {.rows = input.size() / channels, .channels = channels, .activation = {}};
}

}  // namespace

Normalise::Normalise(std::string name, std::span<const double> mean,
                     std::span<const double> deviation)
    : Layer(std::move(name)),
      scale_(this->name() + ".scale", {std::ssize(mean)}),
      shift_(this->name() + ".shift", {std::ssize(mean)}),
      zeros_(this->name() + ".zeros", {std::ssize(mean)}) {
  for (std::size_t c = 0; c < mean.size(); ++c) {
    scale_.value.data()[c] = static_cast<float>(1.0 / deviation[c]);
    shift_.value.data()[c] = static_cast<float>(-mean[c] / deviation[c]);
  }
  for (LayerBuffer* buffer : {&scale_, &shift_, &zeros_}) buffer->saved = false;
}

Shape Normalise::output_shape(std::span<const Shape> x) const {
  if (x[0][x[0].rank() - 1] != scale_.value.size()) {
    fail("layer {} takes images of {} channels, not {}", name(), scale_.value.size(), x[0].text());
  }
  return x[0];
}

double Normalise::largest_scale(const Stream& stream) const {
  return std::ranges::max(host_values(stream, scale_.value));
}

void Normalise::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  y.resize(x[0]->shape(), pass.stream.device());
  kernels::batch_norm_inference(pass.stream, params_for(x[0]->shape()), x[0]->data(),
                                scale_.value.data(), shift_.value.data(), y.data());
}

void Normalise::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor&, Saved&,
                         Tensor& dy, std::span<Tensor* const>) {
  kernels::batch_norm_inference(pass.stream, params_for(x[0]->shape()), dy.data(),
                                scale_.value.data(), zeros_.value.data(), dy.data());
}

kernels::InferenceStep Normalise::lower(const Stream& stream, std::span<const Shape> x) const {
  output_shape(x);
  return {.kind = kernels::InferenceStep::Kind::scaling,
          .name = name(),
          .outputs = scale_.value.size(),
          .scale = host_values(stream, scale_.value),
          .shift = host_values(stream, shift_.value)};
}

}  // namespace pixeldp::layers
