// What is done to a plan before anything is prepared: its steps folded into each other, and the
// whole divided at the noise.
#include <algorithm>

#include "engine/error.hpp"
#include "kernels/inference.hpp"

namespace pixeldp::kernels {
namespace {

using Kind = InferenceStep::Kind;

/// Of the values that `reader` reads the latest which are the bare sums of a convolution, or made
/// by an operation, and read by nothing else, as its place among them; -1 where there are none.
int find_sums(const InferencePlan& plan, const InferenceStep& reader) {
  int found = -1, latest = 0;
  for (std::size_t i = 0; i < reader.inputs.size(); ++i) {
    const int value = reader.inputs[i];
    if (value <= latest) continue;
    const InferenceStep& maker = plan.steps[static_cast<std::size_t>(value - 1)];
    const bool sums =
        maker.kind == Kind::convolution && !maker.has_residual() && maker.activation.is_identity();
    const bool operates = maker.kind == Kind::operation && reader.kind != Kind::addition;
    if ((!sums && !operates) || plan.readers(value) != 1) continue;
    found = static_cast<int>(i);
    latest = value;
  }
  return found;
}

/// Whether a convolution can do what `step` does to its sums.
bool can_absorb(const InferenceStep& convolution, const InferenceStep& step) {
  switch (step.kind) {
    case Kind::scaling:
      return convolution.scale.empty() && convolution.shift.empty() &&
             step.outputs == convolution.convolution.out_c;
    case Kind::addition:
      return step.inputs[0] != step.inputs[1];
    case Kind::convolution:
    case Kind::dense:
    case Kind::shortcut:
    case Kind::pool:
    case Kind::standardise:
    case Kind::noise:
    case Kind::operation:
      return false;
  }
  return false;
}

/// What does both in one pass; null where there is nothing.
std::shared_ptr<const RowOperation> joined(const RowOperation& operation,
                                           const InferenceStep& next) {
  switch (next.kind) {
    case Kind::scaling:
      return operation.scaled(next.scale, next.shift, next.activation);
    case Kind::operation:
      if (const RowOperation::Limits* limits = next.operation->limits())
        return operation.clamped(limits->low, limits->high);
      return nullptr;
    case Kind::convolution:
    case Kind::dense:
    case Kind::addition:
    case Kind::shortcut:
    case Kind::pool:
    case Kind::standardise:
    case Kind::noise:
      return nullptr;
  }
  return nullptr;
}

/// A step with the values it reads numbered anew from `first` on, which becomes 0.
InferenceStep renumbered(InferenceStep step, int first) {
  for (int& input : step.inputs) input -= first;
  return step;
}

}  // namespace

InferencePlan fold(InferencePlan plan) {
  std::vector<bool> gone(plan.steps.size(), false);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    InferenceStep& step = plan.steps[i];
    const int operand = find_sums(plan, step);
    if (operand < 0) continue;
    const int sums = step.inputs[static_cast<std::size_t>(operand)];
    const auto from = static_cast<std::size_t>(sums - 1);
    if (plan.steps[from].kind == Kind::operation) {
      auto both = joined(*plan.steps[from].operation, step);
      if (!both) continue;
      InferenceStep merged = std::move(plan.steps[from]);
      merged.operation = std::move(both);
      plan.steps[from] = {};
      gone[from] = true;
      step = std::move(merged);
      continue;
    }
    if (!can_absorb(plan.steps[from], step)) continue;
    // The convolution goes to where the other step was: there is all that it reads now.
    InferenceStep merged = std::move(plan.steps[from]);
    plan.steps[from] = {};
    gone[from] = true;
    if (step.kind == Kind::scaling) {
      merged.scale = std::move(step.scale);
      merged.shift = std::move(step.shift);
    } else {
      merged.inputs.push_back(step.inputs[static_cast<std::size_t>(1 - operand)]);
    }
    merged.activation = step.activation;
    step = std::move(merged);
  }
  InferencePlan folded(plan.sizes.front());
  std::vector<int> number(plan.sizes.size(), 0);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    if (gone[i]) continue;
    InferenceStep& step = plan.steps[i];
    for (int& input : step.inputs) input = number[static_cast<std::size_t>(input)];
    number[i + 1] = folded.add(std::move(step));
  }
  return folded;
}

NetworkPlan divide(InferencePlan plan) {
  const auto is_noise = [](const InferenceStep& step) { return step.kind == Kind::noise; };
  if (std::ranges::count_if(plan.steps, is_noise) != 1)
    fail("a network for certification has one noise step, not {}",
         std::ranges::count_if(plan.steps, is_noise));
  const auto at = std::ranges::find_if(plan.steps, is_noise);
  const int noised = static_cast<int>(at - plan.steps.begin()) + 1;  // the value that it makes
  if (at->input() != noised - 1)
    fail("layer {} does not read what is calculated last before it", at->name);
  const InferenceStep& head = plan.steps.back();
  const int features = static_cast<int>(plan.steps.size()) - 1;
  if (head.kind != Kind::dense || !head.activation.is_identity() || head.input() != features)
    fail("layer {} is no dense layer without activation, as the last one must be", head.name);

  NetworkPlan network{.prefix = InferencePlan(plan.sizes.front()),
                      .body = InferencePlan(plan.sizes[static_cast<std::size_t>(noised)]),
                      .distribution = at->distribution,
                      .noise_scale = at->noise_scale,
                      .noise_activation = at->activation,
                      .classes = head.outputs,
                      .head_weight = head.weight,
                      .head_bias = head.shift};
  for (auto step = plan.steps.begin(); step != at; ++step) network.prefix.add(std::move(*step));
  for (auto step = at + 1; step != plan.steps.end() - 1; ++step) {
    for (const int input : step->inputs)
      if (input < noised)
        fail("layer {} reads what lies before the noise, which would hide nothing of it",
             step->name);
    network.body.add(renumbered(std::move(*step), noised));
  }
  return network;
}

}  // namespace pixeldp::kernels
