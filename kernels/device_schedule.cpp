#include "kernels/device_schedule.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/int8_values.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/device_operation.hpp"
#include "kernels/int8.hpp"
#include "kernels/placement.hpp"

namespace pixeldp::kernels {
namespace {

using Kind = InferenceStep::Kind;

class Scheduler {
 public:
  Scheduler(const InferencePlan& plan, DeviceSchedule& schedule, Fusion fusion,
            std::span<const float> scales)
      : plan_(plan), s_(schedule), done_(plan.steps.size(), false) {
    for (const std::int64_t size : plan.sizes) s_.values.push_back({.size = size});
    if (in_int8()) {
      const std::vector<float> inverse = inverse_scales(plan, scales);
      for (std::size_t v = 0; v < inverse.size(); ++v) s_.values[v].inverse_scale = inverse[v];
    }
    if (s_.noisy) noise(fusion);
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      if (done_[i]) continue;
      if (plan.steps[i].kind == Kind::noise)
        fail("layer {}: noise is drawn between two plans", plan.steps[i].name);
      if (plan.steps[i].kind == Kind::operation && !device_operation(*plan.steps[i].operation))
        fail_usage("layer {}: devices have no kernel for {} yet: use --device cpu",
                   plan.steps[i].name, plan.steps[i].operation->name());
      if (s_.precision != Precision::fp32 && plan.steps[i].kind == Kind::standardise)
        fail("layer {}: images are standardised in fp32 only", plan.steps[i].name);
      launch({.step = i});
    }
    choose_precisions();
    choose_bytes();
    place();
  }

 private:
  bool in_bf16() const { return s_.precision == Precision::bf16; }
  bool in_int8() const { return s_.precision == Precision::int8; }
  std::int64_t result() const { return std::ssize(plan_.steps); }

  /// One kernel for the noise, perhaps a scaling that alone reads it, and a convolution; or the
  /// noise by itself.
  void noise(Fusion fusion) {
    const auto& steps = plan_.steps;
    if (fusion == Fusion::allowed && s_.prefixes == Prefixes::floats && in_bf16() &&
        !steps.empty() && plan_.readers(0) == 1) {
      const bool scales = steps[0].kind == Kind::scaling && steps[0].input() == 0;
      const int read = scales ? 1 : 0;
      for (std::size_t i = scales ? 1 : 0; i < steps.size(); ++i) {
        // The kernel writes bf16, and results are in fp32.
        if (steps[i].kind != Kind::convolution || steps[i].input() != read || made_last(i) ||
            steps[i].has_residual() || !NoisyConvPlan::supports(steps[i].convolution) ||
            (scales && steps[0].outputs != steps[i].convolution.in_c))
          continue;
        DeviceSchedule::Launch fused{.step = i, .noise = true};
        if (scales) fused.prologue = 0, done_[0] = true;
        done_[i] = true;
        s_.launches.push_back(fused);
        // Where others read the scaled noise too, the kernel writes it.
        if (scales) s_.values[1].written = plan_.readers(1) > 1;
        write(static_cast<int>(i) + 1);
        return;
      }
    }
    s_.launches.push_back({.noise = true});
    write(0);
  }

  void write(int value) { s_.values[static_cast<std::size_t>(value)].written = true; }

  void launch(DeviceSchedule::Launch launch) {
    const std::size_t i = *launch.step;
    const int made = static_cast<int>(i) + 1;
    done_[i] = true;
    if ((in_bf16() || in_int8()) && plan_.steps[i].multiplies()) {
      // The first scaling that reads what is made; others read it from memory.
      for (std::size_t k = i + 1; k < plan_.steps.size(); ++k) {
        const InferenceStep& step = plan_.steps[k];
        if (step.kind != Kind::scaling || step.input() != made ||
            step.outputs != plan_.steps[i].outputs)
          continue;
        // Epilogues in bf16 write what follows in bf16, those in int8 as it is read.
        if (in_bf16() && (made_last(k) || !fills_chunks(step.outputs))) continue;
        launch.epilogue = k;
        done_[k] = true;
        write(static_cast<int>(k) + 1);
        break;
      }
    }
    s_.launches.push_back(launch);
    if (!launch.epilogue || plan_.readers(made) > 1) write(made);
  }
  /// Whether the tensor cores can read so many channels as they lie.
  static bool fills_chunks(std::int64_t channels) {
    return channels % chunk_of<std::uint16_t> == 0;
  }
  bool made_last(std::size_t step) const { return std::cmp_equal(step + 1, result()); }

  void choose_precisions() {
    if (!in_bf16()) return;
    for (std::size_t v = 0; v < s_.values.size(); ++v) s_.values[v].bf16 = true;
    // Noise by itself is added in fp32. What the tensor cores read comes in chunks of channels.
    s_.values[0].bf16 = false;
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      const InferenceStep& step = plan_.steps[i];
      DeviceSchedule::Value& made = s_.values[i + 1];
      switch (step.kind) {
        case Kind::convolution:
        case Kind::dense:
        case Kind::scaling:
          made.bf16 = fills_chunks(step.outputs);
          break;
        case Kind::shortcut:
          made.bf16 = s_.values[static_cast<std::size_t>(step.input())].bf16;
          if (made.bf16 && !fills_chunks(step.outputs))
            fail("layer {}: devices make {} channels of values in bf16 only by eights", step.name,
                 step.outputs);
          break;
        case Kind::addition:
          made.bf16 = s_.values[static_cast<std::size_t>(step.input())].bf16;
          if (made.bf16 != s_.values[static_cast<std::size_t>(step.residual())].bf16)
            fail("layer {} adds values of different precisions", step.name);
          break;
        case Kind::pool:
        case Kind::standardise:
        case Kind::noise:
        case Kind::operation:
          made.bf16 = false;
          break;
      }
    }
    if (!plan_.steps.empty() && plan_.steps.back().kind == Kind::shortcut)
      fail("layer {}: a shortcut cannot be the last", plan_.steps.back().name);
    s_.values.back().bf16 = false;
  }

