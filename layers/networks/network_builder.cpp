#include "layers/networks/network_builder.hpp"

#include "engine/error.hpp"
#include "layers/normalise.hpp"
#include "layers/standardise.hpp"

namespace pixeldp::layers {

NetworkBuilder::NetworkBuilder(const NetworkSpec& spec, std::uint64_t seed)
    : spec_(spec), training_precision_(spec.training_precision), initialise_(seed) {
  network_.architecture = spec.architecture;
  network_.graph = Graph({1, spec.height, spec.width, spec.channels});
}

Value NetworkBuilder::start() {
  Value x = start_;
  if (spec_.standardise) x = append<Standardise>({x}, "standardise");
  if (spec_.noise_after_layers == 0 && !network_.noise)
    x = noise(x, kernels::Activation::identity());
  if (spec_.normalises())
    x = append<Normalise>({x}, "normalise", spec_.input_mean, spec_.input_deviation);
  return x;
}

void NetworkBuilder::append_network(Value x, const std::string& prefix, const NetworkSpec& spec) {
  const NetworkSpec mine = std::exchange(spec_, spec);
  const std::string outside = std::exchange(prefix_, prefix_ + prefix);
  const Value start = std::exchange(start_, x);
  build_network(*this, spec);
  spec_ = mine;
  prefix_ = outside;
  start_ = start;
}

Value NetworkBuilder::noise(Value x, kernels::Activation activation) {
  auto layer = std::make_unique<Noise>("noise", activation);
  network_.noise = layer.get();
  return network_.graph.add(std::move(layer), {x});
}

kernels::Precision NetworkBuilder::precision() const {
  return network_.noise ? training_precision_ : kernels::Precision::fp32;
}

Value NetworkBuilder::convolution(std::string name, Value x, Conv2d::Options options) {
  const bool before_noise = !network_.noise;
  options.in_c = shape(x)[3];
  options.precision = precision();
  auto layer = std::make_unique<Conv2d>(prefix_ + name, options);
  last_convolution_ = {layer.get(), shape(x)};
  initialise_.convolution(*layer, before_noise && spec_.rescale_prefix);
  return network_.graph.add(std::move(layer), {x});
}

Value NetworkBuilder::convolution_and_noise(int layer, std::string name, Value x,
                                            Conv2d::Options options) {
  if (layer != spec_.noise_after_layers || network_.noise)
    return convolution(std::move(name), x, options);
  auto after_noise = kernels::Activation::identity();
  if (spec_.noise_before_activation) std::swap(options.activation, after_noise);
  return noise(convolution(std::move(name), x, options), after_noise);
}

Value NetworkBuilder::transposed(std::string name, Value x, const Convolved& of) {
  auto layer = std::make_unique<TransposedConv2d>(prefix_ + name, *of.layer, of.image, precision());
  Select::Options placement = layer->placement();
  x = network_.graph.add(std::move(layer), {x});
  return append<Select>({x}, name + ".placement", std::move(placement));
}

Value NetworkBuilder::window_convolution(std::string name, Value x,
                                         const kernels::GroupedConv2dShape& shape) {
  auto layer = std::make_unique<Convolution>(prefix_ + name, shape);
  initialise_.convolution(*layer, shape);
  return network_.graph.add(std::move(layer), {x});
}

Value NetworkBuilder::dense(std::string name, Value x, std::int64_t out,
                            kernels::Activation activation) {
  const Value y = blank_dense(std::move(name), x, out, activation);
  initialise_.dense(*network_.head);
  return y;
}

Value NetworkBuilder::blank_dense(std::string name, Value x, std::int64_t out,
                                  kernels::Activation activation) {
  auto layer = std::make_unique<Dense>(prefix_ + name, Dense::Options{.in = shape(x).row_size(),
                                                                      .out = out,
                                                                      .activation = activation,
                                                                      .precision = precision()});
  network_.head = layer.get();
  return network_.graph.add(std::move(layer), {x});
}

Network NetworkBuilder::finish() && {
  if (!network_.noise) fail("{} has no place for its noise", network_.architecture);
  if (!network_.head || network_.graph.nodes().back().layer.get() != network_.head)
    fail("{} does not end in a dense layer", network_.architecture);
  return std::move(network_);
}

}  // namespace pixeldp::layers
