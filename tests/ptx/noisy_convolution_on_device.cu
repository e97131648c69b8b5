#include "kernels/cuda/device.cuh"
#include "kernels/cuda/fragments.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/noisy_convolution_on_device.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

NoisyConvResult run(const NoisyConvCase& problem) {
  const Conv2dShape& s = problem.shape;
  const DeviceArray<NoiseRow> rows(problem.rows);
  const DeviceArray<float> prefix(problem.prefix), weight(problem.weight),
      in_scale(problem.in_scale), in_shift(problem.in_shift), scale(problem.scale),
      shift(problem.shift);
  const auto pixels = problem.rows.size() * static_cast<std::size_t>(s.in_h * s.in_w);
  const std::size_t y_size = pixels * static_cast<std::size_t>(s.out_c);
  const DeviceArray<std::uint16_t> residual(problem.residual), packed(problem.weight.size()),
      y16(y_size), x(pixels * static_cast<std::size_t>(s.in_c));
  const DeviceArray<float> y(y_size);
  pack_fragments(nullptr, static_cast<int>(s.in_c), static_cast<int>(s.kernel_h),
                 static_cast<int>(s.out_c), weight.data(), packed.data());
  NoisyInput input = problem.input;
  if (in_scale.size() > 0)
    input.scaling.scale = in_scale.data(), input.scaling.shift = in_shift.data();
  ConvEpilogue epilogue;
  if (scale.size() > 0) epilogue.scale = scale.data();
  if (shift.size() > 0) epilogue.shift = shift.data();
  if (residual.size() > 0) epilogue.residual = residual.data();
  epilogue.activation = problem.ending;
  const auto count = static_cast<std::int64_t>(problem.rows.size());
  noisy_conv2d(nullptr, s, input, rows.data(), count, prefix.data(), packed.data(), epilogue,
               y.data());
  noisy_conv2d(nullptr, s, input, rows.data(), count, prefix.data(), packed.data(), epilogue,
               y16.data(), x.data());
  return {y.values(), y16.values(), x.values()};
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
