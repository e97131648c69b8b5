#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/int8_on_device.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

Int8Results run(const Int8ConvCase& conv) {
  const Conv2dShape& s = conv.shape;
  const auto count = static_cast<std::size_t>(s.batch * s.out_h() * s.out_w() * s.out_c);
  const bool bytes = s.out_c % 4 == 0;
  const DeviceArray<std::int8_t> x(conv.x), weight(conv.weight);
  const DeviceArray<float> scale(conv.scale), shift(conv.shift), residual(conv.residual),
      next_scale(conv.next_scale), next_shift(conv.next_shift), y(count), next(count);
  const DeviceArray<std::int8_t> y_bytes(bytes ? count : 0), next_bytes(bytes ? count : 0);
  Int8Epilogue epilogue;
  epilogue.scale = scale.data(), epilogue.shift = shift.data();
  epilogue.residual = residual.data(), epilogue.activation = conv.activation;
  epilogue.next_scale = next_scale.data(), epilogue.next_shift = next_shift.data();
  epilogue.next_activation = conv.next_activation;
  epilogue.y.real = y.data(), epilogue.next.real = next.data();
  epilogue.y.inverse_scale = 0.01f, epilogue.next.inverse_scale = 0.02f;
  if (bytes) epilogue.y.bytes = y_bytes.data(), epilogue.next.bytes = next_bytes.data();
  conv2d_int8(nullptr, s, conv.kernel, x.data(), weight.data(), epilogue);
  return {y.values(), next.values(), y_bytes.values(), next_bytes.values()};
}

Int8Results run(const Int8ValuesCase& values) {
  const std::int64_t filled = int8_channels(values.channels);
  const DeviceArray<float> x(values.x), scale(values.scale), shift(values.shift),
      real(values.x.size());
  const DeviceArray<std::int8_t> bytes(static_cast<std::size_t>(values.pixels * filled)),
      noisy(values.rows.size() * static_cast<std::size_t>(values.channels));
  Int8Target target;
  target.real = real.data(), target.bytes = bytes.data(), target.inverse_scale = 90.0f;
  round_values(nullptr,
               {values.pixels, values.channels, scale.data(), shift.data(), values.activation},
               filled, x.data(), nullptr, target);
  if (!values.rows.empty()) {
    const DeviceArray<NoiseRow> rows(values.rows);
    target.bytes = noisy.data();
    add_noise_bytes(nullptr, values.noise, rows.data(),
                    static_cast<std::int64_t>(values.rows.size()), values.channels, x.data(),
                    target);
    return {real.values(), {}, bytes.values(), noisy.values()};
  }
  return {real.values(), {}, bytes.values(), {}};
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
