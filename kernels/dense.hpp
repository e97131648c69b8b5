#pragma once

#include <cstdint>
#include <memory>

#include "engine/device.hpp"
#include "kernels/activation.hpp"
#include "kernels/convolution.hpp"
#include "kernels/prepared.hpp"

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

// Where tensors lie and how precise they are: as in kernels/convolution.hpp.

/// y = x weight^T + bias
void dense_forward(const Stream& stream, const DenseShape& shape, Precision precision,
                   const float* x, const float* weight, const float* bias, float* y);

/// dx = dy weight
void dense_backward_data(const Stream& stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx);

/// dweight = dy^T x, dbias = column sums of dy; both overwritten.
void dense_backward_weight(const Stream& stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias);

/// y = activation(x weight^T + bias) for a weight that never changes again.
std::unique_ptr<Prepared> prepare_dense(const Stream& stream, const DenseShape& shape,
                                        const float* weight, const float* bias,
                                        Activation activation, Precision precision);

}  // namespace pixeldp::kernels
