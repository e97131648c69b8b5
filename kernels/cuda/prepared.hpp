#pragma once

#include <memory>

#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"

namespace pixeldp::kernels {

// kernels::prepare_conv2d and prepare_dense on a GPU (or the emulator's). Weights and bias are in
// device memory, are read in the stream, and need not stay; x and y of Prepared::run are in device
// memory, and run returns before the work is done. `stream` is a cudaStream_t, which outlives what
// was prepared.
//
// Results are those of conv2d_forward and dense_forward (kernels/cuda/convolution.hpp), with the
// epilogue; the weights are packed once. In single precision a scale and a residual take passes of
// their own.

namespace cuda {
std::unique_ptr<Prepared> prepare_conv2d(void* stream, const Conv2dShape& shape,
                                         const float* weight, const Conv2dEpilogue& epilogue,
                                         Precision precision);
std::unique_ptr<Prepared> prepare_dense(void* stream, const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation,
                                        Precision precision);
}  // namespace cuda

namespace emulated {
std::unique_ptr<Prepared> prepare_conv2d(void* stream, const Conv2dShape& shape,
                                         const float* weight, const Conv2dEpilogue& epilogue,
                                         Precision precision);
std::unique_ptr<Prepared> prepare_dense(void* stream, const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation,
                                        Precision precision);
}  // namespace emulated

}  // namespace pixeldp::kernels
