#include "layers/network.hpp"

#include <utility>

namespace pixeldp::layers {
namespace {

const Tensor& input_of(const std::vector<Tensor>& outputs, std::size_t i, const Tensor& first) {
  return i == 0 ? first : outputs[i - 1];
}

const Tensor& run(const Stream& stream, const std::vector<std::unique_ptr<Layer>>& layers,
                  Mode mode, const Tensor& first, std::vector<Tensor>& outputs,
                  std::vector<Saved>& saved) {
  outputs.resize(layers.size());
  saved.resize(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    saved[i].mode = mode;
    layers[i]->forward(stream, input_of(outputs, i, first), outputs[i], saved[i]);
  }
  return outputs.empty() ? first : outputs.back();
}

/// Walks back through `layers` from dy of the last one and returns dx of the first one (if
/// `through`). The gradient in the input of layer i is kept in gradients[i].
Tensor* run_back(const Stream& stream, const std::vector<std::unique_ptr<Layer>>& layers,
                 const Tensor& first, const std::vector<Tensor>& outputs, std::vector<Saved>& saved,
                 std::vector<Tensor>& gradients, Tensor* dy, bool through) {
  gradients.resize(layers.size());
  for (std::size_t i = layers.size(); i-- > 0;) {
    Tensor* dx = i > 0 || through ? &gradients[i] : nullptr;
    layers[i]->backward(stream, input_of(outputs, i, first), outputs[i], saved[i], *dy, dx);
    dy = dx;
  }
  return dy;
}

Shape shape_after(const std::vector<std::unique_ptr<Layer>>& layers, Shape shape) {
  for (const auto& layer : layers) shape = layer->output_shape(shape);
  return shape;
}

template <class T, class Of>
std::vector<T*> all_of(const Network& network, Of of) {
  std::vector<T*> all;
  const auto add = [&](Layer& layer) {
    for (T* tensor : of(layer)) all.push_back(tensor);
  };
  for (const auto& layer : network.prefix) add(*layer);
  for (const auto& layer : network.body) add(*layer);
  add(*network.head);
  return all;
}

}  // namespace

std::vector<Parameter*> Network::parameters() const {
  return all_of<Parameter>(*this, [](Layer& layer) { return layer.parameters(); });
}

std::vector<LayerBuffer*> Network::buffers() const {
  return all_of<LayerBuffer>(*this, [](Layer& layer) { return layer.buffers(); });
}

std::vector<const NamedTensor*> Network::saved_tensors() const {
  std::vector<const NamedTensor*> all;
  for (const Parameter* parameter : parameters()) all.push_back(parameter);
  for (const LayerBuffer* buffer : buffers())
    if (buffer->saved) all.push_back(buffer);
  return all;
}

void Network::move_to(const Stream& stream, Device device) const {
  for (Parameter* parameter : parameters()) parameter->value = parameter->value.to(stream, device);
  for (LayerBuffer* buffer : buffers()) buffer->value = buffer->value.to(stream, device);
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

const Tensor& TrainingPass::forward(const Stream& stream, Mode mode, const Tensor& images,
                                    const Noise::Draws& draws) {
  mode_ = head_saved_.mode = mode;
  const Tensor& clean = run(stream, network_.prefix, mode, images, prefix_, prefix_saved_);
  network_.noise.forward(stream, draws, clean, noisy_);
  const Tensor& features = run(stream, network_.body, mode, noisy_, body_, body_saved_);
  network_.head->forward(stream, features, logits_, head_saved_);
  return logits_;
}

void TrainingPass::backward(const Stream& stream, const Tensor& images, Tensor& dlogits,
                            Tensor* dimages) {
  const Tensor& features = body_.empty() ? noisy_ : body_.back();
  network_.head->backward(stream, features, logits_, head_saved_, dlogits, &dfeatures_);
  const bool before_noise = dimages || (mode_ == Mode::training && !network_.prefix.empty());
  Tensor* gradient = run_back(stream, network_.body, noisy_, body_, body_saved_, body_gradients_,
                              &dfeatures_, before_noise);
  if (!before_noise) return;
  network_.noise.backward(stream, noisy_, *gradient);
  gradient = run_back(stream, network_.prefix, images, prefix_, prefix_saved_, prefix_gradients_,
                      gradient, dimages != nullptr);
  if (dimages) *dimages = gradient->to(stream, stream.device());
}

}  // namespace pixeldp::layers
