#pragma once

#include <cstdint>
#include <span>

#include "engine/device.hpp"

namespace pixeldp::kernels {

struct SgdParams {
  float learning_rate = 0.0f;
  float momentum = 0.0f;
  float weight_decay = 0.0f;    ///< lambda of the loss term lambda/2 * |w|^2
  float gradient_scale = 1.0f;  ///< multiplies the gradient, not the decay
  /// The learning rate in the stream's memory, where it takes the place of the one above: for a
  /// graph, which is launched again with another.
  const float* rate = nullptr;
};

/// One parameter's step: gradient, velocity and weight [size], which do not overlap.
struct SgdStep {
  SgdParams params;
  std::int64_t size = 0;
  const float* gradient = nullptr;
  float* velocity = nullptr;
  float* weight = nullptr;
};

/// For each parameter
///
///   velocity = momentum * velocity + (gradient_scale * gradient + weight_decay * weight)
///   weight  -= learning_rate * velocity
///
/// (TensorFlow's and PyTorch's momentum, not Nesterov's.) The parameters are distinct. The list
/// itself is in host memory and no longer needed when the call returns; what it points to is in the
/// stream's memory. A GPU takes many parameters in one launch: a network has dozens of small ones.
/// Throws an Error for a negative size.
void sgd_steps(const Stream& stream, std::span<const SgdStep> steps);

}  // namespace pixeldp::kernels
