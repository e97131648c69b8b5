#include "kernels/device_plan.hpp"

#include "engine/buffer.hpp"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/fragments.hpp"
#include "kernels/int8.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {
namespace {

using Kind = InferenceStep::Kind;

/// Host values in device memory; null where there are none.
template <class T>
class OnDevice {
 public:
  OnDevice(const Stream& stream, const std::vector<T>& values)
      : buffer_(stream.device(), std::ssize(values)) {
    buffer_.upload(stream, values);
  }
  const T* data() const { return buffer_.size() > 0 ? buffer_.data() : nullptr; }

 private:
  Buffer<T> buffer_;
};

}  // namespace

std::unique_ptr<DevicePlan> pack_device_plan(const Stream& stream, const InferencePlan& plan,
                                             const std::vector<StepWeights>& weights,
                                             DeviceSchedule schedule) {
  return operations(stream).pack_device_plan(stream, plan, weights, std::move(schedule));
}

std::unique_ptr<DevicePlan> prepare_device_plan(const Stream& stream, const InferencePlan& plan,
                                                DeviceSchedule schedule) {
  std::vector<OnDevice<float>> memory;
  std::vector<OnDevice<std::int8_t>> bytes;
  std::vector<StepWeights> weights;
  const auto upload = [&](const std::vector<float>& values) {
    return memory.emplace_back(stream, values).data();
  };
  for (const InferenceStep& step : plan.steps) {
    if (schedule.precision == Precision::int8 && step.multiplies()) {
      const auto input = static_cast<std::size_t>(step.input());
      const RoundedWeight rounded(step, schedule.values[input].inverse_scale);
      const auto packed = pack_int8_weight(step.product_shape(), rounded.weight);
      weights.push_back({.scale = upload(rounded.scale),
                         .shift = upload(step.shift),
                         .weight_int8 = bytes.emplace_back(stream, packed).data()});
    } else {
      weights.push_back({upload(step.weight), upload(step.scale), upload(step.shift)});
    }
  }
  auto prepared = pack_device_plan(stream, plan, weights, std::move(schedule));
  stream.synchronize();  // the weights are packed: what was uploaded may go
  return prepared;
}

std::unique_ptr<MultiDraw> prepare_multi_draw(const Stream& stream, const NetworkPlan& network,
                                              Precision precision,
                                              const std::vector<float>& scales) {
  if (precision != Precision::bf16 && precision != Precision::int8) return nullptr;
  const auto& steps = network.body.steps;
  if (steps.size() != 2 || steps[0].kind != Kind::convolution || steps[1].kind != Kind::dense)
    return nullptr;
  const InferenceStep &conv = steps[0], &dense = steps[1];
  if (conv.has_residual() || !conv.scale.empty() || !conv.shift.empty() || dense.input() != 1 ||
      conv.activation != Activation::relu() || dense.activation != Activation::relu())
    return nullptr;
  const bool in_int8 = precision == Precision::int8;
  const MultiDrawNetwork shape{.conv = conv.convolution,
                               .hidden = dense.outputs,
                               .classes = network.classes,
                               .in_int8 = in_int8};
  if (!multi_draw_supported(stream.device(), shape)) return nullptr;
  const OnDevice<float> dense_bias(stream, dense.shift), head(stream, network.head_weight),
      head_bias(stream, network.head_bias);
  MultiDrawWeights weights{
      .dense_bias = dense_bias.data(), .head = head.data(), .head_bias = head_bias.data()};
  std::vector<OnDevice<float>> memory;
  std::vector<OnDevice<std::int8_t>> bytes;
  const auto upload = [&](const std::vector<float>& values) {
    return memory.emplace_back(stream, values).data();
  };
  if (in_int8) {
    const std::vector<float> inverse = inverse_scales(network.body, scales);
    const RoundedWeight of_conv(conv, inverse[0]), of_dense(dense, inverse[1]);
    const auto pack = [&](std::int64_t in, std::int64_t kernel, std::int64_t out,
                          const RoundedWeight& rounded) {
      return bytes.emplace_back(stream, pack_int8_fragments(in, kernel, out, rounded.weight))
          .data();
    };
    weights.int8 = {.conv = pack(shape.conv.in_c, shape.conv.kernel_h, shape.conv.out_c, of_conv),
                    .dense = pack(shape.dense_in(), 1, shape.hidden, of_dense),
                    .conv_scale = upload(of_conv.scale),
                    .dense_scale = upload(of_dense.scale),
                    .inverse_scale = inverse[0],
                    .features_inverse_scale = inverse[1]};
  } else {
    weights.conv = upload(conv.weight), weights.dense = upload(dense.weight);
  }
  auto prepared = pack_multi_draw(stream, shape, weights);
  stream.synchronize();  // the weights are packed: what was uploaded may go
  return prepared;
}

}  // namespace pixeldp::kernels
