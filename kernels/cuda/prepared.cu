/// Operations on weights that stay on the device, made of the convolution kernels:
///
/// y = activation(x (*) weight + bias), see prepared.hpp.
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/packed_convolution.cuh"
#include "kernels/cuda/prepared.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// In single precision. Operation: (weight, bias, x, y) in device memory.
template <class Operation>
class PreparedDirect : public Prepared {
 public:
  PreparedDirect(void* stream, const float* weight, std::int64_t weight_size, const float* bias,
                 std::int64_t bias_size, Operation operation)
      : weight_(stream, weight, weight_size),
        bias_(stream, bias, bias_size),
        operation_(operation) {}

  void run(const float* x, float* y) const override {
    operation_(weight_.data(), bias_.data(), x, y);
  }

 private:
  StreamArray<float> weight_, bias_;
  Operation operation_;
};

template <class Element>
class PreparedGemm : public Prepared {
 public:
  /// bias may be null.
  PreparedGemm(void* stream, const Conv2dShape& shape, const float* weight, const float* bias,
               Activation activation)
      : convolution_(stream, {ConvPass::forward(shape, chunk_of<Element>)}, weight),
        bias_(stream, bias, bias == nullptr ? 0 : shape.out_c),
        activation_(activation) {}

  void run(const float* x, float* y) const override {
    convolution_.run(x, {.shift = bias_.data(), .activation = activation_}, y);
  }

 private:
  PackedConvolution<Element> convolution_;
  StreamArray<float> bias_;
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
