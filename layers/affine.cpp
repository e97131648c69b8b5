#include "layers/affine.hpp"

#include "engine/error.hpp"
#include "kernels/elementwise.hpp"

namespace pixeldp::layers {
namespace {

/// What is saved by a backward pass, for the next one: constants, and memory.
enum : std::size_t { zeros, ones, workspace, unused, saved_tensors };

const Affine::Options& checked(const std::string& name, const Affine::Options& options) {
  constexpr std::int64_t most = std::int64_t{1} << 28;
  if (options.channels < 1 || options.channels > most)
    fail("layer {} cannot have {} channels", name, options.channels);
  return options;
}

}  // namespace

Affine::Affine(std::string name, const Options& options)
    : Layer(std::move(name)),
      options_(checked(this->name(), options)),
      weight_(this->name() + ".weight", {options.channels}),
      bias_(this->name() + ".bias", {options.channels}) {
  weight_.value.fill(1.0f);
  weight_.decays = bias_.decays = false;
}

Shape Affine::output_shape(std::span<const Shape> x) const {
  const std::int64_t last = x[0][x[0].rank() - 1], channels = options_.channels;
  if (last != channels && x[0].row_size() != channels)
    fail("layer {} takes {} channels, not those of {}", name(), channels, x[0].text());
  return x[0];
}

kernels::BatchNormParams Affine::params(const Shape& x) const {
  return {.rows = output_shape({&x, 1}).size() / options_.channels,
          .channels = options_.channels,
          .activation = options_.activation};
}

void Affine::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  y.resize(x[0]->shape(), pass.stream.device());
  kernels::batch_norm_inference(pass.stream, params(x[0]->shape()), x[0]->data(),
                                weight_.value.data(), bias_.value.data(), y.data());
}

void Affine::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y,
                      Saved& saved, Tensor& dy, std::span<Tensor* const>) {
  const Stream& stream = pass.stream;
  const Device device = stream.device();
  kernels::BatchNormParams p = params(x[0]->shape());
  if (saved.size() != saved_tensors || saved[zeros].device() != device) {
    saved.clear();
    saved.resize(saved_tensors);
    saved[zeros] = Tensor({options_.channels}, device);
    Tensor constant(saved[zeros].shape());
    constant.fill(1.0f);
    saved[ones] = constant.to(stream, device);
  }
  if (pass.trains(weight_) || pass.trains(bias_)) {
    // A batch normalisation of mean 0 and deviation 1 has the same gradients in its parameters; its
    // gradient in x is another one.
    saved[workspace].resize({kernels::batch_norm_workspace_size(p)}, device);
    saved[unused].resize(dy.shape(), device);
    for (Parameter* parameter : {&weight_, &bias_})
      parameter->gradient.resize(parameter->value.shape(), device);
    kernels::batch_norm_backward(stream, p, x[0]->data(), saved[zeros].data(), saved[ones].data(),
                                 weight_.value.data(), bias_.value.data(), dy.data(),
                                 saved[unused].data(), weight_.gradient.data(),
                                 bias_.gradient.data(), saved[workspace].data());
    for (Parameter* parameter : {&weight_, &bias_})
      if (!pass.trains(*parameter)) parameter->gradient = {};
  }
  kernels::activation_backward(stream, p.activation, y.size(), y.data(), dy.data());
  p.activation = kernels::Activation::identity();
  kernels::batch_norm_inference(stream, p, dy.data(), weight_.value.data(), saved[zeros].data(),
                                dy.data());
}

kernels::InferenceStep Affine::lower(const Stream& stream, std::span<const Shape> x) const {
  output_shape(x);
  return {.kind = kernels::InferenceStep::Kind::scaling,
          .name = name(),
          .activation = options_.activation,
          .outputs = options_.channels,
          .scale = host_values(stream, weight_.value),
          .shift = host_values(stream, bias_.value)};
}

}  // namespace pixeldp::layers
