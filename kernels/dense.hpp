#pragma once

#include <cstdint>
#include <memory>

#include "engine/device.hpp"
#include "kernels/activation.hpp"
#include "kernels/prepared.hpp"

namespace pixeldp::kernels {

/// Shape of a dense layer: x [rows, in], weight [out, in], bias [out], y [rows, out], all row-major
/// fp32.
struct DenseShape {
  std::int64_t rows = 0, in = 0, out = 0;
};

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
