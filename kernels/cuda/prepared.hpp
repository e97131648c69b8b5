#pragma once

#include <memory>

#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"

namespace pixeldp::kernels {

// kernels::prepare_conv2d and prepare_dense on a GPU (or the emulator's). Weights and
// bias are in host memory and copied to the device; x and y of Prepared::run are in device memory,
// and run returns before the work is done. `stream` is a cudaStream_t.
//
// Precision::fp32 takes the direct kernel (convolution_direct.cu). Precision::bf16 takes the
// tensor cores (convolution_bf16.cu): x and weights are rounded to bf16, sums are in fp32, y is in
// fp32; where the channels fill no vector of 8 it takes the direct kernel too. A dense layer is a
// convolution of images of one pixel.

/// The convolution of images of one pixel that a dense layer is. Throws an Error for what the
/// tensor cores cannot do: single precision, or inputs that are no multiple of 8.
Conv2dShape dense_as_conv2d(const DenseShape& shape, Precision precision);

namespace cuda {
std::unique_ptr<Prepared> prepare_conv2d(void* stream, const Conv2dShape& shape,
                                         const float* weight, Activation activation,
                                         Precision precision);
std::unique_ptr<Prepared> prepare_dense(void* stream, const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation,
                                        Precision precision);
}  // namespace cuda

namespace emulated {
std::unique_ptr<Prepared> prepare_conv2d(void* stream, const Conv2dShape& shape,
                                         const float* weight, Activation activation,
                                         Precision precision);
std::unique_ptr<Prepared> prepare_dense(void* stream, const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation,
                                        Precision precision);
}  // namespace emulated

}  // namespace pixeldp::kernels
