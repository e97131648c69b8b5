#pragma once

#include <cstdint>

#include "engine/device.hpp"
#include "kernels/convolution.hpp"

namespace pixeldp::kernels {

/// Shape of a dense layer: x [rows, in], weight [out, in], bias [out], y [rows, out], all row-major
/// fp32.
struct DenseShape {
  std::int64_t rows = 0, in = 0, out = 0;
};

/// The same as a 1x1 convolution, an image of one pixel to a row.
inline Conv2dShape as_convolution(const DenseShape& shape) {
  return {.batch = shape.rows,
          .in_h = 1,
          .in_w = 1,
          .in_c = shape.in,
          .out_c = shape.out,
          .kernel_h = 1,
          .kernel_w = 1,
          .stride = 1,
          .pad_h = {},
          .pad_w = {}};
}

// Where tensors lie and how precise they are: as in kernels/convolution.hpp. Throw an Error for
// rows below 0, inputs or outputs below 1, and Precision::int8.

/// y = x weight^T + bias
void dense_forward(const Stream& stream, const DenseShape& shape, Precision precision,
                   const float* x, const float* weight, const float* bias, float* y);

/// dx = dy weight
void dense_backward_data(const Stream& stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx);

/// dweight = dy^T x, dbias = column sums of dy; both overwritten.
void dense_backward_weight(const Stream& stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias);

}  // namespace pixeldp::kernels
