#include "kernels/inference.hpp"

#include <algorithm>
#include <cstring>

#include "engine/error.hpp"
#include "kernels/cpu/operations.hpp"
#include "kernels/cpu/plan_products.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/cpu/winograd.hpp"
#include "kernels/int8.hpp"
#include "kernels/placement.hpp"
#include "kernels/pooling.hpp"

// How rows travel. Up to `pass_rows` rows go through the plan together, which reads the weights of
// deep layers, larger than any cache, once for all of them. Where rows are larger than weights, a
// few at a time (a tile) go through several steps (a segment), so that what passes from step to
// step stays in the cache.

namespace pixeldp::kernels {

namespace {

using cpu::InferenceKernels, cpu::InferenceTarget, cpu::PreparedProduct, cpu::Real,
    cpu::ShortcutSpan;
using Kind = InferenceStep::Kind;

constexpr std::int64_t pass_rows = 64;

/// Rows that go through a product and its neighbours together: as many as stay in the cache, but
/// enough that reading the weights costs little.
std::int64_t tile_of(const InferencePlan& plan, std::size_t i, bool winograd, bool amx) {
  constexpr std::int64_t cached = 512 << 10;  // bytes
  const InferenceStep& step = plan.steps[i];
  const std::int64_t row =
      2 * (plan.sizes[static_cast<std::size_t>(step.input())] + plan.sizes[i + 1]);
  if (winograd) {
    const std::int64_t whole =
        std::max<std::int64_t>(cpu::winograd_tiles / cpu::winograd_tiles_of(step.convolution), 1);
    return std::clamp(cached / row / whole * whole, whole, pass_rows);
  }
  const auto weights = static_cast<std::int64_t>(2 * step.weight.size());
  const std::int64_t rows =
      std::clamp<std::int64_t>(std::max(cached, weights / 2) / row, 1, pass_rows);
  return amx && rows > cpu::tile_positions ? rows / cpu::tile_positions * cpu::tile_positions
                                           : rows;
}

/// Whether a step never writes bytes for a product in int8.
bool writes_reals(const InferenceStep& step) {
  switch (step.kind) {
    case Kind::shortcut:
    case Kind::pool:
    case Kind::operation:
      return true;
    case Kind::convolution:
    case Kind::dense:
    case Kind::scaling:
    case Kind::addition:
    case Kind::standardise:
    case Kind::noise:
      return false;
  }
  return false;
}

class HostInference : public Inference {
 public:
  HostInference(const InferencePlan& plan, Precision precision, std::span<const float> scales,
                Algorithm algorithm)
      : precision_(precision),
        algorithm_(algorithm),
        plan_(plan),
        kernels_(best()),
        values_(plan.sizes.size()) {
    choose_representations(scales);
    choose_segments();
    steps_.resize(plan_.steps.size());
    for (std::size_t i = 0; i < steps_.size(); ++i) prepare(i);
    place();
  }

  std::int64_t workspace_size() const override { return workspace_; }
  void run(std::int64_t rows, const float* x, float* y, void* workspace,
           const InferenceObserver& observe) const override {
    auto* const memory = static_cast<std::byte*>(workspace);
    for (std::int64_t first = 0; first < rows; first += pass_rows) {
      const std::int64_t count = std::min(pass_rows, rows - first);
      run_pass(count, x + first * plan_.sizes.front(), y + first * plan_.sizes.back(), memory,
               observe);
    }
  }

 private:
  /// Where a value lies and as what.
  struct Value {
    bool is_real = false, is_bytes = false;
    Real kind = Real::fp32;
    float inverse_scale = 0.0f;
    bool whole_pass = false;  ///< kept for all rows of a pass, not of a tile
    std::int64_t real_at = 0, bytes_at = 0;
  };
  struct Segment {
    std::size_t first = 0, last = 0;  ///< steps
    std::int64_t tile = 1;
  };
  struct Step {
    std::unique_ptr<PreparedProduct> product;
    std::vector<float> scale, shift;  ///< of a scaling
    std::int64_t scratch_at = 0;
  };

