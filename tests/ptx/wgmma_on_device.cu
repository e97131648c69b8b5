#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/wgmma_on_device.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class Output>
WgmmaResult run(const WgmmaCase& conv, std::vector<Output> WgmmaResult::*results) {
  const DeviceArray<std::uint16_t> x(conv.x), residual(conv.residual);
  const DeviceArray<float> weight(conv.weight), scale(conv.scale), shift(conv.shift),
      next_scale(conv.next_scale), next_shift(conv.next_shift);
  const DeviceArray<std::uint16_t> packed(
      static_cast<std::size_t>(conv.passes.back().weight_first + conv.passes.back().weight_size()));
  const DeviceArray<Output> y(conv.size);
  const DeviceArray<std::uint16_t> next(next_scale.size() > 0 ? conv.size : 0);
  ConvEpilogue epilogue;
  if (scale.size() > 0) epilogue.scale = scale.data();
  if (shift.size() > 0) epilogue.shift = shift.data();
  if (residual.size() > 0) epilogue.residual = residual.data();
  epilogue.activation = conv.activation;
  if (next.size() > 0) {
    epilogue.next_scale = next_scale.data(), epilogue.next_shift = next_shift.data();
    epilogue.next_activation = conv.next_activation;
    epilogue.next = next.data();
  }
  pack_weight(nullptr, conv.passes, weight.data(), packed.data());
  for (const ConvPass& pass : conv.passes)
    conv2d_wgmma(nullptr, pass, choose_wgmma_channels(pass, sm_90), x.data(), packed.data(),
                 epilogue, y.data());
  WgmmaResult result;
  result.*results = y.values();
  result.next = next.values();
  return result;
}

}  // namespace

bool has_warpgroup_products() {
  int count = 0;
  cudaDeviceProp properties = {};
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0 &&
         cudaGetDeviceProperties(&properties, 0) == cudaSuccess &&
         10 * properties.major + properties.minor == sm_90.capability;
}
WgmmaResult run_to_float(const WgmmaCase& conv) { return run(conv, &WgmmaResult::y); }
WgmmaResult run_to_bf16(const WgmmaCase& conv) { return run(conv, &WgmmaResult::bits); }

std::vector<float> run_weight_gradient(const WgmmaWeightCase& conv) {
  const WeightSums sums = ConvWgmmaWeightPlan::make(conv.shape, conv.tile).sums();
  const DeviceArray<std::uint16_t> x(conv.x), dy(conv.dy);
  const DeviceArray<float> partial(static_cast<std::size_t>(sums.size())),
      dweight(static_cast<std::size_t>(conv.shape.weight_size()));
  conv2d_wgmma_weight_sums(nullptr, conv.shape, conv.tile, x.data(), dy.data(), partial.data());
  add_weight_splits(nullptr, sums, partial.data(), dweight.data());
  return dweight.values();
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
