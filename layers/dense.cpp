#include "layers/dense.hpp"

#include "engine/error.hpp"
#include "kernels/elementwise.hpp"

namespace pixeldp::layers {
Dense::Dense(std::string name, const Options& options)
    : name_(std::move(name)),
      options_(options),
      weight_(name_ + ".weight", {options.out, options.in}),
      bias_(name_ + ".bias", {options.out}) {
  bias_.decays = false;
}

kernels::DenseShape Dense::kernel_shape(const Shape& x) const {
  if (x.row_size() != options_.in) {
    fail("layer {} takes rows of {} values, not {} ({})", name_, options_.in, x.row_size(),
         x.text());
  }
  return {x[0], options_.in, options_.out};
}

Shape Dense::output_shape(const Shape& input) const {
  return {kernel_shape(input).rows, options_.out};
}

void Dense::forward(const Stream& stream, const Tensor& x, Tensor& y, Saved&) {
  y.resize(output_shape(x.shape()), stream.device());
  kernels::dense_forward(stream, kernel_shape(x.shape()), options_.precision, x.data(),
                         weight_.value.data(), bias_.value.data(), y.data());
  kernels::activate(stream, options_.activation, y.size(), y.data());
}

void Dense::backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved,
                     Tensor& dy, Tensor* dx) {
  const auto shape = kernel_shape(x.shape());
  kernels::activation_backward(stream, options_.activation, y.size(), y.data(), dy.data());
  if (saved.mode == Mode::training) {
    weight_.gradient.resize(weight_.value.shape(), stream.device());
    bias_.gradient.resize(bias_.value.shape(), stream.device());
    kernels::dense_backward_weight(stream, shape, options_.precision, x.data(), dy.data(),
                                   weight_.gradient.data(), bias_.gradient.data());
  }
  if (dx) {
    dx->resize(x.shape(), stream.device());
    kernels::dense_backward_data(stream, shape, options_.precision, dy.data(), weight_.value.data(),
                                 dx->data());
  }
}

std::unique_ptr<kernels::Prepared> Dense::prepare(const Stream& stream, const Shape& input,
                                                  kernels::Precision precision) const {
  return kernels::prepare_dense(stream, kernel_shape(input), weight_.value.data(),
                                bias_.value.data(), options_.activation, precision);
}

int Dense::plan(kernels::InferencePlan& plan, int x, const Shape& input) const {
  kernel_shape(input);
  return plan.add({.kind = kernels::InferenceStep::Kind::dense,
                   .name = name_,
                   .input = x,
                   .activation = options_.activation,
                   .outputs = options_.out,
                   .weight = {weight_.value.values().begin(), weight_.value.values().end()},
                   .shift = {bias_.value.values().begin(), bias_.value.values().end()}});
}

}  // namespace pixeldp::layers
