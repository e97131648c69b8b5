#include "layers/network.hpp"

#include <utility>

namespace pixeldp::layers {
namespace {

const Tensor& input_of(const std::vector<Tensor>& outputs, std::size_t i, const Tensor& first) {
  return i == 0 ? first : outputs[i - 1];
}

const Tensor& run(const Stream& stream, const std::vector<std::unique_ptr<Layer>>& layers,
                  const Tensor& first, std::vector<Tensor>& outputs) {
  outputs.resize(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i]->forward(stream, input_of(outputs, i, first), outputs[i]);
  }
  return outputs.empty() ? first : outputs.back();
}

/// Walks back through `layers` from dy of the last one and returns dx of the first one (if
/// `through`). The gradient in the input of layer i is kept in gradients[i].
Tensor* run_back(const Stream& stream, const std::vector<std::unique_ptr<Layer>>& layers,
                 const Tensor& first, const std::vector<Tensor>& outputs,
                 std::vector<Tensor>& gradients, Tensor* dy, bool through) {
  gradients.resize(layers.size());
  for (std::size_t i = layers.size(); i-- > 0;) {
    Tensor* dx = i > 0 || through ? &gradients[i] : nullptr;
    layers[i]->backward(stream, input_of(outputs, i, first), outputs[i], *dy, dx);
    dy = dx;
  }
  return dy;
}

Shape shape_after(const std::vector<std::unique_ptr<Layer>>& layers, Shape shape) {
  for (const auto& layer : layers) shape = layer->output_shape(shape);
  return shape;
}

}  // namespace

std::vector<Parameter*> Network::parameters() const {
  std::vector<Parameter*> all;
  const auto add = [&](Layer& layer) {
    for (Parameter* parameter : layer.parameters()) all.push_back(parameter);
  };
  for (const auto& layer : prefix) add(*layer);
  for (const auto& layer : body) add(*layer);
  add(*head);
  return all;
}

void Network::move_to(const Stream& stream, Device device) const {
  for (Parameter* parameter : parameters()) parameter->value = parameter->value.to(stream, device);
}

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const Parameter* parameter : parameters()) count += parameter->value.size();
  return count;
}

Shape Network::noise_shape(std::int64_t rows) const {
  return shape_after(prefix, input.with_rows(rows));
}

Shape Network::feature_shape(std::int64_t rows) const {
  return shape_after(body, noise_shape(rows));
}

const Tensor& TrainingPass::forward(const Stream& stream, const Tensor& images,
                                    const Noise::Draws& draws) {
  const Tensor& clean = run(stream, network_.prefix, images, prefix_);
  network_.noise.forward(stream, draws, clean, noisy_);
  const Tensor& features = run(stream, network_.body, noisy_, body_);
  network_.head->forward(stream, features, logits_);
  return logits_;
}

void TrainingPass::backward(const Stream& stream, const Tensor& images, Tensor& dlogits,
                            Tensor* dimages) {
  const Tensor& features = body_.empty() ? noisy_ : body_.back();
  network_.head->backward(stream, features, logits_, dlogits, &dfeatures_);
  const bool before_noise = !network_.prefix.empty() || dimages;
  Tensor* gradient =
      run_back(stream, network_.body, noisy_, body_, body_gradients_, &dfeatures_, before_noise);
  if (!before_noise) return;
  network_.noise.backward(stream, noisy_, *gradient);
  gradient = run_back(stream, network_.prefix, images, prefix_, prefix_gradients_, gradient,
                      dimages != nullptr);
  if (dimages) *dimages = gradient->to(stream, stream.device());
}

}  // namespace pixeldp::layers
