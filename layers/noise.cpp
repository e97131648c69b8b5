#include "layers/noise.hpp"

#include "kernels/elementwise.hpp"

namespace pixeldp::layers {

void Noise::forward(const Stream& stream, const Draws& draws, std::int64_t elements, const float* x,
                    float* y) const {
  const kernels::NoiseParams params{.distribution = distribution,
                                    .scale = static_cast<float>(scale) * draws.factor,
                                    .seed = draws.seed,
                                    .tag = draws.tag,
                                    .activation = activation};
  kernels::add_noise(stream, params, draws.rows.data(),
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
