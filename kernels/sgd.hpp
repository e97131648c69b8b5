#pragma once

#include <cstdint>

#include "engine/device.hpp"

namespace pixeldp::kernels {

struct SgdParams {
  float learning_rate = 0.0f;
  float momentum = 0.0f;
  float weight_decay = 0.0f;    ///< lambda of the loss term lambda/2 * |w|^2
  float gradient_scale = 1.0f;  ///< multiplies the gradient, not the decay
};

/// velocity = momentum * velocity + gradient_scale * gradient + weight_decay * weight
/// weight  -= learning_rate * velocity            (TensorFlow's and PyTorch's momentum, not
/// Nesterov's)
void sgd_step(const Stream& stream, const SgdParams& params, std::int64_t size,
              const float* gradient, float* velocity, float* weight);

}  // namespace pixeldp::kernels
