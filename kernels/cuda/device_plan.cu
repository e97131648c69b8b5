/// The launches of a schedule (kernels/device_schedule.hpp), one after the other in the stream: for
/// each the kernel that does it, with its weights packed and its values in the plan's workspace.
#include <functional>
#include <utility>

#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/lattice_noise.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/packed_convolution.cuh"
#include "kernels/cuda/pooling.hpp"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/cuda/scaling.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using Kind = InferenceStep::Kind;
using Bf16 = std::uint16_t;

/// What a run is given.
struct Run {
  const DevicePlan::Draws* draws;  // null: none
  const float* x;
  float* y;
  const std::int32_t* steps = nullptr;  // in the place of x where the noise is on a lattice
};

class ScheduledPlan : public DevicePlan {
 public:
  ScheduledPlan(const Stream& stream, const InferencePlan& plan,
                const std::vector<StepWeights>& weights, DeviceSchedule schedule)
      : stream_(stream),
        schedule_(std::move(schedule)),
        result_(static_cast<int>(plan.steps.size())),
        workspace_(native(stream), schedule_.workspace) {
    if (schedule_.noisy && schedule_.prefixes == Prefixes::lattice)
      lattice_noise_ = prepare_lattice_noise(stream.native());
    for (const DeviceSchedule::Launch& launch : schedule_.launches)
      work_.push_back(prepare(plan, weights, launch));
  }

  const DeviceSchedule& schedule() const override { return schedule_; }
  void run(const float* x, float* y) const override {
    schedule_.check_run(false);
    run_all({nullptr, x, y});
  }
  void run(const Draws& draws, const float* prefixes, float* y) const override {
    schedule_.check_run(true);
    run_all({&draws, prefixes, y});
  }
  void run(const Draws& draws, const std::int32_t* prefixes, float* y) const override {
    schedule_.check_run(true, Prefixes::lattice);
    run_all({&draws, nullptr, y, prefixes});
  }

 private:
  using Work = std::function<void(const Run&)>;

  void run_all(const Run& run) const {
    for (const Work& work : work_) work(run);
  }

  const DeviceSchedule::Value& value(int number) const {
    return schedule_.values[static_cast<std::size_t>(number)];
  }
  /// Where a value lies in a run; null where it is not written.
  void* address(int number, const Run& run) const {
    if (number == 0 && !schedule_.noisy) return const_cast<float*>(run.x);
    if (!value(number).written) return nullptr;
    return number == result_ ? static_cast<void*>(run.y) : workspace_.data() + value(number).at;
  }
  template <class T>
  T* at(int number, const Run& run) const {
    return static_cast<T*>(address(number, run));
  }

  Work prepare(const InferencePlan& plan, const std::vector<StepWeights>& weights,
               const DeviceSchedule::Launch& launch) {
    if (!launch.step) return launch.noise ? noise() : rounding(0);
    const InferenceStep& step = plan.steps[*launch.step];
    const int made = static_cast<int>(*launch.step) + 1;
    if (launch.noise) return noisy_convolution(plan, weights, launch);
    switch (step.kind) {
      case Kind::convolution:
      case Kind::dense:
        return product(step.product_shape(), plan, weights, launch);
      case Kind::scaling:
      case Kind::addition:
        return scaling(step, weights[*launch.step], made);
      case Kind::shortcut:
        return rounded(shortcut(step, made), made);
      case Kind::pool:
        return rounded(pool(step, made), made);
      case Kind::standardise:
        return [this, input = step.input(), made, rows = schedule_.rows](const Run& run) {
          PIXELDP_DEVICE::standardise(stream_, rows, value(input).size, at<float>(input, run),
                                      at<float>(made, run));
        };
      case Kind::operation:
        return rounded(operation(step, made), made);
      case Kind::noise:
        break;  // refused by the schedule
    }
    device_call_failed("noise is drawn between two plans", "preparing a step of a plan");
  }

