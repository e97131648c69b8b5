#include "kernels/device_plan.hpp"

#include <algorithm>
#include <optional>

#include "engine/error.hpp"
#include "kernels/batch_norm.hpp"
#include "kernels/dense.hpp"
#include "kernels/placement.hpp"
#include "kernels/pooling.hpp"
#include "kernels/standardise.hpp"

namespace pixeldp::kernels {
namespace {

using Kind = InferenceStep::Kind;

/// Host values in device memory; null where there are none.
class OnDevice {
 public:
  OnDevice(const Stream& stream, const std::vector<float>& values)
      : buffer_(stream.device(), std::ssize(values)) {
    buffer_.upload(stream, values);
  }
  const float* data() const { return buffer_.size() > 0 ? buffer_.data() : nullptr; }

 private:
  Buffer<float> buffer_;
};

Conv2dShape of_rows(Conv2dShape shape, std::int64_t rows) {
  shape.batch = rows;
  return shape;
}

using Work = std::function<void(const float* x, const float* residual, float* y)>;

Work prepare(const Stream& stream, const InferenceStep& step, std::int64_t rows, std::int64_t size,
             Precision precision) {
  const auto product = [](std::shared_ptr<Prepared> prepared) -> Work {
    return [prepared](const float* x, const float* residual, float* y) {
      prepared->run(x, y, residual);
    };
  };
  const OnDevice weight(stream, step.weight);
  const auto scale = std::make_shared<OnDevice>(stream, step.scale);
  const auto shift = std::make_shared<OnDevice>(stream, step.shift);
  const Activation activation = step.activation;
  switch (step.kind) {
    case Kind::convolution:
      return product(prepare_conv2d(stream, of_rows(step.convolution, rows), weight.data(),
                                    {.activation = activation,
                                     .scale = scale->data(),
                                     .shift = shift->data(),
                                     .residual = step.has_residual()},
                                    precision));
    case Kind::dense:
      return product(
          prepare_dense(stream,
                        {.rows = rows,
                         .in = static_cast<std::int64_t>(step.weight.size()) / step.outputs,
                         .out = step.outputs},
                        weight.data(), shift->data(), activation, precision));
    case Kind::scaling: {
      const BatchNormParams params{
          .rows = rows * size / step.outputs, .channels = step.outputs, .activation = activation};
      return [=](const float* x, const float*, float* y) {
        batch_norm_inference(stream, params, x, scale->data(), shift->data(), y);
      };
    }
    case Kind::addition:
      return [=](const float* x, const float* residual, float* y) {
        add(stream, activation, rows * size, x, residual, y);
      };
    case Kind::shortcut: {
      ShortcutShape shape = step.shortcut_shape;
      shape.batch = rows;
      return [=](const float* x, const float*, float* y) { shortcut_forward(stream, shape, x, y); };
    }
    case Kind::pool: {
      const GlobalPoolShape shape{rows, size / step.outputs, step.outputs};
      return
          [=](const float* x, const float*, float* y) { global_average_pool(stream, shape, x, y); };
    }
    case Kind::standardise:
      return [=](const float* x, const float*, float* y) { standardise(stream, rows, size, x, y); };
    case Kind::noise:
      break;
  }
  fail("layer {}: noise is drawn between two plans", step.name);
}

/// The steps that one kernel of noise and convolution can do: the convolution, and before it
/// perhaps a scaling that alone reads the noise.
struct NoisySteps {
  std::size_t convolution = 0;
  bool scales = false;
};

std::optional<NoisySteps> find_noisy_steps(const Device& device, const InferencePlan& body,
                                           Precision precision) {
  if (precision != Precision::bf16 || body.steps.empty() || body.readers(0) != 1) return {};
  const bool scales = body.steps[0].kind == Kind::scaling && body.steps[0].input() == 0;
  const int read = scales ? 1 : 0;
  for (std::size_t i = scales ? 1 : 0; i < body.steps.size(); ++i) {
    const InferenceStep& step = body.steps[i];
    if (step.kind == Kind::convolution && step.input() == read && !step.has_residual() &&
        noisy_conv2d_supported(device, step.convolution))
      return NoisySteps{i, scales};
  }
  return {};
}

}  // namespace

DevicePlan::DevicePlan(const Stream& stream, const InferencePlan& plan, std::int64_t rows,
                       Precision precision, const std::vector<bool>& done)
    : last_(static_cast<int>(plan.steps.size())), places_(plan.sizes.size(), 0) {
  Placement placement;
  for (std::size_t v = 1; v < plan.steps.size(); ++v) {
    std::size_t last_use = v;
    for (std::size_t i = 0; i < plan.steps.size(); ++i)
      if (std::ranges::find(plan.steps[i].inputs, static_cast<int>(v)) !=
          plan.steps[i].inputs.end())
        last_use = i + 1;
    // What somebody else writes is there from the beginning.
    const bool given = v <= done.size() && done[v - 1];
    const auto bytes = static_cast<std::int64_t>(sizeof(float)) * rows * plan.sizes[v];
    places_[v] =
        placement.take(bytes, given ? 0 : v, last_use) / static_cast<std::int64_t>(sizeof(float));
  }
  memory_ =
      Buffer<float>(stream.device(), placement.size() / static_cast<std::int64_t>(sizeof(float)));
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    if (i < done.size() && done[i]) continue;
    const InferenceStep& step = plan.steps[i];
    const std::int64_t size = plan.sizes[static_cast<std::size_t>(step.input())];
    steps_.push_back(
        {step.inputs, static_cast<int>(i) + 1, prepare(stream, step, rows, size, precision)});
  }
}

