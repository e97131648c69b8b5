#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/device.hpp"
#include "engine/tensor.hpp"
#include "kernels/noise.hpp"
#include "kernels/prepared.hpp"

namespace pixeldp::layers {

/// A trainable tensor with its gradient, in host memory until Network::move_to. Names are PyTorch's
/// ("conv1.weight"), convolutions OIHW.
struct Parameter {
  std::string name;
  std::vector<std::int64_t> shape;
  Tensor value;
  Tensor gradient;  ///< empty before the first backward pass
  /// Multiplies the gradient in the optimiser's step. A layer that is parameterised as value = raw
  /// / c has dL/draw = dL/dvalue / c; stepping raw by its gradient steps value by dL/dvalue / c^2.
  float gradient_scale = 1.0f;
  bool decays = true;  ///< subject to weight decay (biases are not)

  Parameter(std::string parameter_name, std::vector<std::int64_t> extents);
};

/// One differentiable step of a network. Layers keep parameters but no activations: the caller owns
/// x and y.
class Layer {
 public:
  virtual ~Layer() = default;
  virtual std::string name() const = 0;
  /// Throws an Error when the layer cannot take this input.
  virtual Shape output_shape(const Shape& input) const = 0;
  virtual void forward(const Stream& stream, const Tensor& x, Tensor& y) const = 0;
  /// Writes the parameters' gradients and, unless dx is null, the gradient in x. dy is used up.
  virtual void backward(const Stream& stream, const Tensor& x, const Tensor& y, Tensor& dy,
                        Tensor* dx) = 0;
  /// The forward pass for a fixed number of rows, with the weights as they are now. They, x and y
  /// lie in the memory of the stream's device.
  virtual std::unique_ptr<kernels::Prepared> prepare(const Stream& stream, const Shape& input,
                                                     kernels::Precision precision) const = 0;
  virtual std::vector<Parameter*> parameters() { return {}; }
};

}  // namespace pixeldp::layers
