#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/device.hpp"
#include "engine/tensor.hpp"
#include "kernels/inference.hpp"
#include "kernels/noise.hpp"
#include "kernels/prepared.hpp"

namespace pixeldp::layers {

/// A tensor of a layer under a name, in host memory until Network::move_to. Names are PyTorch's
/// ("conv1.weight"), convolutions OIHW.
struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  Tensor value;  ///< flat

  NamedTensor(std::string tensor_name, std::vector<std::int64_t> extents);
};

/// A trainable tensor with its gradient.
struct Parameter : NamedTensor {
  Tensor gradient;  ///< empty before the first backward pass
  /// Multiplies the gradient in the optimiser's step. A layer that is parameterised as value = raw
  /// / c has dL/draw = dL/dvalue / c; stepping raw by its gradient steps value by dL/dvalue / c^2.
  float gradient_scale = 1.0f;
  /// Subject to weight decay (biases, and the scales of batch normalisation, are not).
  bool decays = true;

  using NamedTensor::NamedTensor;
};

/// A tensor that no gradient changes: running statistics, constants.
struct LayerBuffer : NamedTensor {
  bool saved = true;          ///< part of the model file
  bool not_negative = false;  ///< what a file holds for it must not be

  using NamedTensor::NamedTensor;
};

enum class Mode {
  training,  ///< batch normalisation takes the batch's statistics, and updates the running ones
  inference  ///< it takes the running ones; a row's result depends on that row alone
};

/// What a layer keeps from a forward pass for the backward pass that follows. The caller owns it,
/// one for each layer, and sets the mode; it is kept from step to step to save allocations.
struct Saved {
  Mode mode = Mode::training;
  std::vector<Tensor> tensors;
  std::vector<Saved> parts;  ///< of the layers that a layer is made of, in the same mode

  /// Makes room for so many of both, which then stay where they are.
  void hold(std::size_t tensor_count, std::size_t part_count = 0);
};

/// The noise and the layer after it, prepared as one.
class PreparedNoisy {
 public:
  virtual ~PreparedNoisy() = default;
  /// As add_noise: row i of y is what the layer makes of prefix row rows[i].source and its noise.
  /// rows, prefix and y lie in the memory of the stream's device.
  virtual void run(const kernels::NoiseParams& noise, const kernels::NoiseRow* rows,
                   const float* prefix, float* y) const = 0;
};

/// One differentiable step of a network. Layers keep parameters but no activations: the caller owns
/// x, y and what is saved.
class Layer {
 public:
  virtual ~Layer() = default;
  virtual std::string name() const = 0;
  /// Throws an Error when the layer cannot take this input.
  virtual Shape output_shape(const Shape& input) const = 0;
  /// In training mode this may change the layer's buffers.
  virtual void forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) = 0;
  /// Follows a forward pass with the same x, y and saved. Writes the gradient in x, unless dx is
  /// null, and in training mode the parameters' gradients: in inference mode only inputs have one.
  /// dy is used up.
  virtual void backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved,
                        Tensor& dy, Tensor* dx) = 0;
  /// The forward pass in inference mode for a fixed number of rows, with parameters and buffers as
  /// they are now. They, x and y lie in the memory of the stream's device.
  virtual std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                                     kernels::Precision precision) const = 0;
  /// Appends what prepare() prepares to a plan: x is the number of a value of this shape (of one
  /// row). Returns the number of the result. Parameters and buffers are in host memory. Layers that
  /// never follow the noise have no plan and throw an Error that names them.
  virtual int plan(kernels::InferencePlan& plan, int x, const Shape& input) const;
  /// prepare with add_noise in front of it, to the same bits. Null where there is no kernel for
  /// this layer, input, precision and device: then the one follows the other.
  virtual std::unique_ptr<PreparedNoisy> prepare_noisy(const Stream&, const Shape& /*input*/,
                                                       kernels::Precision) const {
    return nullptr;
  }
  virtual std::vector<Parameter*> parameters() { return {}; }
  virtual std::vector<LayerBuffer*> buffers() { return {}; }
};

}  // namespace pixeldp::layers