  Work noise() {
    if (lattice_noise_)
      return [this](const Run& run) {
        lattice_noise_->add(run.draws->noise, run.draws->rows, schedule_.rows, value(0).size,
                            run.steps, target(0, run));
      };
    const bool in_bytes_alone = value(0).in_int8 && !value(0).written;
    Work work = [this, in_bytes_alone](const Run& run) {
      check_noise_arguments(run.draws->noise, schedule_.rows, value(0).size);
      if (in_bytes_alone)
        add_noise_bytes(stream_.native(), run.draws->noise, run.draws->rows, schedule_.rows,
                        value(0).size, run.x, target(0, run));
      else
        PIXELDP_DEVICE::add_noise(stream_, run.draws->noise, run.draws->rows, schedule_.rows,
                                  value(0).size, run.x, at<float>(0, run));
    };
    return in_bytes_alone ? work : rounded(std::move(work), 0);
  }

  /// Where a value goes in int8: as what the schedule says.
  Int8Target target(int number, const Run& run) const {
    const DeviceSchedule::Value& v = value(number);
    return {.real = v.written ? at<float>(number, run) : nullptr,
            .bytes = bytes(number),
            .inverse_scale = v.inverse_scale};
  }
  std::int8_t* bytes(int number) const {
    const DeviceSchedule::Value& v = value(number);
    return v.in_int8 ? reinterpret_cast<std::int8_t*>(workspace_.data() + v.int8_at) : nullptr;
  }

  /// A value in fp32, rounded to bytes.
  Work rounding(int number) {
    const ScalingParams params{.pixels = schedule_.rows, .channels = value(number).size};
    return [this, params, number](const Run& run) {
      round_values(stream_.native(), params, params.channels, at<float>(number, run), nullptr,
                   {nullptr, bytes(number), value(number).inverse_scale});
    };
  }
  /// Work that writes fp32, and what products read of that.
  Work rounded(Work work, int made) {
    if (!value(made).in_int8) return work;
    return [first = std::move(work), second = rounding(made)](const Run& run) {
      first(run);
      second(run);
    };
  }

  /// A product in int8, which rounds what it reads where that does not lie there as bytes.
  Work product_int8(const Conv2dShape& shape, const InferencePlan& plan,
                    const std::vector<StepWeights>& weights, const DeviceSchedule::Launch& launch) {
    const InferenceStep& step = plan.steps[*launch.step];
    const StepWeights& own = weights[*launch.step];
    const int input = step.input(), residual = step.has_residual() ? step.residual() : -1;
    const int made = static_cast<int>(*launch.step) + 1,
              next = launch.epilogue ? static_cast<int>(*launch.epilogue) + 1 : -1;
    const ScalingParams read{.pixels = shape.batch * shape.in_h * shape.in_w,
                             .channels = shape.in_c};
    const auto operand = std::make_shared<StreamScratch<std::int8_t>>(
        native(stream_), value(input).in_int8 ? 0 : read.pixels * int8_channels(read.channels));
    const auto weight = std::make_shared<StreamCopyOf<std::int8_t>>(
        stream_.native(), own.weight_int8, packed_int8_size(shape));
    const auto channels = std::make_shared<Channels>(
        stream_.native(), own, launch.epilogue ? weights[*launch.epilogue] : StepWeights(),
        shape.out_c);
    const auto next_activation =
        next > 0 ? plan.steps[*launch.epilogue].activation : Activation::identity();
    const Int8ConvKernel kernel = Int8ConvKernel::choose(shape, current_arch());
    return [this, shape, kernel, read, operand, weight, channels, activation = step.activation,
            next_activation, input, residual, made, next](const Run& run) {
      const std::int8_t* x = bytes(input);
      if (operand->data() != nullptr) {
        round_values(stream_.native(), read, int8_channels(read.channels), at<float>(input, run),
                     nullptr, {nullptr, operand->data(), value(input).inverse_scale});
        x = operand->data();
      }
      Int8Epilogue epilogue{.scale = channels->scale.data(),
                            .shift = channels->shift.data(),
                            .residual = residual >= 0 ? at<float>(residual, run) : nullptr,
                            .activation = activation,
                            .y = target(made, run)};
      if (next > 0) {
        epilogue.next_scale = channels->next_scale.data();
        epilogue.next_shift = channels->next_shift.data();
        epilogue.next_activation = next_activation;
        epilogue.next = target(next, run);
      }
      conv2d_int8(stream_.native(), shape, kernel, x, weight->data(), epilogue);
    };
  }

