#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/convolution_on_device.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class Output>
std::vector<Output> run_bf16(const Bf16ConvCase& conv) {
  const DeviceArray<std::uint16_t> x(conv.x), weight(conv.weight), residual(conv.residual);
  const DeviceArray<float> scale(conv.scale), shift(conv.shift);
  const DeviceArray<Output> y(conv.size);
  ConvEpilogue epilogue;
  if (scale.size() > 0) epilogue.scale = scale.data();
  if (shift.size() > 0) epilogue.shift = shift.data();
  if (residual.size() > 0) epilogue.residual = residual.data();
  epilogue.activation = conv.activation;
  for (const ConvPass& pass : conv.passes)
    conv2d_bf16(nullptr, pass, conv.tile, x.data(), weight.data(), epilogue, y.data());
  return y.values();
}

}  // namespace

std::vector<float> run(const DirectConvCase& conv) {
  const Conv2dShape& s = conv.shape;
  const DeviceArray<float> x(conv.x), weight(conv.weight);
  const DeviceArray<float> y(static_cast<std::size_t>(s.batch * s.out_h() * s.out_w() * s.out_c));
  conv2d_direct(nullptr, s, conv.activation, x.data(), weight.data(), y.data());
  return y.values();
}

std::vector<float> run_to_float(const Bf16ConvCase& conv) { return run_bf16<float>(conv); }
std::vector<std::uint16_t> run_to_bf16(const Bf16ConvCase& conv) {
  return run_bf16<std::uint16_t>(conv);
}

std::vector<float> run(const WeightGradientCase& gradient) {
  const Conv2dShape& s = gradient.shape;
  const DeviceArray<std::uint16_t> x(gradient.x), dy(gradient.dy);
  const DeviceArray<float> workspace(
      static_cast<std::size_t>(ConvWeightPlan::make(s).workspace_size()));
  const DeviceArray<float> dweight(static_cast<std::size_t>(s.weight_size()));
  conv2d_bf16_backward_weight(nullptr, s, x.data(), dy.data(), workspace.data(), dweight.data());
  return dweight.values();
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
