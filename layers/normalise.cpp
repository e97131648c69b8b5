#include "layers/normalise.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "layers/batch_norm.hpp"

namespace pixeldp::layers {
namespace {

kernels::BatchNormParams params_for(const Shape& input) {
  const std::int64_t channels = input[input.rank() - 1];
  return {.rows = input.size() / channels, .channels = channels, .activation = {}};
}

}  // namespace

Normalise::Normalise(std::string name, std::span<const double> mean,
                     std::span<const double> deviation)
    : name_(std::move(name)),
      scale_(name_ + ".scale", {std::ssize(mean)}),
      shift_(name_ + ".shift", {std::ssize(mean)}),
      zeros_(name_ + ".zeros", {std::ssize(mean)}) {
  for (std::size_t c = 0; c < mean.size(); ++c) {
    scale_.value.data()[c] = static_cast<float>(1.0 / deviation[c]);
    shift_.value.data()[c] = static_cast<float>(-mean[c] / deviation[c]);
  }
  for (LayerBuffer* buffer : buffers()) buffer->saved = false;
}

Shape Normalise::output_shape(const Shape& input) const {
  if (input[input.rank() - 1] != scale_.value.size()) {
    fail("layer {} takes images of {} channels, not {}", name_, scale_.value.size(), input.text());
  }
  return input;
}

double Normalise::largest_scale() const {
  const auto scales = scale_.value.values();
  return *std::max_element(scales.begin(), scales.end());
}

void Normalise::forward(const Stream& stream, const Tensor& x, Tensor& y, Saved&) {
  y.resize(output_shape(x.shape()), stream.device());
  kernels::batch_norm_inference(stream, params_for(x.shape()), x.data(), scale_.value.data(),
                                shift_.value.data(), y.data());
}

void Normalise::backward(const Stream& stream, const Tensor& x, const Tensor&, Saved&, Tensor& dy,
                         Tensor* dx) {
  if (!dx) return;
  dx->resize(x.shape(), stream.device());
  kernels::batch_norm_inference(stream, params_for(x.shape()), dy.data(), scale_.value.data(),
                                zeros_.value.data(), dx->data());
}

std::unique_ptr<kernels::Prepared> Normalise::prepare(const Stream& stream, const Shape& input,
                                                      kernels::Precision) const {
  return std::make_unique<PreparedScaling>(stream, params_for(output_shape(input)),
                                           scale_.value.to(stream, stream.device()),
                                           shift_.value.to(stream, stream.device()));
}

int Normalise::plan(kernels::InferencePlan& plan, int x, const Shape& input) const {
  output_shape(input);
  const auto values = [](const LayerBuffer& buffer) {
    return std::vector<float>(buffer.value.values().begin(), buffer.value.values().end());
  };
  return plan.add({.kind = kernels::InferenceStep::Kind::scaling,
                   .name = name_,
                   .input = x,
                   .outputs = scale_.value.size(),
                   .scale = values(scale_),
                   .shift = values(shift_)});
}

}  // namespace pixeldp::layers
