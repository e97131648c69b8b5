#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/dense.hpp"
#include "layers/layer.hpp"
#include "layers/noise.hpp"

namespace pixeldp::layers {

/// A PixelDP classifier in the order the data travels:
///   image -> prefix (once per image) -> noise (once per draw) -> body -> head -> logits.
/// A network without noise is the same with a noise layer that adds nothing.
struct Network {
  std::string architecture;  ///< the name under which the network was built
  Shape input;               ///< of one image: 1, H, W, C
  std::vector<std::unique_ptr<Layer>> prefix;
  Noise noise;
  std::vector<std::unique_ptr<Layer>> body;
  std::unique_ptr<Dense> head;

  int classes() const { return static_cast<int>(head->options().out); }
  /// Every parameter, in the order of the layers.
  std::vector<Parameter*> parameters() const;
  /// Every buffer, likewise.
  std::vector<LayerBuffer*> buffers() const;
  /// What a model file holds: all parameters, and the buffers that are saved.
  std::vector<const NamedTensor*> saved_tensors() const;
  std::int64_t parameter_count() const;
  /// Moves parameters and buffers to the memory of `device`, which is the stream's or the
  /// processor.
  void move_to(const Stream& stream, Device device) const;
  /// Shape of `rows` rows between prefix and noise.
  Shape noise_shape(std::int64_t rows) const;
  /// Shape of `rows` rows between body and head.
  Shape feature_shape(std::int64_t rows) const;
};

/// Keeps a network's parameters and buffers in the memory of `device`, the stream's or the
/// processor, for one scope.
class ParametersOn {
 public:
  ParametersOn(const Stream& stream, const Network& network, Device device)
      : stream_(stream), network_(network), before_(network.head->bias().value.device()) {
    if (before_ != device) network_.move_to(stream_, device);
    moved_ = before_ != device;
  }
  ~ParametersOn() {
    if (moved_) network_.move_to(stream_, before_);
  }
  ParametersOn(const ParametersOn&) = delete;
  ParametersOn& operator=(const ParametersOn&) = delete;

 private:
  const Stream& stream_;
  const Network& network_;
  Device before_;
  bool moved_;
};

/// The activations and gradients of one training batch, kept from step to step to save allocations.
class TrainingPass {
 public:
  explicit TrainingPass(Network& network) : network_(network) {}

  /// Images [N, H, W, C] to logits [N, classes]; draws.rows has one entry per image.
  const Tensor& forward(const Stream& stream, Mode mode, const Tensor& images,
                        const Noise::Draws& draws);
  /// From the gradient in the logits (used up) to the gradient in every parameter, if the mode was
  /// training; and in the images if dimages is given. Follows a forward with the same images.
  void backward(const Stream& stream, const Tensor& images, Tensor& dlogits,
                Tensor* dimages = nullptr);

 private:
  Network& network_;
  std::vector<Tensor> prefix_, body_;                      // outputs of each layer
  std::vector<Tensor> prefix_gradients_, body_gradients_;  // in the inputs of each layer
  std::vector<Saved> prefix_saved_, body_saved_;
  Saved head_saved_;
  Mode mode_ = Mode::training;
  Tensor noisy_, logits_, dfeatures_;
};

}  // namespace pixeldp::layers
