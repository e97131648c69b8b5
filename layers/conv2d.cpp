#include "layers/conv2d.hpp"

#include "engine/error.hpp"
#include "kernels/elementwise.hpp"

namespace pixeldp::layers {
Conv2d::Conv2d(std::string name, const Options& options)
    : name_(std::move(name)),
      options_(options),
      weight_(name_ + ".weight", {options.out_c, options.in_c, options.kernel, options.kernel}) {}

kernels::Conv2dShape Conv2d::kernel_shape(const Shape& x) const {
  if (x.rank() != 4 || x[3] != options_.in_c) {
    fail("layer {} takes images of {} channels, not {}", name_, options_.in_c, x.text());
  }
  return {.batch = x[0],
          .in_h = x[1],
          .in_w = x[2],
          .in_c = x[3],
          .out_c = options_.out_c,
          .kernel_h = options_.kernel,
          .kernel_w = options_.kernel,
          .stride = options_.stride,
          .pad_h = padding(x[1]),
          .pad_w = padding(x[2])};
}

kernels::Padding Conv2d::padding(std::int64_t extent) const {
  if (!options_.centred) return kernels::same_padding(extent, options_.kernel, options_.stride);
  return {options_.kernel / 2, (options_.kernel - 1) / 2};
}

Shape Conv2d::output_shape(const Shape& input) const {
  const auto shape = kernel_shape(input);
  return {shape.batch, shape.out_h(), shape.out_w(), shape.out_c};
}

void Conv2d::forward(const Stream& stream, const Tensor& x, Tensor& y, Saved&) {
  y.resize(output_shape(x.shape()), stream.device());
  kernels::conv2d_forward(stream, kernel_shape(x.shape()), options_.precision, x.data(),
                          weight_.value.data(), y.data());
  kernels::activate(stream, options_.activation, y.size(), y.data());
}

void Conv2d::backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved,
                      Tensor& dy, Tensor* dx) {
  const auto shape = kernel_shape(x.shape());
  kernels::activation_backward(stream, options_.activation, y.size(), y.data(), dy.data());
  if (saved.mode == Mode::training) {
    weight_.gradient.resize(weight_.value.shape(), stream.device());
    kernels::conv2d_backward_weight(stream, shape, options_.precision, x.data(), dy.data(),
                                    weight_.gradient.data());
  }
  if (dx) {
    dx->resize(x.shape(), stream.device());
    kernels::conv2d_backward_data(stream, shape, options_.precision, dy.data(),
                                  weight_.value.data(), dx->data());
  }
}

std::unique_ptr<kernels::Prepared> Conv2d::prepare(const Stream& stream, const Shape& input,
                                                   kernels::Precision precision) const {
  return prepare_with(stream, input, {.activation = options_.activation}, precision);
}

std::unique_ptr<kernels::Prepared> Conv2d::prepare_with(const Stream& stream, const Shape& input,
                                                        const kernels::Conv2dEpilogue& epilogue,
                                                        kernels::Precision precision) const {
  return kernels::prepare_conv2d(stream, kernel_shape(input), weight_.value.data(), epilogue,
                                 precision);
}

int Conv2d::plan(kernels::InferencePlan& plan, int x, const Shape& input) const {
  return plan.add(planned(x, input));
}

kernels::InferenceStep Conv2d::planned(int x, const Shape& input, const BatchNorm* norm,
                                       int residual) const {
  kernels::InferenceStep step{
      .kind = kernels::InferenceStep::Kind::convolution,
      .name = name_,
      .input = x,
      .residual = residual,
      .activation = options_.activation,
      .convolution = kernel_shape(input.with_rows(1)),
      .weight = {weight_.value.values().begin(), weight_.value.values().end()}};
  if (!norm) return step;
  kernels::InferenceStep scaling = norm->planned(0);
  step.activation = scaling.activation;
  step.scale = std::move(scaling.scale);
  step.shift = std::move(scaling.shift);
  return step;
}

}  // namespace pixeldp::layers
