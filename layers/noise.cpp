#include "layers/noise.hpp"

#include "kernels/elementwise.hpp"

namespace pixeldp::layers {

void Noise::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  const NoiseDraws& draws = pass.draws;
  const auto rows = static_cast<std::int64_t>(draws.rows.size());
  y.resize(x[0]->shape().with_rows(rows), pass.stream.device());
  kernels::add_noise(pass.stream,
                     {.distribution = distribution,
                      .scale = static_cast<float>(scale) * draws.factor,
                      .seed = draws.seed,
                      .tag = draws.tag,
                      .activation = activation_,
                      .factor = draws.changing_factor},
                     draws.rows.data(), rows, x[0]->shape().row_size(), x[0]->data(), y.data());
}

void Noise::backward(const Pass& pass, std::span<const Tensor* const>, const Tensor& y, Saved&,
                     Tensor& dy, std::span<Tensor* const>) {
  kernels::activation_backward(pass.stream, activation_, y.size(), y.data(), dy.data());
}

kernels::InferenceStep Noise::lower(const Stream&, std::span<const Shape>) const {
  return {.kind = kernels::InferenceStep::Kind::noise,
          .name = name(),
          .activation = activation_,
          .distribution = distribution,
          .noise_scale = static_cast<float>(scale)};
}

}  // namespace pixeldp::layers
