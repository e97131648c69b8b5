/// Convolutions, dense layers and their gradients, made of the kernels for them: see
/// kernels/cuda/convolution.hpp.
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/packed_convolution.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

void conv2d_forward(void* stream, const Conv2dShape& shape, Precision precision, const float* x,
                    const float* weight, float* y) {
  if (precision == Precision::fp32) return conv2d_direct(stream, shape, {}, x, weight, nullptr, y);
  with_element(precision, [&](auto element) {
    using Element = decltype(element);
    const ConvPass pass = ConvPass::forward(shape, chunk_of<Element>);
    PackedConvolution<Element>(static_cast<cudaStream_t>(stream), {pass}, weight).run(x, {}, y);
  });
}

void conv2d_backward_data(void* stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx) {
  with_element(precision, [&](auto element) {
    using Element = decltype(element);
    PackedConvolution<Element>(static_cast<cudaStream_t>(stream),
                               ConvPass::backward_data(shape, chunk_of<Element>), weight)
        .run(dy, {}, dx);
  });
}

void conv2d_backward_weight(void* stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight) {
  with_element(precision, [&](auto element) {
    using Element = decltype(element);
    const ConvWeightPlan plan = ConvWeightPlan::make(shape, chunk_of<Element>);
    const auto s = static_cast<cudaStream_t>(stream);
    const FilledChannels<Element> filled_x(s, shape.batch * shape.in_h * shape.in_w, shape.in_c);
    const FilledChannels<Element> filled_dy(s, plan.pixels, shape.out_c);
    const StreamScratch<float> workspace(s, plan.workspace_size());
    conv2d_gemm_backward_weight(stream, shape, filled_x.of(x), filled_dy.of(dy), workspace.data(),
                                dweight);
  });
}

void dense_forward(void* stream, const DenseShape& shape, Precision precision, const float* x,
                   const float* weight, const float* bias, float* y) {
  if (precision == Precision::fp32) return dense_direct(stream, shape, {}, x, weight, bias, y);
  with_element(precision, [&](auto element) {
    using Element = decltype(element);
    const ConvPass pass = ConvPass::forward(as_convolution(shape), chunk_of<Element>);
    PackedConvolution<Element>(static_cast<cudaStream_t>(stream), {pass}, weight)
        .run(x, {.shift = bias}, y);
  });
}

void dense_backward_data(void* stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx) {
  conv2d_backward_data(stream, as_convolution(shape), precision, dy, weight, dx);
}

void dense_backward_weight(void* stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias) {
  conv2d_backward_weight(stream, as_convolution(shape), precision, x, dy, dweight);
  column_sums(stream, shape.rows, shape.out, dy, dbias);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
