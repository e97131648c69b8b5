#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/operations.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/convolution_on_device.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class Output, class Element>
std::vector<Output> run_gemm(const GemmConvCase<Element>& conv) {
  const DeviceArray<Element> x(conv.x);
  const DeviceArray<Element> packed(
      static_cast<std::size_t>(conv.passes.back().weight_first + conv.passes.back().weight_size()));
  const DeviceArray<float> weight(conv.weight);
  const DeviceArray<std::uint16_t> residual(conv.residual);
  const DeviceArray<float> scale(conv.scale), shift(conv.shift);
  const DeviceArray<Output> y(conv.size);
  ConvEpilogue epilogue;
  if (scale.size() > 0) epilogue.scale = scale.data();
  if (shift.size() > 0) epilogue.shift = shift.data();
  if (residual.size() > 0) epilogue.residual = residual.data();
  epilogue.activation = conv.activation;
  pack_weight(nullptr, conv.passes, weight.data(), packed.data());
  for (const ConvPass& pass : conv.passes)
    conv2d_gemm(nullptr, pass, conv.tile, x.data(), packed.data(), epilogue, y.data());
  return y.values();
}

}  // namespace

std::vector<float> run(const DirectConvCase& conv) {
  const Conv2dShape& s = conv.shape;
  const DeviceArray<float> x(conv.x), weight(conv.weight), bias(conv.bias);
  const DeviceArray<float> y(static_cast<std::size_t>(s.batch * s.out_h() * s.out_w() * s.out_c));
  conv2d_direct(nullptr, s, conv.activation, x.data(), weight.data(),
                bias.size() > 0 ? bias.data() : nullptr, y.data());
  return y.values();
}

std::vector<float> run_to_float(const GemmConvCase<std::uint16_t>& conv) {
  return run_gemm<float>(conv);
}
std::vector<float> run_to_float(const GemmConvCase<float>& conv) { return run_gemm<float>(conv); }
std::vector<std::uint16_t> run_to_bf16(const GemmConvCase<std::uint16_t>& conv) {
  return run_gemm<std::uint16_t>(conv);
}

std::vector<float> run(const TrainingCase& training) {
  const Conv2dShape& s = training.shape;
  const Precision precision = training.precision;
  const DeviceArray<float> x(training.x), weight(training.weight), dy(training.dy);
  const DeviceArray<float> results(dy.size() + x.size() + weight.size());
  float* y = results.data();
  if (training.shared) {
    const auto product = PIXELDP_DEVICE::training_convolution(test_stream(), s, precision);
    float* const dx = y + dy.size();
    product->round_x(test_stream(), x.data());
    product->forward(test_stream(), {weight.data()}, nullptr, y);
    product->backward(test_stream(), {weight.data()}, dy.data(), nullptr,
                      {dx + x.size(), nullptr, dx});
    return results.values();
  }
  PIXELDP_DEVICE::conv2d_forward(test_stream(), s, precision, x.data(), weight.data(), y);
  y += dy.size();
  PIXELDP_DEVICE::conv2d_backward_data(test_stream(), s, precision, dy.data(), weight.data(), y);
  y += x.size();
  PIXELDP_DEVICE::conv2d_backward_weight(test_stream(), s, precision, x.data(), dy.data(), y);
  return results.values();
}

std::vector<float> run(const DenseTrainingCase& training) {
  const DenseShape& s = training.shape;
  const Precision precision = training.precision;
  const DeviceArray<float> x(training.x), weight(training.weight), bias(training.bias),
      dy(training.dy);
  const DeviceArray<float> results(dy.size() + x.size() + weight.size() + bias.size());
  float* y = results.data();
  PIXELDP_DEVICE::dense_forward(test_stream(), s, precision, x.data(), weight.data(), bias.data(),
                                y);
  y += dy.size();
  PIXELDP_DEVICE::dense_backward_data(test_stream(), s, precision, dy.data(), weight.data(), y);
  y += x.size();
  PIXELDP_DEVICE::dense_backward_weight(test_stream(), s, precision, x.data(), dy.data(), y,
                                        y + weight.size());
  return results.values();
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
