#include "layers/noise.hpp"

#include "kernels/elementwise.hpp"

namespace pixeldp::layers {

kernels::NoiseParams Noise::params(const Draws& draws) const {
  return {.distribution = distribution,
          .scale = static_cast<float>(scale) * draws.factor,
          .seed = draws.seed,
          .tag = draws.tag,
          .activation = activation};
}

void Noise::forward(const Stream& stream, const Draws& draws, std::int64_t elements, const float* x,
                    float* y) const {
  kernels::add_noise(stream, params(draws), draws.rows.data(),
                     static_cast<std::int64_t>(draws.rows.size()), elements, x, y);
}

void Noise::forward(const Stream& stream, const Draws& draws, const Tensor& x, Tensor& y) const {
  y.resize(x.shape().with_rows(static_cast<std::int64_t>(draws.rows.size())), stream.device());
  forward(stream, draws, x.shape().row_size(), x.data(), y.data());
}

void Noise::backward(const Stream& stream, const Tensor& y, Tensor& dy) const {
  kernels::activation_backward(stream, activation, y.size(), y.data(), dy.data());
}

}  // namespace pixeldp::layers