  Work noisy_convolution(const InferencePlan& plan, const std::vector<StepWeights>& weights,
                         const DeviceSchedule::Launch& launch) {
    const InferenceStep& step = plan.steps[*launch.step];
    const StepWeights& own = weights[*launch.step];
    Conv2dShape shape = step.convolution;
    shape.batch = schedule_.rows;
    NoisyScaling before;
    if (launch.prologue)
      before = {weights[*launch.prologue].scale, weights[*launch.prologue].shift,
                plan.steps[*launch.prologue].activation};
    const std::shared_ptr<NoisyConv2d> prepared = prepare_noisy_conv2d(
        stream_.native(), shape, own.weight, before, {own.scale, own.shift, step.activation});
    const int made = static_cast<int>(*launch.step) + 1;
    const bool writes_read = launch.prologue && value(1).written;
    return [this, prepared, made, writes_read](const Run& run) {
      prepared->run(run.draws->noise, run.draws->rows, run.x, at<Bf16>(made, run),
                    writes_read ? at<Bf16>(1, run) : nullptr);
    };
  }

  /// What the epilogue of a product reads, kept in device memory.
  struct Channels {
    StreamCopy scale, shift, next_scale, next_shift;

    Channels(void* stream, const StepWeights& own, const StepWeights& after, std::int64_t count)
        : scale(stream, own.scale, count),
          shift(stream, own.shift, count),
          next_scale(stream, after.scale, count),
          next_shift(stream, after.shift, count) {}
  };

  Work product(Conv2dShape shape, const InferencePlan& plan,
               const std::vector<StepWeights>& weights, const DeviceSchedule::Launch& launch) {
    const InferenceStep& step = plan.steps[*launch.step];
    const StepWeights& own = weights[*launch.step];
    const int made = static_cast<int>(*launch.step) + 1;
    shape.batch = schedule_.rows;
    const int input = step.input(), residual = step.has_residual() ? step.residual() : -1;
    if (schedule_.precision == Precision::fp32) return direct(shape, step, own, made);
    if (schedule_.precision == Precision::int8) return product_int8(shape, plan, weights, launch);
    const auto packed = std::make_shared<PackedConvolution<Bf16>>(
        native(stream_), std::vector{ConvPass::forward(shape, chunk_of<Bf16>)}, own.weight,
        !value(input).bf16);
    const auto channels = std::make_shared<Channels>(
        stream_.native(), own, launch.epilogue ? weights[*launch.epilogue] : StepWeights(),
        shape.out_c);
    const int next = launch.epilogue ? static_cast<int>(*launch.epilogue) + 1 : 0;
    const auto next_activation =
        launch.epilogue ? plan.steps[*launch.epilogue].activation : Activation::identity();
    return [this, packed, channels, activation = step.activation, next_activation, input, residual,
            made, next](const Run& run) {
      ConvEpilogue epilogue{.scale = channels->scale.data(),
                            .shift = channels->shift.data(),
                            .activation = activation};
      if (residual >= 0 && value(residual).bf16)
        epilogue.residual = at<Bf16>(residual, run);
      else if (residual >= 0)
        epilogue.residual_fp32 = at<float>(residual, run);
      if (next > 0) {
        epilogue.next_scale = channels->next_scale.data();
        epilogue.next_shift = channels->next_shift.data();
        epilogue.next_activation = next_activation;
        epilogue.next = at<Bf16>(next, run);
      }
      const auto write = [&](auto* y) {
        if (value(input).bf16)
          packed->run(at<Bf16>(input, run), epilogue, y);
        else
          packed->run(at<float>(input, run), epilogue, y);
      };
      value(made).bf16 ? write(at<Bf16>(made, run)) : write(at<float>(made, run));
    };
  }

