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
#include "kernels/training_product.hpp"

namespace pixeldp {
class Communicator;
}

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
  /// Stays as it is in training: no gradient is calculated for it.
  bool frozen = false;
  /// What other layers that read the value, too, add to its gradient, which its own layer adds up.
  Tensor shared_gradient;

  using NamedTensor::NamedTensor;
};

/// A tensor that no gradient changes: running statistics, constants.
struct LayerBuffer : NamedTensor {
  bool saved = true;          ///< part of the model file
  bool not_negative = false;  ///< what a file holds for it must not be
  bool frozen = false;        ///< stays as it is in training, where it takes what it is

  using NamedTensor::NamedTensor;
};

enum class Mode {
  training,  ///< batch normalisation takes the batch's statistics, and updates the running ones
  inference  ///< it takes the running ones; a row's result depends on that row alone
};

/// Which random numbers the noise of a pass uses. `factor` multiplies its scale (ramp-up in
/// training).
struct NoiseDraws {
  std::uint64_t seed = 0;
  StreamTag tag = StreamTag::training;
  float factor = 1.0f;
  std::span<const kernels::NoiseRow> rows = {};  ///< one per row, in the device's memory
  /// Multiplies the scale as well, where it is not null: in the stream's memory, for a graph, which
  /// is launched again with another.
  const float* changing_factor = nullptr;
};

/// Memory in which a layer leaves what it makes rounded to bf16 for the one product that reads it
/// (kernels/training_product.hpp), and whether nobody else reads it: then it is not written in
/// single precision, and what lies there means nothing.
struct RoundedResult {
  std::uint16_t* values = nullptr;  ///< null: it does not
  bool alone = false;
};

/// A forward pass, and the backward pass that follows it, as layers are told of it.
struct Pass {
  const Stream& stream;
  Mode mode = Mode::training;
  NoiseDraws draws = {};
  /// That have as many rows of the batch each, where its statistics are taken over all of them.
  Communicator* ranks = nullptr;
  /// Another whenever parameters are; 0: nobody says.
  std::uint64_t weights = 0;

  // Of the layer that the pass has come to, on devices.

  RoundedResult rounded_y = {}, rounded_dx = {};  ///< only where Layer::rounds
  bool x_is_rounded = false;                  ///< x[0] lies in Layer::rounded_x, if nowhere else
  const std::uint16_t* rounded_dy = nullptr;  ///< dy, if nowhere else; null: it is not

  /// Whether the parameter gets a gradient: in inference mode only inputs do.
  bool trains(const Parameter& parameter) const {
    return mode == Mode::training && !parameter.frozen;
  }
};

/// What a layer keeps from a forward pass for the backward pass that follows. The caller owns it,
/// one for each layer, and keeps it from step to step to save allocations.
struct Saved : std::vector<Tensor> {
  std::unique_ptr<kernels::TrainingProduct> product = {};

  /// `product`, if it is of this shape on the stream's device; else what `make` makes, which may be
  /// null.
  template <class Make>
  kernels::TrainingProduct* product_of(const Stream& stream, const kernels::Conv2dShape& shape,
                                       Make make) {
    if (!product || product->shape() != shape || product->device() != stream.device())
      product = make();
    return product.get();
  }
};

/// A leaf of a network: one differentiable operation with its parameters, from one value or several
/// to one. Its file holds all that is known of it. Layers keep no activations: the caller owns x, y
/// and what is saved.
class Layer {
 public:
  explicit Layer(std::string name) : name_(std::move(name)) {}
  virtual ~Layer() = default;

  const std::string& name() const { return name_; }
  /// How many values it reads.
  virtual std::size_t operands() const { return 1; }
  /// Throws an Error when the layer cannot take these inputs.
  virtual Shape output_shape(std::span<const Shape> x) const = 0;
  /// Gives y its shape and memory. In training mode this may change the layer's buffers.
  virtual void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
                       Saved& saved) = 0;

  /// Whether backward makes of dy the gradient in every x, in place; else it writes them elsewhere.
  virtual bool gradient_in_place() const { return false; }
  /// Whether backward changes dy.
  virtual bool uses_up_gradient() const { return false; }
  /// Follows a forward pass with the same x, y and saved. Gives memory and values to the gradient
  /// of each parameter that the pass trains, and to dx[i], the gradient in x[i], unless that is
  /// null or they are made in place.
  virtual void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y,
                        Saved& saved, Tensor& dy, std::span<Tensor* const> dx) = 0;

  // How the layers around a product round for it (Pass::rounded_y and what follows it).

  /// Whether forward can leave y, and backward dx, rounded.
  virtual bool rounds(const Pass&) const { return false; }
  /// Where forward, for an x[0] of this shape, can find it rounded; null: it reads single
  /// precision.
  virtual std::uint16_t* rounded_x(const Pass&, const Shape&, Saved&) { return nullptr; }
  /// Elements of a rounded dy that backward can read instead of dy; 0: it reads single precision.
  virtual std::int64_t rounded_dy_size(const Pass&, const Saved&) const { return 0; }

  /// The layer in inference mode, of a row of these shapes, as a step of a plan that has yet to be
  /// told what it reads. Parameters and buffers lie in host memory or on the stream's device.
  virtual kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const = 0;

  virtual std::vector<const Parameter*> parameters() const { return {}; }
  virtual std::vector<const LayerBuffer*> buffers() const { return {}; }
  std::vector<Parameter*> parameters();
  std::vector<LayerBuffer*> buffers();

 private:
  std::string name_;
};

/// A tensor's values in host memory.
std::vector<float> host_values(const Stream& stream, const Tensor& tensor);

}  // namespace pixeldp::layers