  static const InferenceKernels& best() {
    return cpu::simd_kernels(cpu::best_instruction_set()).inference;
  }
  bool by_winograd(std::size_t step) const {
    return cpu::by_winograd(plan_.steps[step], precision_, algorithm_);
  }
  bool by_amx() const { return precision_ == Precision::int8 && cpu_features().amx; }
  Real real_kind() const { return precision_ == Precision::bf16 ? Real::bf16 : Real::fp32; }
  static std::int64_t bytes(Real kind) { return kind == Real::bf16 ? 2 : 4; }
  std::int64_t size(int value) const { return plan_.sizes[static_cast<std::size_t>(value)]; }
  const Value& value(int number) const { return values_[static_cast<std::size_t>(number)]; }

  void choose_representations(std::span<const float> scales) {
    for (Value& v : values_) v.kind = real_kind();
    if (precision_ == Precision::int8) {
      const std::vector<float> inverse = inverse_scales(plan_, scales);
      for (std::size_t v = 0; v < inverse.size(); ++v) values_[v].inverse_scale = inverse[v];
    }
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      const InferenceStep& step = plan_.steps[i];
      if (step.kind == Kind::noise) fail("layer {}: noise is drawn between two plans", step.name);
      if (step.kind == Kind::standardise && precision_ != Precision::fp32)
        fail("layer {}: images are standardised in fp32 only", step.name);
      Value& read = values_[static_cast<std::size_t>(step.input())];
      for (const int input : std::span(step.inputs).subspan(1))
        values_[static_cast<std::size_t>(input)].is_real = true;
      if (step.kind == Kind::shortcut) values_[i + 1].kind = read.kind;
      if (writes_reals(step)) values_[i + 1].is_real = true;
      if (precision_ == Precision::int8 && step.multiplies())
        read.is_bytes = true;
      else
        read.is_real = true;
    }
    values_.back().is_real = true;
    // A shortcut keeps the kind of what it reads; what is added has that of the sum.
    if (plan_.steps.empty() ||
        (plan_.steps.back().kind != Kind::shortcut && !plan_.steps.back().has_residual()))
      values_.back().kind = Real::fp32;
  }

  void choose_segments() {
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      const bool multiplies = plan_.steps[i].multiplies();
      const std::int64_t wanted = multiplies ? tile_of(plan_, i, by_winograd(i), by_amx()) : 1;
      // What leads to the first product goes with it; tiles only grow.
      if (segments_.empty() || (multiplies && wanted > segments_.back().tile)) {
        if (!segments_.empty() && segments_.size() == 1 && !has_product(segments_.back())) {
          segments_.back().tile = wanted;
        } else {
          segments_.push_back({.first = i, .last = i, .tile = wanted});
        }
      }
      segments_.back().last = i;
    }
    if (segments_.empty()) segments_.push_back({.first = 1, .last = 0, .tile = pass_rows});
  }
  bool has_product(const Segment& segment) const {
    for (std::size_t i = segment.first; i <= segment.last; ++i)
      if (plan_.steps[i].multiplies()) return true;
    return false;
  }
  /// Of the step that makes a value, or (for the input) the first.
  std::size_t segment_of(std::size_t step) const {
    std::size_t s = 0;
    while (s + 1 < segments_.size() && segments_[s].last < step) ++s;
    return s;
  }

