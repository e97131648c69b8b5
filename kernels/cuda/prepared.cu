/// Operations on weights that stay on the device, made of the convolution kernels:
///
/// y = activation(x (*) weight + bias), see prepared.hpp.
#include <string>

#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/packed_convolution.cuh"
#include "kernels/cuda/prepared.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// Values in device memory, copied in the stream from others; null for null.
class Copy {
 public:
  Copy(void* stream, const float* values, std::int64_t count)
      : memory_(static_cast<cudaStream_t>(stream), values == nullptr ? 0 : count) {
    if (memory_.data() == nullptr) return;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(float);
    check_call(cudaMemcpyAsync(memory_.data(), values, bytes, cudaMemcpyDeviceToDevice,
                               static_cast<cudaStream_t>(stream)),
               "copying " + std::to_string(bytes) + " bytes");
  }
  const float* data() const { return memory_.data(); }

 private:
  StreamScratch<float> memory_;
};

/// In single precision. Operation: (weight, bias, x, y) in device memory.
template <class Operation>
class PreparedDirect : public Prepared {
 public:
  /// bias may be null.
  PreparedDirect(void* stream, const float* weight, std::int64_t weight_size, const float* bias,
                 std::int64_t bias_size, Operation operation)
      : weight_(stream, weight, weight_size),
        bias_(stream, bias, bias_size),
        operation_(operation) {}

  void run(const float* x, float* y) const override {
    operation_(weight_.data(), bias_.data(), x, y);
  }

 private:
  Copy weight_, bias_;
  Operation operation_;
};

template <class Element>
class PreparedGemm : public Prepared {
 public:
  /// bias may be null.
  PreparedGemm(void* stream, const Conv2dShape& shape, const float* weight, const float* bias,
               Activation activation)
      : convolution_(static_cast<cudaStream_t>(stream),
                     {ConvPass::forward(shape, chunk_of<Element>)}, weight),
        bias_(stream, bias, shape.out_c),
        activation_(activation) {}

  void run(const float* x, float* y) const override {
    convolution_.run(x, {.shift = bias_.data(), .activation = activation_}, y);
  }

 private:
  PackedConvolution<Element> convolution_;
  Copy bias_;
  Activation activation_;
};

std::unique_ptr<Prepared> prepare_gemm(void* stream, const Conv2dShape& shape, const float* weight,
                                       const float* bias, Activation activation,
                                       Precision precision) {
  return with_element(precision, [&](auto element) -> std::unique_ptr<Prepared> {
    return std::make_unique<PreparedGemm<decltype(element)>>(stream, shape, weight, bias,
                                                             activation);
  });
}

}  // namespace

std::unique_ptr<Prepared> prepare_conv2d(void* stream, const Conv2dShape& shape,
                                         const float* weight, Activation activation,
                                         Precision precision) {
  if (precision != Precision::fp32)
    return prepare_gemm(stream, shape, weight, nullptr, activation, precision);
  const auto run = [=](const float* w, const float* bias, const float* x, float* y) {
    conv2d_direct(stream, shape, activation, x, w, bias, y);
  };
  return std::make_unique<PreparedDirect<decltype(run)>>(stream, weight, shape.weight_size(),
                                                         nullptr, 0, run);
}

std::unique_ptr<Prepared> prepare_dense(void* stream, const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation,
                                        Precision precision) {
  if (precision != Precision::fp32)
    return prepare_gemm(stream, dense_as_conv2d(shape), weight, bias, activation, precision);
  const auto run = [=](const float* w, const float* b, const float* x, float* y) {
    dense_direct(stream, shape, activation, x, w, b, y);
  };
  return std::make_unique<PreparedDirect<decltype(run)>>(stream, weight, shape.out * shape.in, bias,
                                                         shape.out, run);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