  /// A product in fp32. A scale and a residual take passes of their own.
  Work direct(const Conv2dShape& shape, const InferenceStep& step, const StepWeights& own,
              int made) {
    const auto copy = [&](const float* values, std::int64_t count) {
      return std::make_shared<StreamCopy>(stream_.native(), values, count);
    };
    const BatchNormParams norm{
        .rows = shape.batch * shape.out_h() * shape.out_w(),
        .channels = shape.out_c,
        .activation = step.has_residual() ? Activation::identity() : step.activation};
    return [this, shape, norm, weight = copy(own.weight, shape.weight_size()),
            scale = copy(own.scale, shape.out_c), shift = copy(own.shift, shape.out_c),
            activation = step.activation, inputs = step.inputs, made](const Run& run) {
      float* const y = at<float>(made, run);
      const bool scales = scale->data() != nullptr;
      conv2d_direct(stream_.native(), shape, scales ? Activation::identity() : norm.activation,
                    at<float>(inputs[0], run), weight->data(), scales ? nullptr : shift->data(), y);
      if (scales)
        PIXELDP_DEVICE::batch_norm_inference(stream_, norm, y, scale->data(), shift->data(), y);
      if (inputs.size() > 1)
        PIXELDP_DEVICE::add(stream_, activation, norm.rows * norm.channels, y,
                            at<float>(inputs[1], run), y);
    };
  }

  Work scaling(const InferenceStep& step, const StepWeights& own, int made) {
    const int input = step.input(), residual = step.has_residual() ? step.residual() : -1;
    const std::int64_t channels = step.outputs;
    const ScalingParams params{.pixels = schedule_.rows * value(input).size / channels,
                               .channels = channels,
                               .activation = step.activation};
    const auto scale = std::make_shared<StreamCopy>(stream_.native(), own.scale, channels);
    const auto shift = std::make_shared<StreamCopy>(stream_.native(), own.shift, channels);
    return [this, params, scale, shift, input, residual, made](const Run& run) {
      ScalingParams p = params;
      p.scale = scale->data(), p.shift = shift->data();
      if (value(made).in_int8)
        return round_values(stream_.native(), p, p.channels, at<float>(input, run),
                            residual >= 0 ? at<float>(residual, run) : nullptr, target(made, run));
      const auto from = [&](auto* x) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(x)>>;
        const T* const added = residual >= 0 ? at<T>(residual, run) : nullptr;
        if (value(made).bf16)
          scale_values(stream_.native(), p, x, added, at<Bf16>(made, run));
        else
          scale_values(stream_.native(), p, x, added, at<float>(made, run));
      };
      value(input).bf16 ? from(at<const Bf16>(input, run)) : from(at<const float>(input, run));
    };
  }

  Work shortcut(const InferenceStep& step, int made) {
    ShortcutShape shape = step.shortcut_shape;
    shape.batch = schedule_.rows;
    return [this, shape, input = step.input(), made](const Run& run) {
      if (value(input).bf16)
        PIXELDP_DEVICE::shortcut_forward(stream_, shape, at<const Bf16>(input, run),
                                         at<Bf16>(made, run));
      else
        PIXELDP_DEVICE::shortcut_forward(stream_, shape, at<const float>(input, run),
                                         at<float>(made, run));
    };
  }

  Work pool(const InferenceStep& step, int made) {
    const int input = step.input();
    const GlobalPoolShape shape{schedule_.rows, value(input).size / step.outputs, step.outputs};
    return [this, shape, input, made](const Run& run) {
      if (value(input).bf16)
        PIXELDP_DEVICE::global_average_pool(stream_, shape, at<const Bf16>(input, run),
                                            at<float>(made, run));
      else
        PIXELDP_DEVICE::global_average_pool(stream_, shape, at<const float>(input, run),
                                            at<float>(made, run));
    };
  }

  Work operation(const InferenceStep& step, int made) {
    const RowWork work =
        prepare_rows(stream_.native(), device_operation(*step.operation).value(), schedule_.rows);
    return [this, work, inputs = step.inputs, made](const Run& run) {
      std::vector<RowOperand> x;
      for (const int input : inputs) x.push_back({address(input, run), value(input).bf16});
      work(x, at<float>(made, run));
    };
  }

  Stream stream_;
  DeviceSchedule schedule_;
  int result_;
  StreamScratch<std::byte> workspace_;
  std::unique_ptr<DeviceLatticeNoise> lattice_noise_;  // null: noise in floats, or none
  std::vector<Work> work_;
};

}  // namespace

std::unique_ptr<DevicePlan> pack_device_plan(const Stream& stream, const InferencePlan& plan,
                                             const std::vector<StepWeights>& weights,
                                             DeviceSchedule schedule) {
  return std::make_unique<ScheduledPlan>(stream, plan, weights, std::move(schedule));
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
