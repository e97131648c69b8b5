#pragma once

#include <cstdint>

#include "kernels/convolution.hpp"
#include "kernels/cuda/libraries/convolution_choice.hpp"

namespace pixeldp::kernels {

/// Whether cuDNN may be asked for this convolution: channels of x and y in eights, as the tensor
/// cores want them, as much padding after the image as before it, extents that it can count, and at
/// least one element everywhere. (It may still refuse.)
bool cudnn_takes(const Conv2dShape& shape);

/// The operations of kernels/convolution.hpp by cuDNN, which is loaded when first asked for: with
/// operands and results rounded to bf16, sums in single precision, by deterministic algorithms. All
/// tensors in device memory, in single precision; `stream` is a cudaStream_t. They return before
/// the work is done; or return false, having done nothing, where the library is not available or
/// refuses the shape. The first call for a stream makes a handle, which no graph can record: then
/// an Error asks for one call before.
namespace cuda::cudnn {

bool available();

bool conv2d_forward(void* stream, const Conv2dShape& shape, const float* x, const float* weight,
                    float* y);
bool conv2d_backward_data(void* stream, const Conv2dShape& shape, const float* dy,
                          const float* weight, float* dx);
bool conv2d_backward_weight(void* stream, const Conv2dShape& shape, const float* x, const float* dy,
                            float* dweight);

/// How many algorithms cuDNN has for a direction, whether or not they are deterministic.
int algorithm_count(ConvDirection direction);
/// One of these convolutions by algorithm `algorithm`, from 0, alone, with all tensors in bf16 and
/// the weight as weight_to_bf16 leaves it; the third of x, weight and y that is no operand, or its
/// gradient, is written. For measurements: results may differ from run to run. Algorithms that want
/// more than 1 GiB of workspace are refused.
bool convolve_bf16(void* stream, ConvDirection direction, const Conv2dShape& shape, int algorithm,
                   std::uint16_t* x, std::uint16_t* weight, std::uint16_t* y);

/// Frees what is kept for a stream: before the stream is destroyed, and never while it works.
void release(void* stream);

}  // namespace cuda::cudnn

}  // namespace pixeldp::kernels
