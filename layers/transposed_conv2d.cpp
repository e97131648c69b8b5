#include "layers/transposed_conv2d.hpp"

#include <algorithm>

#include "engine/error.hpp"

namespace pixeldp::layers {
namespace {

/// What is saved: the weight of the convolution to phases, and its gradient.
enum : std::size_t { weight_of_phases, gradient_of_phases, saved_tensors };

/// Along one axis tap t of the convolution to phases meets pixel a - before + t of x, and row
/// stride (before - t) + u + pad of the kernel in phase u, if there is one.
struct Taps {
  std::int64_t before, after;

  Taps(std::int64_t kernel, std::int64_t stride, std::int64_t pad)
      : before((kernel - 1 - pad) / stride), after((stride - 1 + pad) / stride) {}
  std::int64_t count() const { return before + 1 + after; }
};

}  // namespace

TransposedConv2d::TransposedConv2d(std::string name, Conv2d& of, const Shape& image,
                                   kernels::Precision precision)
    : Layer(std::move(name)),
      of_(of),
      transposed_(of.kernel_shape(image.with_rows(1))),
      precision_(precision) {}

kernels::Conv2dShape TransposedConv2d::phases(std::int64_t rows) const {
  const kernels::Conv2dShape& s = transposed_;
  const Taps h(s.kernel_h, s.stride, s.pad_h.before), w(s.kernel_w, s.stride, s.pad_w.before);
  return {.batch = rows,
          .in_h = s.out_h(),
          .in_w = s.out_w(),
          .in_c = s.out_c,
          .out_c = s.stride * s.stride * s.in_c,
          .kernel_h = h.count(),
          .kernel_w = w.count(),
          .stride = 1,
          .pad_h = {h.before, h.after},
          .pad_w = {w.before, w.after}};
}

Select::Options TransposedConv2d::placement() const {
  const kernels::Conv2dShape& s = transposed_;
  Select::Options select{
      .map = {.in_pixels = s.out_h() * s.out_w() * s.stride * s.stride, .in_channels = s.in_c},
      .height = s.in_h,
      .width = s.in_w};
  for (std::int64_t p = 0; p < s.in_h; ++p)
    for (std::int64_t q = 0; q < s.in_w; ++q) {
      const std::int64_t pixel = p / s.stride * s.out_w() + q / s.stride;
      const std::int64_t phase = p % s.stride * s.stride + q % s.stride;
      select.map.pixels.push_back(pixel * s.stride * s.stride + phase);
    }
  for (std::int64_t i = 0; i < s.in_c; ++i) select.map.channels.push_back(i);
  return select;
}

/// Calls visit(place in the weight of the convolution to phases, place in the shared weight): each
/// of the latter once. What it does not call for is 0.
template <class Visit>
void TransposedConv2d::for_weights(Visit visit) const {
  const kernels::Conv2dShape& s = transposed_;
  const kernels::Conv2dShape made = phases(1);
  const auto row = [&](std::int64_t before, std::int64_t tap, std::int64_t phase,
                       std::int64_t pad) { return s.stride * (before - tap) + phase + pad; };
  std::int64_t place = 0;
  for (std::int64_t u = 0; u < s.stride; ++u)
    for (std::int64_t v = 0; v < s.stride; ++v)
      for (std::int64_t i = 0; i < s.in_c; ++i)
        for (std::int64_t o = 0; o < s.out_c; ++o)
          for (std::int64_t a = 0; a < made.kernel_h; ++a)
            for (std::int64_t b = 0; b < made.kernel_w; ++b, ++place) {
              const std::int64_t r = row(made.pad_h.before, a, u, s.pad_h.before),
                                 t = row(made.pad_w.before, b, v, s.pad_w.before);
              if (r < 0 || r >= s.kernel_h || t < 0 || t >= s.kernel_w) continue;
              visit(static_cast<std::size_t>(place),
                    static_cast<std::size_t>(((o * s.in_c + i) * s.kernel_h + r) * s.kernel_w + t));
            }
}

void TransposedConv2d::make_weight(std::span<const float> weight,
                                   std::span<float> of_phases) const {
  std::ranges::fill(of_phases, 0.0f);
  for_weights([&](std::size_t to, std::size_t from) { of_phases[to] = weight[from]; });
}

Shape TransposedConv2d::output_shape(std::span<const Shape> x) const {
  const kernels::Conv2dShape made = phases(x[0][0]);
  if (x[0] != Shape{made.batch, made.in_h, made.in_w, made.in_c})
    fail("layer {} takes images of {}x{}x{}, not {}", name(), made.in_h, made.in_w, made.in_c,
         x[0].text());
  return {made.batch, made.in_h, made.in_w, made.out_c};
}

void TransposedConv2d::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
                               Saved& saved) {
  kernels::check_on_processor(pass.stream, "transposed convolution");
  const kernels::Conv2dShape made = phases(x[0]->rows());
  saved.resize(saved_tensors);
  Tensor& weight = saved[weight_of_phases];
  weight.resize({made.weight_size()}, pass.stream.device());
  make_weight(std::as_const(of_.weight().value).values(), weight.values());
  y.resize({made.batch, made.in_h, made.in_w, made.out_c}, pass.stream.device());
  kernels::conv2d_forward(pass.stream, made, precision_, x[0]->data(), weight.data(), y.data());
}

void TransposedConv2d::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor&,
                                Saved& saved, Tensor& dy, std::span<Tensor* const> dx) {
  const Stream& stream = pass.stream;
  const kernels::Conv2dShape made = phases(x[0]->rows());
  Parameter& shared = of_.weight();
  if (pass.trains(shared)) {
    Tensor& gradient = saved[gradient_of_phases];
    gradient.resize({made.weight_size()}, stream.device());
    kernels::conv2d_backward_weight(stream, made, precision_, x[0]->data(), dy.data(),
                                    gradient.data());
    shared.shared_gradient.resize(shared.value.shape(), stream.device());
    const std::span<float> to = shared.shared_gradient.values();
    for_weights([&](std::size_t from, std::size_t place) { to[place] = gradient.values()[from]; });
  }
  if (!dx[0]) return;
  dx[0]->resize(x[0]->shape(), stream.device());
  kernels::conv2d_backward_data(stream, made, precision_, dy.data(), saved[weight_of_phases].data(),
                                dx[0]->data());
}

kernels::InferenceStep TransposedConv2d::lower(const Stream& stream,
                                               std::span<const Shape> x) const {
  output_shape(x);
  std::vector<float> weight(static_cast<std::size_t>(phases(1).weight_size()));
  make_weight(layers::host_values(stream, of_.weight().value), weight);
  return {.kind = kernels::InferenceStep::Kind::convolution,
          .name = name(),
          .convolution = phases(1),
          .weight = std::move(weight)};
}

}  // namespace pixeldp::layers
