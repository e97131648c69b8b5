#include "layers/dense.hpp"

#include "engine/error.hpp"
#include "kernels/elementwise.hpp"

namespace pixeldp::layers {

Dense::Dense(std::string name, const Options& options)
    : Layer(std::move(name)),
      options_(options),
      weight_(this->name() + ".weight", {options.out, options.in}),
      bias_(this->name() + ".bias", {options.out}) {
  bias_.decays = false;
}

kernels::DenseShape Dense::kernel_shape(const Shape& x) const {
  if (x.row_size() != options_.in) {
    fail("layer {} takes rows of {} values, not {} ({})", name(), options_.in, x.row_size(),
         x.text());
  }
  return {x[0], options_.in, options_.out};
}

Shape Dense::output_shape(std::span<const Shape> x) const {
  return {kernel_shape(x[0]).rows, options_.out};
}

void Dense::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved& saved) {
  const Stream& stream = pass.stream;
  const auto shape = kernel_shape(x[0]->shape());
  y.resize({shape.rows, shape.out}, stream.device());
  if (kernels::TrainingProduct* const shared = saved.product_of(
          stream, kernels::as_convolution(shape),
          [&] { return kernels::training_dense(stream, shape, options_.precision); })) {
    shared->round_x(stream, x[0]->data());
    shared->forward(stream, {weight_.value.data(), pass.weights}, bias_.value.data(), y.data());
  } else {
    kernels::dense_forward(stream, shape, options_.precision, x[0]->data(), weight_.value.data(),
                           bias_.value.data(), y.data());
  }
  kernels::activate(stream, options_.activation, y.size(), y.data());
}

void Dense::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y,
                     Saved& saved, Tensor& dy, std::span<Tensor* const> dx) {
  const Stream& stream = pass.stream;
  const auto shape = kernel_shape(x[0]->shape());
  kernels::activation_backward(stream, options_.activation, y.size(), y.data(), dy.data());
  kernels::ProductGradients to;
  if (pass.trains(weight_) || pass.trains(bias_)) {
    weight_.gradient.resize(weight_.value.shape(), stream.device());
    bias_.gradient.resize(bias_.value.shape(), stream.device());
    to.weight = weight_.gradient.data(), to.bias = bias_.gradient.data();
  }
  if (dx[0]) {
    dx[0]->resize(x[0]->shape(), stream.device());
    to.x = dx[0]->data();
  }
  if (saved.product)
    return saved.product->backward(stream, {weight_.value.data(), pass.weights}, dy.data(), nullptr,
                                   to);
  if (to.weight)
    kernels::dense_backward_weight(stream, shape, options_.precision, x[0]->data(), dy.data(),
                                   to.weight, to.bias);
  if (to.x)
    kernels::dense_backward_data(stream, shape, options_.precision, dy.data(), weight_.value.data(),
                                 to.x);
}

kernels::InferenceStep Dense::lower(const Stream& stream, std::span<const Shape> x) const {
  kernel_shape(x[0]);
  return {.kind = kernels::InferenceStep::Kind::dense,
          .name = name(),
          .activation = options_.activation,
          .outputs = options_.out,
          .weight = host_values(stream, weight_.value),
          .shift = host_values(stream, bias_.value)};
}

}  // namespace pixeldp::layers
