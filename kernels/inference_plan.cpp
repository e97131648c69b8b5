#include <algorithm>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "kernels/dense.hpp"
#include "kernels/divide_up.hpp"
#include "kernels/inference.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::kernels {

Conv2dShape InferenceStep::product_shape() const {
  if (kind == Kind::convolution) return convolution;
  return as_convolution(
      {.rows = 1, .in = static_cast<std::int64_t>(weight.size()) / outputs, .out = outputs});
}

int InferencePlan::add(InferenceStep step) {
  using Kind = InferenceStep::Kind;
  const std::size_t operands = step.inputs.size();
  const bool operates = step.kind == Kind::operation;
  if (operands < 1 || (operands > 2 && !operates) ||
      (step.kind == Kind::addition && operands < 2) ||
      (operands > 1 && step.kind != Kind::addition && step.kind != Kind::convolution && !operates))
    fail("step {} of a plan cannot read {} values", step.name, operands);
  const Conv2dShape& c = step.convolution;
  const ShortcutShape& s = step.shortcut_shape;
  const std::int64_t in = sizes.at(static_cast<std::size_t>(step.input()));
  std::int64_t expected = in, out = in;
  switch (step.kind) {
    case Kind::convolution:
      expected = c.in_h * c.in_w * c.in_c;
      step.outputs = c.out_c;
      out = c.out_h() * c.out_w() * c.out_c;
      break;
    case Kind::dense:
      if (step.outputs < 1) fail("step {} of a plan makes no value", step.name);
      expected = static_cast<std::int64_t>(step.weight.size()) / step.outputs;
      out = step.outputs;
      break;
    case Kind::shortcut:
      check_shortcut_shape(s);
      expected = s.in_h * s.in_w * s.in_c;
      step.outputs = s.out_c;
      out = s.out_h() * s.out_w() * s.out_c;
      break;
    case Kind::pool:
      out = step.outputs;
      break;
    case Kind::scaling:
      break;
    case Kind::operation:
      check_operation(step);
      expected = step.operation->input_sizes()[0];
      step.outputs = out = step.operation->output_size();
      break;
    case Kind::addition:
    case Kind::standardise:
    case Kind::noise:
      step.outputs = in;
      break;
  }
  const bool by_channel = step.kind == Kind::pool || step.kind == Kind::scaling;
  if (by_channel && (step.outputs < 1 || in % step.outputs != 0))
    fail("step {} of a plan takes {} channels, not rows of {} values", step.name, step.outputs, in);
  // Of scale and shift a product may have none, and none or the latter alone.
  const bool scales = step.kind == Kind::scaling;
  const auto fits = [&](const std::vector<float>& values, bool must) {
    return std::ssize(values) == step.outputs || (values.empty() && !must);
  };
  if ((scales || step.multiplies()) &&
      (!fits(step.scale, scales) || !fits(step.shift, scales || !step.scale.empty())))
    fail("step {} of a plan has {} outputs, but {} scales and {} shifts", step.name, step.outputs,
         step.scale.size(), step.shift.size());
  if (step.kind == Kind::convolution && std::ssize(step.weight) != c.weight_size())
    fail("step {} of a plan has {} weights, not {}", step.name, step.weight.size(),
         c.weight_size());
  if (in != expected)
    fail("step {} of a plan takes rows of {} values, not {}", step.name, expected, in);
  if (step.has_residual() && sizes.at(static_cast<std::size_t>(step.residual())) != out)
    fail("step {} of a plan adds rows of another size", step.name);
  sizes.push_back(out);
  steps.push_back(std::move(step));
  return static_cast<int>(steps.size());
}

void InferencePlan::check_operation(const InferenceStep& step) const {
  if (!step.operation) fail("step {} of a plan has no operation", step.name);
  const std::vector<std::int64_t> expected = step.operation->input_sizes();
  std::vector<std::int64_t> read;
  for (const int value : step.inputs) read.push_back(sizes.at(static_cast<std::size_t>(value)));
  if (read != expected)
    fail("step {} of a plan ({}) takes rows of {} values, not of {}", step.name,
         step.operation->name(), fmt::join(expected, " and "), fmt::join(read, " and "));
}

std::int64_t InferencePlan::readers(int value) const {
  return std::ranges::count_if(steps, [&](const InferenceStep& step) {
    return std::ranges::find(step.inputs, value) != step.inputs.end();
  });
}

bool takes_winograd(const Conv2dShape& shape, Precision precision) {
  constexpr std::int64_t channels = 16, tile = 4;
  const bool side_3 = shape.kernel_h == 3 && shape.kernel_w == 3 && shape.stride == 1;
  const bool side_5 = shape.kernel_h == 5 && shape.kernel_w == 5 && shape.stride == 2;
  const std::int64_t tiles = divide_up(shape.out_h(), tile) * divide_up(shape.out_w(), tile);
  const bool wide = side_3 && shape.in_c >= 64;
  return (precision == Precision::bf16 ? wide : side_3 || side_5) && shape.in_c % channels == 0 &&
         shape.out_c % channels == 0 && 2 * shape.out_h() * shape.out_w() >= tiles * tile * tile;
}

bool takes_winograd(const InferencePlan& plan, Precision precision) {
  return std::ranges::any_of(plan.steps, [&](const InferenceStep& step) {
    return step.kind == InferenceStep::Kind::convolution &&
           takes_winograd(step.convolution, precision);
  });
}

std::string inference_obstacle(Precision precision) {
  if (precision == Precision::bf16) return product_obstacle(precision);
  if (precision == Precision::tf32) return "processors have no tf32";
  return {};
}

}  // namespace pixeldp::kernels