  /// In int8: which values are written in fp32, as bytes, or both.
  void choose_bytes() {
    if (!in_int8()) return;
    for (std::size_t v = 0; v < s_.values.size(); ++v) {
      DeviceSchedule::Value& value = s_.values[v];
      value.in_int8 = value.inverse_scale > 0.0f && has_whole_vectors(v);
      if (v == 0 && !s_.noisy) continue;  // which is there
      value.written = std::cmp_equal(v, result()) || (value.in_int8 && made_in_fp32(v)) ||
                      std::ranges::any_of(s_.launches, [&](const DeviceSchedule::Launch& launch) {
                        return launch.step && reads_fp32(plan_.steps[*launch.step], v);
                      });
    }
    if (!s_.noisy && s_.values.front().in_int8)
      s_.launches.insert(s_.launches.begin(), DeviceSchedule::Launch());
  }
  /// Whether all products that read a value take it as bytes as its maker writes them.
  bool has_whole_vectors(std::size_t value) const {
    if (value > 0 && plan_.steps[value - 1].outputs % 4 != 0) return false;
    return std::ranges::all_of(plan_.steps, [&](const InferenceStep& step) {
      if (!step.multiplies() || !std::cmp_equal(step.input(), value)) return true;
      const std::int64_t channels = step.product_shape().in_c;
      return channels == int8_channels(channels);
    });
  }
  /// Whether what makes a value writes it in fp32, from which it is rounded then.
  bool made_in_fp32(std::size_t value) const {
    if (value == 0) return false;
    const Kind kind = plan_.steps[value - 1].kind;
    return kind == Kind::shortcut || kind == Kind::pool || kind == Kind::operation;
  }
  bool reads_fp32(const InferenceStep& step, std::size_t value) const {
    const auto reads = [&](int input) { return std::cmp_equal(input, value); };
    if (!step.multiplies()) return std::ranges::any_of(step.inputs, reads);
    return (reads(step.input()) && !s_.values[value].in_int8) ||
           (step.has_residual() && reads(step.residual()));
  }

  /// Of each value from the launch that writes it to the last that reads it.
  void place() {
    Placement placement;
    const auto launch_of = [&](std::size_t step) {
      for (std::size_t l = 0; l < s_.launches.size(); ++l) {
        const DeviceSchedule::Launch& launch = s_.launches[l];
        if (launch.step == step || launch.prologue == step || launch.epilogue == step) return l;
      }
      fail("step {} of a plan has no launch", plan_.steps[step].name);
    };
    for (std::size_t v = 0; v < s_.values.size(); ++v) {
      DeviceSchedule::Value& value = s_.values[v];
      const bool elsewhere = std::cmp_equal(v, result()) || (v == 0 && !s_.noisy);
      const bool has_place = value.written && !elsewhere;
      if (!has_place && !value.in_int8) continue;
      const std::size_t first = v == 0 ? 0 : launch_of(v - 1);
      std::size_t last = first;
      for (std::size_t i = 0; i < plan_.steps.size(); ++i)
        if (std::ranges::find(plan_.steps[i].inputs, static_cast<int>(v)) !=
            plan_.steps[i].inputs.end())
          last = std::max(last, launch_of(i));
      if (has_place) value.at = placement.take(s_.rows * value.bytes(), first, last);
      if (value.in_int8) value.int8_at = placement.take(s_.rows * value.size, first, last);
    }
    s_.workspace = placement.size();
  }

  const InferencePlan& plan_;
  DeviceSchedule& s_;
  std::vector<bool> done_;
};

}  // namespace

DeviceSchedule DeviceSchedule::make(const InferencePlan& plan, std::int64_t rows,
                                    Precision precision, bool noisy, Fusion fusion,
                                    std::span<const float> scales, Prefixes prefixes) {
  if (precision != Precision::fp32 && precision != Precision::bf16 && precision != Precision::int8)
    fail("devices calculate plans in fp32, bf16 or int8");
  if (plan.steps.empty() && !noisy) fail("a plan without steps and without noise makes nothing");
  DeviceSchedule schedule{
      .rows = rows, .precision = precision, .noisy = noisy, .prefixes = prefixes};
  Scheduler(plan, schedule, fusion, scales);
  return schedule;
}

void DeviceSchedule::check_run(bool with_draws, Prefixes given) const {
  if (with_draws && !noisy) fail("a plan that does not follow the noise takes no draws");
  if (!with_draws && noisy) fail("a plan that follows the noise takes draws");
  if (with_draws && given != prefixes)
    fail("a plan of noise {} takes no prefixes {}",
         prefixes == Prefixes::lattice ? "on a lattice" : "in floats",
         given == Prefixes::lattice ? "on a lattice" : "in floats");
}

std::string fp32_difference(const InferencePlan& plan) {
  for (const InferenceStep& step : plan.steps) {
    if (!step.multiplies()) continue;
    const Conv2dShape& s = step.convolution;
    if (step.kind == Kind::dense)
      return fmt::format("layer {} is a dense one, whose sums have another order there", step.name);
    if (!step.scale.empty())
      return fmt::format("layer {} has scales, which a processor multiplies with the weight",
                         step.name);
    if (DirectConvPlan::make(s, nullptr, sm_90).chunk_c != s.in_c)
      return fmt::format("the sums of layer {} have another order there, {} channels being many",
                         step.name, s.in_c);
  }
  return {};
}

}  // namespace pixeldp::kernels
