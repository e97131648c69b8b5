#include "layers/shortcut.hpp"

#include "engine/error.hpp"

namespace pixeldp::layers {

kernels::ShortcutShape Shortcut::kernel_shape(const Shape& x) const {
  if (x.rank() != 4 || x[3] != options_.in_c) {
    fail("layer {} takes images of {} channels, not {}", name(), options_.in_c, x.text());
  }
  if (x[1] % options_.stride != 0 || x[2] % options_.stride != 0) {
    fail("layer {} has stride {} and takes images of a height and width that it divides, not {}",
         name(), options_.stride, x.text());
  }
  return {.batch = x[0],
          .in_h = x[1],
          .in_w = x[2],
          .in_c = x[3],
          .out_c = options_.out_c,
          .stride = options_.stride,
          .kind = options_.kind};
}

Shape Shortcut::output_shape(std::span<const Shape> x) const {
  const kernels::ShortcutShape shape = kernel_shape(x[0]);
  return {shape.batch, shape.out_h(), shape.out_w(), shape.out_c};
}

void Shortcut::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  y.resize(output_shape({&x[0]->shape(), 1}), pass.stream.device());
  kernels::shortcut_forward(pass.stream, kernel_shape(x[0]->shape()), x[0]->data(), y.data());
}

void Shortcut::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor&, Saved&,
                        Tensor& dy, std::span<Tensor* const> dx) {
  if (!dx[0]) return;
  dx[0]->resize(x[0]->shape(), pass.stream.device());
  kernels::shortcut_backward(pass.stream, kernel_shape(x[0]->shape()), dy.data(), dx[0]->data());
}

kernels::InferenceStep Shortcut::lower(const Stream&, std::span<const Shape> x) const {
  return {.kind = kernels::InferenceStep::Kind::shortcut,
          .name = name(),
          .shortcut_shape = kernel_shape(x[0].with_rows(1))};
}

}  // namespace pixeldp::layers
