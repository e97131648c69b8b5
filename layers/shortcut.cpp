#include "layers/shortcut.hpp"

#include "engine/error.hpp"

namespace pixeldp::layers {

kernels::ShortcutShape Shortcut::kernel_shape(const Shape& x) const {
  if (x.rank() != 4 || x[3] != options_.in_c) {
    fail("block {} takes images of {} channels, not {}", block_, options_.in_c, x.text());
  }
  if (x[1] % options_.stride != 0 || x[2] % options_.stride != 0) {
    fail("block {} has stride {} and takes images of a height and width that it divides, not {}",
         block_, options_.stride, x.text());
  }
  return {.batch = x[0],
          .in_h = x[1],
          .in_w = x[2],
          .in_c = x[3],
          .out_c = options_.out_c,
          .stride = options_.stride,
          .kind = options_.kind};
}

Shape Shortcut::output_shape(const Shape& input) const {
  const kernels::ShortcutShape shape = kernel_shape(input);
  return {shape.batch, shape.out_h(), shape.out_w(), shape.out_c};
}

const Tensor& Shortcut::forward(const Stream& stream, const Tensor& x, Tensor& memory) const {
  if (is_identity()) return x;
  memory.resize(output_shape(x.shape()), stream.device());
  kernels::shortcut_forward(stream, kernel_shape(x.shape()), x.data(), memory.data());
  return memory;
}

int Shortcut::plan(kernels::InferencePlan& plan, int x, const Shape& input) const {
  if (is_identity()) return x;
  return plan.add({.kind = kernels::InferenceStep::Kind::shortcut,
                   .name = block_ + ".shortcut",
                   .input = x,
                   .shortcut_shape = kernel_shape(input.with_rows(1))});
}

void Shortcut::add_gradient(const Stream& stream, const Tensor& dy, Tensor& dx,
                            Tensor& memory) const {
  const float* gradient = dy.data();
  if (!is_identity()) {
    memory.resize(dx.shape(), stream.device());
    kernels::shortcut_backward(stream, kernel_shape(dx.shape()), dy.data(), memory.data());
    gradient = memory.data();
  }
  kernels::add(stream, kernels::Activation::identity(), dx.size(), dx.data(), gradient, dx.data());
}

}  // namespace pixeldp::layers