float* DevicePlan::value(int number, float* y) {
  if (number == last_) return y;
  return memory_.data() + places_[static_cast<std::size_t>(number)];
}

void DevicePlan::run(const float* x, float* y) {
  const auto at = [&](int number) -> const float* { return number == 0 ? x : value(number, y); };
  for (const Step& step : steps_) {
    const float* const residual = step.inputs.size() > 1 ? at(step.inputs[1]) : nullptr;
    step.work(at(step.inputs[0]), residual, value(step.output, y));
  }
}

DeviceBody::DeviceBody(const Stream& stream, const NetworkPlan& network, std::int64_t rows,
                       Precision precision, Fusion fusion)
    : stream_(stream), rows_(rows), noise_size_(network.noise_size()) {
  const InferencePlan& body = network.body;
  std::vector<bool> done(body.steps.size(), false);
  const auto found =
      fusion == Fusion::allowed ? find_noisy_steps(stream.device(), body, precision) : std::nullopt;
  if (found) {
    const InferenceStep& step = body.steps[found->convolution];
    const OnDevice weight(stream, step.weight), scale(stream, step.scale),
        shift(stream, step.shift);
    const InferenceStep& before = body.steps[0];
    const OnDevice scale_before(stream, found->scales ? before.scale : std::vector<float>()),
        shift_before(stream, found->scales ? before.shift : std::vector<float>());
    noisy_ = prepare_noisy_conv2d(
        stream, of_rows(step.convolution, rows), weight.data(),
        found->scales ? NoisyScaling{scale_before.data(), shift_before.data(), before.activation}
                      : NoisyScaling{},
        {.activation = step.activation, .scale = scale.data(), .shift = shift.data()});
    done[found->convolution] = true;
    made_ = static_cast<int>(found->convolution) + 1;
    if (found->scales) {
      done[0] = true;
      writes_read_ = body.readers(1) > 1;
    }
  } else {
    noised_ = Buffer<float>(stream.device(), rows * noise_size_);
  }
  steps_ = std::make_unique<DevicePlan>(stream, body, rows, precision, done);
  copies_ = body.steps.empty();
}

void DeviceBody::run(const NoiseParams& noise, const NoiseRow* rows, const float* prefix,
                     float* features) {
  if (noisy_) {
    noisy_->run(noise, rows, prefix, steps_->value(made_, features),
                writes_read_ ? steps_->value(1, features) : nullptr);
    steps_->run(nullptr, features);
  } else {
    // Without steps the noised values are the features.
    float* const noised = copies_ ? features : noised_.data();
    add_noise(stream_, noise, rows, rows_, noise_size_, prefix, noised);
    steps_->run(noised, features);
  }
}

std::unique_ptr<MultiDraw> prepare_multi_draw(const Stream& stream, const NetworkPlan& network) {
  const auto& steps = network.body.steps;
  if (steps.size() != 2 || steps[0].kind != Kind::convolution || steps[1].kind != Kind::dense)
    return nullptr;
  const InferenceStep &conv = steps[0], &dense = steps[1];
  if (conv.has_residual() || !conv.scale.empty() || !conv.shift.empty() ||
      conv.activation != Activation::relu() || dense.activation != Activation::relu())
    return nullptr;
  const MultiDrawNetwork shape{
      .conv = conv.convolution, .hidden = dense.outputs, .classes = network.classes};
  if (!multi_draw_supported(stream.device(), shape)) return nullptr;
  const OnDevice conv_weight(stream, conv.weight), dense_weight(stream, dense.weight),
      dense_bias(stream, dense.shift), head(stream, network.head_weight),
      head_bias(stream, network.head_bias);
  return prepare_multi_draw(stream, shape,
                            {.conv = conv_weight.data(),
                             .dense = dense_weight.data(),
                             .dense_bias = dense_bias.data(),
                             .head = head.data(),
                             .head_bias = head_bias.data()});
}

}  // namespace pixeldp::kernels
