/// Operations on weights that stay on the device, made of the convolution kernels:
///
/// y = activation(scale (x (*) weight) + shift + residual), see prepared.hpp.
#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/packed_convolution.cuh"
#include "kernels/cuda/pooling.hpp"
#include "kernels/cuda/prepared.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// In single precision. Operation: (weight, scale, shift, x, y, residual) in device memory.
template <class Operation>
class PreparedDirect : public Prepared {
 public:
  /// scale and shift may be null.
  PreparedDirect(void* stream, const float* weight, std::int64_t weight_size, const float* scale,
                 const float* shift, std::int64_t channels, Operation operation)
      : weight_(stream, weight, weight_size),
        scale_(stream, scale, channels),
        shift_(stream, shift, channels),
        operation_(operation) {}

  void run(const float* x, float* y, const float* residual) const override {
    operation_(weight_.data(), scale_.data(), shift_.data(), x, y, residual);
  }

 private:
  StreamCopy weight_, scale_, shift_;
  Operation operation_;
};

template <class Element>
class PreparedGemm : public Prepared {
 public:
  PreparedGemm(void* stream, const Conv2dShape& shape, const float* weight,
               const Conv2dEpilogue& epilogue)
      : convolution_(static_cast<cudaStream_t>(stream),
                     {ConvPass::forward(shape, chunk_of<Element>)}, weight),
        scale_(stream, epilogue.scale, shape.out_c),
        shift_(stream, epilogue.shift, shape.out_c),
        activation_(epilogue.activation) {}

  void run(const float* x, float* y, const float* residual) const override {
    convolution_.run(x,
                     {.scale = scale_.data(),
                      .shift = shift_.data(),
                      .residual_fp32 = residual,
                      .activation = activation_},
                     y);
  }

 private:
  PackedConvolution<Element> convolution_;
  StreamCopy scale_, shift_;
  Activation activation_;
};

std::unique_ptr<Prepared> prepare_gemm(void* stream, const Conv2dShape& shape, const float* weight,
                                       const Conv2dEpilogue& epilogue, Precision precision) {
  return with_element(precision, [&](auto element) -> std::unique_ptr<Prepared> {
    return std::make_unique<PreparedGemm<decltype(element)>>(stream, shape, weight, epilogue);
  });
}

}  // namespace

std::unique_ptr<Prepared> prepare_conv2d(void* stream, const Conv2dShape& shape,
                                         const float* weight, const Conv2dEpilogue& epilogue,
                                         Precision precision) {
  if (precision != Precision::fp32) return prepare_gemm(stream, shape, weight, epilogue, precision);
  const Activation activation = epilogue.activation, none = Activation::identity();
  const bool adds = epilogue.residual, scales = epilogue.scale != nullptr;
  const BatchNormParams norm = {.rows = shape.batch * shape.out_h() * shape.out_w(),
                                .channels = shape.out_c,
                                .activation = adds ? none : activation};
  const auto run = [=](const float* w, const float* scale, const float* shift, const float* x,
                       float* y, const float* residual) {
    conv2d_direct(stream, shape, scales || adds ? none : activation, x, w, scales ? nullptr : shift,
                  y);
    if (scales) batch_norm_inference(stream, norm, y, scale, shift, y);
    if (adds) add(stream, activation, norm.rows * norm.channels, y, residual, y);
  };
  return std::make_unique<PreparedDirect<decltype(run)>>(
      stream, weight, shape.weight_size(), epilogue.scale, epilogue.shift, shape.out_c, run);
}

std::unique_ptr<Prepared> prepare_dense(void* stream, const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation,
                                        Precision precision) {
  if (precision != Precision::fp32)
    return prepare_gemm(stream, as_convolution(shape), weight,
                        {.activation = activation, .shift = bias}, precision);
  const auto run = [=](const float* w, const float*, const float* b, const float* x, float* y,
                       const float*) { dense_direct(stream, shape, activation, x, w, b, y); };
  return std::make_unique<PreparedDirect<decltype(run)>>(stream, weight, shape.out * shape.in,
                                                         nullptr, bias, shape.out, run);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
