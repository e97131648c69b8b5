#include "layers/convolution.hpp"

#include "engine/error.hpp"
#include "layers/row_layer.hpp"

namespace pixeldp::layers {
namespace {

const kernels::GroupedConv2dShape& checked(const kernels::GroupedConv2dShape& shape) {
  kernels::check_grouped_shape(shape);
  return shape;
}

}  // namespace

Convolution::Convolution(std::string name, const kernels::GroupedConv2dShape& shape)
    : Layer(std::move(name)),
      shape_(checked(shape)),
      weight_(this->name() + ".weight",
              {shape.out_c, shape.inputs_of_group(), shape.kernel_h, shape.kernel_w}) {}

Shape Convolution::output_shape(std::span<const Shape> x) const {
  if (x[0] != Shape{x[0][0], shape_.in_h, shape_.in_w, shape_.in_c})
    fail("layer {} takes images of {}x{}x{}, not {}", name(), shape_.in_h, shape_.in_w, shape_.in_c,
         x[0].text());
  return {x[0][0], shape_.out_h(), shape_.out_w(), shape_.out_c};
}

kernels::Conv2dShape Convolution::plain_shape(std::int64_t rows) const {
  return {.batch = rows,
          .in_h = shape_.in_h,
          .in_w = shape_.in_w,
          .in_c = shape_.in_c,
          .out_c = shape_.out_c,
          .kernel_h = shape_.kernel_h,
          .kernel_w = shape_.kernel_w,
          .stride = shape_.stride_h,
          .pad_h = shape_.pad_h,
          .pad_w = shape_.pad_w};
}

void Convolution::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  const Shape made = output_shape({&x[0]->shape(), 1});
  if (!shape_.plain()) {
    kernels::check_on_processor(pass.stream, describe(shape_));
    run_rows(pass, kernels::GroupedConvolution(shape_, weight_.value.values()), x, made, y);
    return;
  }
  y.resize(made, pass.stream.device());
  kernels::conv2d_forward(pass.stream, plain_shape(made[0]), kernels::Precision::fp32, x[0]->data(),
                          weight_.value.data(), y.data());
}

void Convolution::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y,
                           Saved&, Tensor& dy, std::span<Tensor* const> dx) {
  constexpr auto fp32 = kernels::Precision::fp32;
  const Stream& stream = pass.stream;
  const std::int64_t rows = y.rows();
  if (pass.trains(weight_)) {
    weight_.gradient.resize(weight_.value.shape(), stream.device());
    float* const gradient = weight_.gradient.data();
    if (shape_.plain())
      kernels::conv2d_backward_weight(stream, plain_shape(rows), fp32, x[0]->data(), dy.data(),
                                      gradient);
    else
      kernels::grouped_backward_weight(stream, shape_, rows, x[0]->data(), dy.data(), gradient);
  }
  if (!dx[0]) return;
  if (!shape_.plain()) {
    run_rows_backward(pass, kernels::GroupedConvolution(shape_, weight_.value.values()), x, y, dy,
                      dx);
    return;
  }
  dx[0]->resize(x[0]->shape(), stream.device());
  kernels::conv2d_backward_data(stream, plain_shape(rows), fp32, dy.data(), weight_.value.data(),
                                dx[0]->data());
}

kernels::InferenceStep Convolution::lower(const Stream& stream, std::span<const Shape> x) const {
  output_shape(x);
  std::vector<float> weight = host_values(stream, weight_.value);
  if (!shape_.plain())
    return operation_step(name(), std::make_shared<kernels::GroupedConvolution>(shape_, weight));
  return {.kind = kernels::InferenceStep::Kind::convolution,
          .name = name(),
          .convolution = plain_shape(1),
          .weight = std::move(weight)};
}

}  // namespace pixeldp::layers
