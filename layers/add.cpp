#include "layers/add.hpp"

#include "engine/error.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::layers {

Shape Add::output_shape(std::span<const Shape> x) const {
  if (x[0] != x[1])
    fail("layer {} adds values of one shape, not {} and {}", name(), x[0].text(), x[1].text());
  return x[0];
}

void Add::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  y.resize(x[0]->shape(), pass.stream.device());
  kernels::add(pass.stream, activation_, y.size(), x[0]->data(), x[1]->data(), y.data());
}

void Add::backward(const Pass& pass, std::span<const Tensor* const>, const Tensor& y, Saved&,
                   Tensor& dy, std::span<Tensor* const>) {
  kernels::activation_backward(pass.stream, activation_, y.size(), y.data(), dy.data());
}

kernels::InferenceStep Add::lower(const Stream&, std::span<const Shape>) const {
  return {
      .kind = kernels::InferenceStep::Kind::addition, .name = name(), .activation = activation_};
}

}  // namespace pixeldp::layers