  /// Gives every value a place.
  void place() {
    Placement placement;
    const auto take = [&](std::int64_t size, std::size_t first, std::size_t last) {
      return placement.take(size, first, last);
    };
    for (std::size_t v = 0; v < values_.size(); ++v) {
      std::size_t first = v, last = v;
      for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
        const InferenceStep& step = plan_.steps[i];
        if (std::ranges::find(step.inputs, static_cast<int>(v)) != step.inputs.end()) last = i + 1;
      }
      Value& value = values_[v];
      const std::size_t made_in = segment_of(v == 0 ? 0 : v - 1),
                        used_in = segment_of(last == 0 ? 0 : last - 1);
      value.whole_pass = made_in != used_in;
      if (value.whole_pass) {
        first = std::min(first, segments_[made_in].first + (made_in == 0 ? 0 : 1));
        last = segments_[used_in].last + 1;
      }
      const std::int64_t rows = value.whole_pass ? pass_rows : segments_[made_in].tile;
      const std::int64_t count = rows * plan_.sizes[v];
      if (value.is_real) value.real_at = take(count * bytes(value.kind), first, last);
      if (value.is_bytes) value.bytes_at = take(count, first, last);
    }
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const InferenceStep& step = plan_.steps[i];
      if (steps_[i].product)
        steps_[i].scratch_at = take(steps_[i].product->scratch_size(pass_rows), i + 1, i + 1);
      if (step.kind == Kind::pool)
        steps_[i].scratch_at = take(4 * pool_lanes * step.outputs, i + 1, i + 1);
      if (step.kind == Kind::operation)
        steps_[i].scratch_at = take(converted_bytes(i), i + 1, i + 1);
    }
    workspace_ = placement.size();
  }

  bool never_negative(int number) const {
    if (number == 0) return false;
    const InferenceStep& made_by = plan_.steps[static_cast<std::size_t>(number - 1)];
    return !writes_reals(made_by) && made_by.activation == Activation::relu();
  }

  void prepare(std::size_t i) {
    const InferenceStep& step = plan_.steps[i];
    Step& prepared = steps_[i];
    if (!step.multiplies()) {
      prepared.scale = step.scale;
      prepared.shift = step.shift;
      return;
    }
    prepared.product =
        cpu::prepare_product(step, precision_, algorithm_, value(step.input()).inverse_scale,
                             never_negative(step.input()));
    plan_.steps[i].weight = {};
  }

  std::byte* real(std::byte* memory, int number, std::int64_t row) const {
    const Value& v = value(number);
    if (!v.is_real) return nullptr;
    return memory + v.real_at + (v.whole_pass ? row : 0) * size(number) * bytes(v.kind);
  }
  std::byte* as_bytes(std::byte* memory, int number, std::int64_t row) const {
    const Value& v = value(number);
    if (!v.is_bytes) return nullptr;
    return memory + v.bytes_at + (v.whole_pass ? row : 0) * size(number);
  }
  InferenceTarget target(std::byte* memory, int number, std::int64_t row) const {
    return {.real = real(memory, number, row),
            .bytes = reinterpret_cast<std::uint8_t*>(as_bytes(memory, number, row)),
            .inverse_scale = value(number).inverse_scale};
  }

  void run_pass(std::int64_t rows, const float* x, float* y, std::byte* memory,
                const InferenceObserver& observe) const {
    for (const Segment& segment : segments_) {
      for (std::int64_t row = 0; row < rows; row += segment.tile) {
        const std::int64_t count = std::min(segment.tile, rows - row);
        if (&segment == &segments_.front()) {
          kernels_.scaling({.pixels = count, .channels = size(0)}, Real::fp32, value(0).kind,
                           x + row * size(0), target(memory, 0, row));
        }
        for (std::size_t i = segment.first; i <= segment.last && i < steps_.size(); ++i)
          run_step(i, row, count, memory, observe);
        if (&segment == &segments_.back()) {
          const int last = static_cast<int>(plan_.steps.size());
          kernels_.scaling({.pixels = count, .channels = size(last)}, value(last).kind, Real::fp32,
                           real(memory, last, row), {.real = y + row * size(last)});
        }
      }
    }
  }

  void run_step(std::size_t i, std::int64_t row, std::int64_t count, std::byte* memory,
                const InferenceObserver& observe) const {
    const InferenceStep& step = plan_.steps[i];
    const Step& prepared = steps_[i];
    const int made = static_cast<int>(i) + 1;
    const Value &from = value(step.input()), &to = value(made);
    const std::byte* const x = real(memory, step.input(), row);
    const std::int64_t outputs = step.outputs;
    switch (step.kind) {
      case Kind::convolution:
      case Kind::dense:
        if (observe)
          observe(i, {reinterpret_cast<const float*>(x),
                      static_cast<std::size_t>(count * size(step.input()))});
        multiply(i, row, count, memory);
        break;
      case Kind::scaling:
        kernels_.scaling({.pixels = count * size(made) / outputs,
                          .channels = outputs,
                          .scale = prepared.scale.data(),
                          .shift = prepared.shift.data(),
                          .slope = step.activation.slope},
                         from.kind, to.kind, x, target(memory, made, row));
        break;
      case Kind::addition:
        kernels_.scaling({.pixels = count,
                          .channels = size(made),
                          .residual = real(memory, step.residual(), row),
                          .slope = step.activation.slope},
                         from.kind, to.kind, x, target(memory, made, row));
        break;
      case Kind::standardise:
        cpu::standardise(Stream(), count, size(made), reinterpret_cast<const float*>(x),
                         reinterpret_cast<float*>(real(memory, made, row)));
        break;
      case Kind::noise:  // refused by choose_representations
        break;
      case Kind::operation:
        for (std::int64_t r = 0; r < count; ++r) operate(i, row, r, memory);
        break;
      case Kind::shortcut: {
        const ShortcutShape& s = step.shortcut_shape;
        const ShortcutSpan span{.in_w = s.in_w,
                                .in_c = s.in_c,
                                .out_h = s.out_h(),
                                .out_w = s.out_w(),
                                .out_c = s.out_c,
                                .before = s.channels_before(),
                                .stride = s.stride,
                                .extent = s.kind == ShortcutKind::average ? s.stride : 1};
        std::byte* const y = real(memory, made, row);
        for (std::int64_t r = 0; r < count; ++r)
          kernels_.shortcut(span, from.kind, x + r * size(step.input()) * bytes(from.kind),
                            y + r * size(made) * bytes(to.kind));
        break;
      }
      case Kind::pool: {
        std::byte* const y = real(memory, made, row);
        for (std::int64_t r = 0; r < count; ++r)
          kernels_.pool(size(step.input()) / outputs, outputs, from.kind, to.kind,
                        x + r * size(step.input()) * bytes(from.kind),
                        y + r * size(made) * bytes(to.kind),
                        reinterpret_cast<float*>(memory + prepared.scratch_at));
        break;
      }
    }
    // Where their result is read as bytes it is rounded here.
    if (to.is_bytes && writes_reals(step)) {
      InferenceTarget rounded = target(memory, made, row);
      rounded.real = nullptr;
      kernels_.scaling({.pixels = count, .channels = size(made)}, to.kind, to.kind,
                       real(memory, made, row), rounded);
    }
  }

  /// Of a row of what an operation reads and makes, as far as that is not in fp32.
  std::int64_t converted_bytes(std::size_t i) const {
    const int made = static_cast<int>(i) + 1;
    std::int64_t total = value(made).kind == Real::fp32 ? 0 : 4 * size(made);
    for (const int input : plan_.steps[i].inputs)
      if (value(input).kind != Real::fp32) total += 4 * size(input);
    return total;
  }

  /// Row r of those at `row`.
  void operate(std::size_t i, std::int64_t row, std::int64_t r, std::byte* memory) const {
    const InferenceStep& step = plan_.steps[i];
    auto* scratch = reinterpret_cast<float*>(memory + steps_[i].scratch_at);
    const auto at = [&](int number) {
      return real(memory, number, row) + r * size(number) * bytes(value(number).kind);
    };
    std::vector<const float*> x;
    for (const int input : step.inputs) {
      if (value(input).kind == Real::fp32) {
        x.push_back(reinterpret_cast<const float*>(at(input)));
        continue;
      }
      kernels_.scaling({.pixels = 1, .channels = size(input)}, value(input).kind, Real::fp32,
                       at(input), {.real = scratch});
      x.push_back(scratch);
      scratch += size(input);
    }
    const int made = static_cast<int>(i) + 1;
    const bool direct = value(made).kind == Real::fp32;
    float* const y = direct ? reinterpret_cast<float*>(at(made)) : scratch;
    step.operation->run(x, y);
    if (!direct)
      kernels_.scaling({.pixels = 1, .channels = size(made)}, Real::fp32, value(made).kind, y,
                       {.real = at(made)});
  }

  void multiply(std::size_t i, std::int64_t row, std::int64_t count, std::byte* memory) const {
    const InferenceStep& step = plan_.steps[i];
    const int made = static_cast<int>(i) + 1;
    steps_[i].product->run(
        count,
        precision_ == Precision::int8 ? as_bytes(memory, step.input(), row)
                                      : real(memory, step.input(), row),
        {.activation = step.activation,
         .kind = value(made).kind,
         .target = target(memory, made, row),
         .residual = step.has_residual() ? real(memory, step.residual(), row) : nullptr},
        memory + steps_[i].scratch_at);
  }

  Precision precision_;
  Algorithm algorithm_;
  InferencePlan plan_;  // without the weights
  const InferenceKernels& kernels_;
  std::vector<Value> values_;
  std::vector<Segment> segments_;
  std::vector<Step> steps_;
  std::int64_t workspace_ = 0;
};

}  // namespace

std::unique_ptr<Inference> prepare_inference(const InferencePlan& plan, Precision precision,
                                             std::span<const float> scales, Algorithm algorithm) {
  if (const std::string obstacle = inference_obstacle(precision); !obstacle.empty())
    fail("{}: calculate in fp32", obstacle);
  return std::make_unique<HostInference>(plan, precision, scales, algorithm);
}

}  // namespace pixeldp::kernels
