#include "layers/standardise.hpp"

#include "kernels/standardise.hpp"

namespace pixeldp::layers {

void Standardise::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  y.resize(x[0]->shape(), pass.stream.device());
  kernels::standardise(pass.stream, x[0]->rows(), x[0]->shape().row_size(), x[0]->data(), y.data());
}

void Standardise::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor&,
                           Saved&, Tensor& dy, std::span<Tensor* const> dx) {
  if (!dx[0]) return;
  dx[0]->resize(x[0]->shape(), pass.stream.device());
  kernels::standardise_backward(pass.stream, x[0]->rows(), x[0]->shape().row_size(), x[0]->data(),
                                dy.data(), dx[0]->data());
}

kernels::InferenceStep Standardise::lower(const Stream&, std::span<const Shape>) const {
  return {.kind = kernels::InferenceStep::Kind::standardise, .name = name()};
}

}  // namespace pixeldp::layers
