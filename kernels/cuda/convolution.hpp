#pragma once

#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"

namespace pixeldp::kernels {

// The operations of kernels/convolution.hpp and kernels/dense.hpp, by the project's own kernels.
// All tensors are in device memory, in single precision; `stream` is a cudaStream_t (of the
// emulator in the second case). They return before the work is done. A dense layer is a convolution
// of images of one pixel.
//
// Precision::fp32 takes the direct kernel (convolution_direct.cu) forward, and tf32 for gradients.
// Otherwise the tensor cores work (convolution_gemm.cu, convolution_weight.cu): operands are
// rounded to bf16 or tf32, sums are in single precision. Scratch memory is allocated and freed in
// the stream: packed weights, partial sums and, but for tf32 of channels that are multiples of 4,
// copies of x and dy.

namespace cuda {
void conv2d_forward(void* stream, const Conv2dShape& shape, Precision precision, const float* x,
                    const float* weight, float* y);
void conv2d_backward_data(void* stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx);
void conv2d_backward_weight(void* stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight);
void dense_forward(void* stream, const DenseShape& shape, Precision precision, const float* x,
                   const float* weight, const float* bias, float* y);
void dense_backward_data(void* stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx);
void dense_backward_weight(void* stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias);
}  // namespace cuda

namespace emulated {
void conv2d_forward(void* stream, const Conv2dShape& shape, Precision precision, const float* x,
                    const float* weight, float* y);
void conv2d_backward_data(void* stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx);
void conv2d_backward_weight(void* stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight);
void dense_forward(void* stream, const DenseShape& shape, Precision precision, const float* x,
                   const float* weight, const float* bias, float* y);
void dense_backward_data(void* stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx);
void dense_backward_weight(void* stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias);
}  // namespace emulated

}  // namespace pixeldp::kernels
