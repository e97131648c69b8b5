#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/libraries/convolution_choice.hpp"
#include "kernels/cuda/libraries/cublas.hpp"
#include "kernels/cuda/libraries/cudnn.hpp"
#include "kernels/cuda/libraries/training.hpp"
#include "kernels/cuda/operations.hpp"

namespace pixeldp::kernels::cuda::libraries {

void conv2d_forward(const Stream& stream, const Conv2dShape& shape, Precision precision,
                    const float* x, const float* weight, float* y) {
  const auto own = [&] { cuda::conv2d_forward(stream, shape, precision, x, weight, y); };
  if (precision != Precision::bf16) return own();
  run_convolution(stream.native(), ConvDirection::forward, shape, own,
                  [&] { return cudnn::conv2d_forward(stream.native(), shape, x, weight, y); });
}

void conv2d_backward_data(const Stream& stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx) {
  const auto own = [&] { cuda::conv2d_backward_data(stream, shape, precision, dy, weight, dx); };
  if (precision != Precision::bf16) return own();
  run_convolution(stream.native(), ConvDirection::backward_data, shape, own, [&] {
    return cudnn::conv2d_backward_data(stream.native(), shape, dy, weight, dx);
  });
}

void conv2d_backward_weight(const Stream& stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight) {
  const auto own = [&] { cuda::conv2d_backward_weight(stream, shape, precision, x, dy, dweight); };
  if (precision != Precision::bf16) return own();
  run_convolution(stream.native(), ConvDirection::backward_weight, shape, own, [&] {
    return cudnn::conv2d_backward_weight(stream.native(), shape, x, dy, dweight);
  });
}

void dense_forward(const Stream& stream, const DenseShape& shape, Precision precision,
                   const float* x, const float* weight, const float* bias, float* y) {
  if (!cublas::available())
    return cuda::dense_forward(stream, shape, precision, x, weight, bias, y);
  Gemm gemm = Gemm::dense_forward(shape);
  gemm.accumulate = true;
  repeat_row(stream.native(), shape.rows, shape.out, bias, y);
  cublas::gemm(stream.native(), gemm, precision, x, weight, y);
}

void dense_backward_data(const Stream& stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx) {
  if (!cublas::available())
    return cuda::dense_backward_data(stream, shape, precision, dy, weight, dx);
  cublas::gemm(stream.native(), Gemm::dense_backward_data(shape), precision, dy, weight, dx);
}

void dense_backward_weight(const Stream& stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias) {
  if (!cublas::available())
    return cuda::dense_backward_weight(stream, shape, precision, x, dy, dweight, dbias);
  cublas::gemm(stream.native(), Gemm::dense_backward_weight(shape), precision, dy, x, dweight);
  column_sums(stream.native(), shape.rows, shape.out, dy, dbias);
}

std::unique_ptr<TrainingProduct> training_convolution(const Stream& stream,
                                                      const Conv2dShape& shape,
                                                      Precision precision) {
  if (conv_policy() != ConvPolicy::own) return nullptr;
  return cuda::training_convolution(stream, shape, precision);
}

std::unique_ptr<TrainingProduct> training_dense(const Stream& stream, const DenseShape& shape,
                                                Precision precision) {
  if (cublas::available()) return nullptr;
  return cuda::training_dense(stream, shape, precision);
}

void release(void* stream) {
  cublas::release(stream);
  cudnn::release(stream);
}

/// Of the names in the table, those of this namespace come first.
const Operations& operations() {
  static const Operations table = {PIXELDP_OPERATIONS(PIXELDP_OPERATION_ENTRY)};
  return table;
}

}  // namespace pixeldp::kernels::cuda::libraries
