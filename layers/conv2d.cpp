#include "layers/conv2d.hpp"

#include "engine/error.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::layers {

Conv2d::Conv2d(std::string name, const Options& options)
    : Layer(std::move(name)),
      options_(options),
      weight_(this->name() + ".weight",
              {options.out_c, options.in_c, options.kernel, options.kernel}) {}

kernels::Conv2dShape Conv2d::kernel_shape(const Shape& x) const {
  if (x.rank() != 4 || x[3] != options_.in_c) {
    fail("layer {} takes images of {} channels, not {}", name(), options_.in_c, x.text());
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

Shape Conv2d::output_shape(std::span<const Shape> x) const {
  const auto shape = kernel_shape(x[0]);
  return {shape.batch, shape.out_h(), shape.out_w(), shape.out_c};
}

void Conv2d::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  const auto shape = kernel_shape(x[0]->shape());
  y.resize({shape.batch, shape.out_h(), shape.out_w(), shape.out_c}, pass.stream.device());
  kernels::conv2d_forward(pass.stream, shape, options_.precision, x[0]->data(),
                          weight_.value.data(), y.data());
  kernels::activate(pass.stream, options_.activation, y.size(), y.data());
}

void Conv2d::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved&,
                      Tensor& dy, std::span<Tensor* const> dx) {
  const Stream& stream = pass.stream;
  const auto shape = kernel_shape(x[0]->shape());
  kernels::activation_backward(stream, options_.activation, y.size(), y.data(), dy.data());
  if (pass.trains(weight_)) {
    weight_.gradient.resize(weight_.value.shape(), stream.device());
    kernels::conv2d_backward_weight(stream, shape, options_.precision, x[0]->data(), dy.data(),
                                    weight_.gradient.data());
    if (const Tensor& shared = weight_.shared_gradient; !shared.empty())
      kernels::add(stream, kernels::Activation::identity(), shared.size(), weight_.gradient.data(),
                   shared.data(), weight_.gradient.data());
  }
  if (dx[0]) {
    dx[0]->resize(x[0]->shape(), stream.device());
    kernels::conv2d_backward_data(stream, shape, options_.precision, dy.data(),
                                  weight_.value.data(), dx[0]->data());
  }
}

kernels::InferenceStep Conv2d::lower(const Stream& stream, std::span<const Shape> x) const {
  return {.kind = kernels::InferenceStep::Kind::convolution,
          .name = name(),
          .activation = options_.activation,
          .convolution = kernel_shape(x[0].with_rows(1)),
          .weight = host_values(stream, weight_.value)};
}

}  // namespace pixeldp::layers
