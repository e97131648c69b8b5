#include "engine/error.hpp"
#include "kernels/inference.hpp"
#include "kernels/pooling_arguments.hpp"

namespace pixeldp::kernels {

int InferencePlan::add(InferenceStep step) {
  using Kind = InferenceStep::Kind;
  const Conv2dShape& c = step.convolution;
  const ShortcutShape& s = step.shortcut_shape;
  const std::int64_t in = sizes.at(static_cast<std::size_t>(step.input));
  std::int64_t expected = in, out = in;
  switch (step.kind) {
    case Kind::convolution:
      expected = c.in_h * c.in_w * c.in_c;
      step.outputs = c.out_c;
      out = c.out_h() * c.out_w() * c.out_c;
      break;
    case Kind::dense:
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
  }
  const bool by_channel = step.kind == Kind::pool || step.kind == Kind::scaling;
  if (by_channel && (step.outputs < 1 || in % step.outputs != 0))
    fail("step {} of a plan takes {} channels, not rows of {} values", step.name, step.outputs, in);
  if (in != expected)
    fail("step {} of a plan takes rows of {} values, not {}", step.name, expected, in);
  if (step.residual >= 0 && sizes.at(static_cast<std::size_t>(step.residual)) != out)
    fail("step {} of a plan adds rows of another size", step.name);
  sizes.push_back(out);
  steps.push_back(std::move(step));
  return static_cast<int>(steps.size());
}

std::string inference_obstacle(Precision precision) {
  const CpuFeatures& cpu = cpu_features();
  if (precision == Precision::bf16 && !cpu.bf16)
    return "this processor has no AVX-512 BF16, which products of bf16 take";
  if (precision == Precision::tf32) return "processors have no tf32";
  return {};
}

}  // namespace pixeldp::kernels
