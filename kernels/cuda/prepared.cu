/// Operations on weights that stay on the device, made of the convolution kernels.
///
/// y = activation(x (*) weight + bias), see prepared.hpp. On the way to the tensor cores
///
///   x16[i] = bf16(x[i])
///
/// is written once: 4 bytes read and 2 written per element of x.
#include "kernels/cuda/convolution_bf16.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device_array.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prepared.hpp"
#include "kernels/cuda/ptx/convert.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int block_threads = 256;

__global__ void __launch_bounds__(block_threads)
    to_bf16_kernel(std::int64_t size, const float* __restrict__ x, std::uint16_t* __restrict__ y) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
  if (i < size) y[i] = static_cast<std::uint16_t>(ptx::to_bf16x2(x[i], 0.0f));
}

class DirectConv2d : public Prepared {
 public:
  DirectConv2d(void* stream, const Conv2dShape& shape, const float* weight, Activation activation)
      : stream_(stream),
        shape_(shape),
        activation_(activation),
        weight_(weight, static_cast<std::size_t>(shape.weight_size())) {}

  void run(const float* x, float* y) const override {
    conv2d_direct(stream_, shape_, activation_, x, weight_.data(), y);
  }

 private:
  void* stream_;
  Conv2dShape shape_;
  Activation activation_;
  DeviceArray<float> weight_;
};

class TensorCoreConv2d : public Prepared {
 public:
  /// bias may be null.
  TensorCoreConv2d(void* stream, const Conv2dShape& shape, const float* weight, const float* bias,
                   Activation activation)
      : TensorCoreConv2d(stream, shape, pack_conv2d_weight(shape, weight), bias, activation) {}

  void run(const float* x, float* y) const override {
    launch<to_bf16_kernel>((inputs_ + block_threads - 1) / block_threads, block_threads, 0,
                           static_cast<cudaStream_t>(stream_), inputs_, x, x16_.data());
    conv2d_bf16(stream_, pass_, tile_, x16_.data(), weight_.data(),
                {.shift = bias_.data(), .activation = activation_}, y);
  }

 private:
  TensorCoreConv2d(void* stream, const Conv2dShape& shape, const std::vector<std::uint16_t>& packed,
                   const float* bias, Activation activation)
      : stream_(stream),
        pass_(ConvPass::forward(shape)),
        tile_(choose_conv_tile(shape.batch * shape.out_h() * shape.out_w(), shape.out_c)),
        activation_(activation),
        inputs_(shape.batch * shape.in_h * shape.in_w * shape.in_c),
        weight_(packed.data(), packed.size()),
        bias_(bias, bias ? static_cast<std::size_t>(shape.out_c) : 0),
        x16_(static_cast<std::size_t>(inputs_)) {}

  void* stream_;
  ConvPass pass_;
  ConvTile tile_;
  Activation activation_;
  std::int64_t inputs_;
  DeviceArray<std::uint16_t> weight_;
  DeviceArray<float> bias_;
  DeviceArray<std::uint16_t> x16_;  // scratch: runs follow each other in the stream
};

}  // namespace

std::unique_ptr<Prepared> prepare_conv2d(void* stream, const Conv2dShape& shape,
                                         const float* weight, Activation activation,
                                         Precision precision) {
  if (precision == Precision::fp32 || shape.in_c % 8 != 0) {
    return std::make_unique<DirectConv2d>(stream, shape, weight, activation);
  }
  return std::make_unique<TensorCoreConv2d>(stream, shape, weight, nullptr, activation);
}

std::unique_ptr<Prepared> prepare_dense(void* stream, const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation,
                                        Precision precision) {
  return std::make_unique<TensorCoreConv2d>(stream, dense_as_conv2d(shape, precision), weight, bias,
                                            activation);
}

void synchronize(void* stream) {
  check_call(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "waiting for the kernels");
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
