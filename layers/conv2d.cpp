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

/// What the passes over x share; null: nothing.
kernels::TrainingProduct* Conv2d::product(const Pass& pass, const Shape& x, Saved& saved) const {
  const auto shape = kernel_shape(x);
  return saved.product_of(pass.stream, shape, [&] {
    return kernels::training_convolution(pass.stream, shape, options_.precision);
  });
}

std::uint16_t* Conv2d::rounded_x(const Pass& pass, const Shape& x, Saved& saved) {
  kernels::TrainingProduct* const shared = product(pass, x, saved);
  return shared ? shared->rounded_x() : nullptr;
}

std::int64_t Conv2d::rounded_dy_size(const Pass&, const Saved& saved) const {
  if (!saved.product || !options_.activation.is_identity()) return 0;
  return saved.product->rounded_dy_size();
}

void Conv2d::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved& saved) {
  const Stream& stream = pass.stream;
  const auto shape = kernel_shape(x[0]->shape());
  y.resize({shape.batch, shape.out_h(), shape.out_w(), shape.out_c}, stream.device());
  if (kernels::TrainingProduct* const shared = product(pass, x[0]->shape(), saved)) {
    if (!pass.x_is_rounded) shared->round_x(stream, x[0]->data());
    shared->forward(stream, {weight_.value.data(), pass.weights}, nullptr, y.data());
  } else {
    kernels::conv2d_forward(stream, shape, options_.precision, x[0]->data(), weight_.value.data(),
                            y.data());
  }
  kernels::activate(stream, options_.activation, y.size(), y.data());
}

void Conv2d::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y,
                      Saved& saved, Tensor& dy, std::span<Tensor* const> dx) {
  const Stream& stream = pass.stream;
  const auto shape = kernel_shape(x[0]->shape());
  kernels::activation_backward(stream, options_.activation, y.size(), y.data(), dy.data());
  kernels::ProductGradients to;
  if (pass.trains(weight_)) {
    weight_.gradient.resize(weight_.value.shape(), stream.device());
    to.weight = weight_.gradient.data();
  }
  if (dx[0]) {
    dx[0]->resize(x[0]->shape(), stream.device());
    to.x = dx[0]->data();
  }
  if (saved.product) {
    saved.product->backward(stream, {weight_.value.data(), pass.weights}, dy.data(),
                            pass.rounded_dy, to);
  } else {
    if (to.weight)
      kernels::conv2d_backward_weight(stream, shape, options_.precision, x[0]->data(), dy.data(),
                                      to.weight);
    if (to.x)
      kernels::conv2d_backward_data(stream, shape, options_.precision, dy.data(),
                                    weight_.value.data(), to.x);
  }
  if (const Tensor& shared = weight_.shared_gradient; to.weight && !shared.empty())
    kernels::add(stream, kernels::Activation::identity(), shared.size(), to.weight, shared.data(),
                 to.weight);
}

kernels::InferenceStep Conv2d::lower(const Stream& stream, std::span<const Shape> x) const {
  return {.kind = kernels::InferenceStep::Kind::convolution,
          .name = name(),
          .activation = options_.activation,
          .convolution = kernel_shape(x[0].with_rows(1)),
          .weight = host_values(stream, weight_.value)};
}

}  // namespace pixeldp::layers
