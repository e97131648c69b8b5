#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/libraries/convolution_choice.hpp"
#include "kernels/cuda/libraries/cublas.hpp"
#include "kernels/cuda/libraries/cudnn.hpp"
#include "kernels/cuda/libraries/training.hpp"

namespace pixeldp::kernels::cuda::libraries {

void conv2d_forward(void* stream, const Conv2dShape& shape, Precision precision, const float* x,
                    const float* weight, float* y) {
  const auto own = [&] { cuda::conv2d_forward(stream, shape, precision, x, weight, y); };
  if (precision != Precision::bf16) return own();
  run_convolution(stream, ConvDirection::forward, shape, own,
                  [&] { return cudnn::conv2d_forward(stream, shape, x, weight, y); });
}

void conv2d_backward_data(void* stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx) {
  const auto own = [&] { cuda::conv2d_backward_data(stream, shape, precision, dy, weight, dx); };
  if (precision != Precision::bf16) return own();
  run_convolution(stream, ConvDirection::backward_data, shape, own,
                  [&] { return cudnn::conv2d_backward_data(stream, shape, dy, weight, dx); });
}

void conv2d_backward_weight(void* stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight) {
  const auto own = [&] { cuda::conv2d_backward_weight(stream, shape, precision, x, dy, dweight); };
  if (precision != Precision::bf16) return own();
  run_convolution(stream, ConvDirection::backward_weight, shape, own,
                  [&] { return cudnn::conv2d_backward_weight(stream, shape, x, dy, dweight); });
}

void dense_forward(void* stream, const DenseShape& shape, Precision precision, const float* x,
                   const float* weight, const float* bias, float* y) {
  if (!cublas::available())
    return cuda::dense_forward(stream, shape, precision, x, weight, bias, y);
  Gemm gemm = Gemm::dense_forward(shape);
  gemm.accumulate = true;
  repeat_row(stream, shape.rows, shape.out, bias, y);
  cublas::gemm(stream, gemm, precision, x, weight, y);
}

void dense_backward_data(void* stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx) {
  if (!cublas::available())
    return cuda::dense_backward_data(stream, shape, precision, dy, weight, dx);
  cublas::gemm(stream, Gemm::dense_backward_data(shape), precision, dy, weight, dx);
}

void dense_backward_weight(void* stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias) {
  if (!cublas::available())
    return cuda::dense_backward_weight(stream, shape, precision, x, dy, dweight, dbias);
  cublas::gemm(stream, Gemm::dense_backward_weight(shape), precision, dy, x, dweight);
  column_sums(stream, shape.rows, shape.out, dy, dbias);
}

void release(void* stream) {
  cublas::release(stream);
  cudnn::release(stream);
}

}  // namespace pixeldp::kernels::cuda::libraries
