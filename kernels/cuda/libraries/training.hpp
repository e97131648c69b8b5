#pragma once

#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"

/// The operations of training that NVIDIA's libraries know too, as kernels/cuda/convolution.hpp
/// declares them: dense layers by cuBLAS where it is there; convolutions in bf16 by cuDNN where
/// that is asked for (see convolution_choice.hpp); by the project's kernels otherwise.
namespace pixeldp::kernels::cuda::libraries {

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

/// Frees what the libraries keep for a stream: before it is destroyed, and never while it works.
void release(void* stream);

}  // namespace pixeldp::kernels::cuda::libraries
