#include <bit>
#include <cstdint>
#include <vector>

#include <cudnn.h>

/// The part of cuDNN that kernels/cuda/libraries/cudnn.cu calls, by the definitions, for the
/// interpreter of PTX, where device memory can be read by the host and calls finish at once: it
/// shows that every function gets what cuDNN's manual asks for. Of cuDNN itself it says nothing.
/// Weights of 40 kernels are refused when asked for a workspace, of 48 when run.

struct cudnnContext {
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
  int n = 0, c = 0, h = 0, w = 0;
};
struct cudnnFilterStruct {
  int k = 0, c = 0, h = 0, w = 0;
};
struct cudnnConvolutionStruct {
  int pad_h = 0, pad_w = 0, stride_h = 0, stride_w = 0;
  bool tensor_cores = false;
};

namespace {

constexpr std::size_t workspace_bytes = 256;

float number(const void* data, std::int64_t i) {
  return std::bit_cast<float>(std::uint32_t{static_cast<const std::uint16_t*>(data)[i]} << 16);
}

/// Called for every product: f(element of x, of the weight, of y).
template <class F>
void for_each_product(const cudnnTensorStruct& x, const cudnnFilterStruct& weight,
                      const cudnnConvolutionStruct& conv, const cudnnTensorStruct& y, F f) {
  for (int n = 0; n < y.n; ++n)
    for (int p = 0; p < y.h; ++p)
      for (int q = 0; q < y.w; ++q)
        for (int k = 0; k < weight.k; ++k)
          for (int r = 0; r < weight.h; ++r)
            for (int s = 0; s < weight.w; ++s) {
              const int h = p * conv.stride_h + r - conv.pad_h;
              const int w = q * conv.stride_w + s - conv.pad_w;
              if (h < 0 || h >= x.h || w < 0 || w >= x.w) continue;
              for (int c = 0; c < weight.c; ++c)
                f(((n * x.h + h) * x.w + w) * x.c + c,
                  ((k * weight.h + r) * weight.w + s) * weight.c + c,
                  ((n * y.h + p) * y.w + q) * y.c + k);
            }
}

bool fit(const cudnnTensorStruct& x, const cudnnFilterStruct& weight,
         const cudnnConvolutionStruct& conv, const cudnnTensorStruct& y) {
  return x.n == y.n && x.c == weight.c && y.c == weight.k && conv.tensor_cores &&
         y.h == (x.h + 2 * conv.pad_h - weight.h) / conv.stride_h + 1 &&
         y.w == (x.w + 2 * conv.pad_w - weight.w) / conv.stride_w + 1;
}

cudnnStatus_t workspace_of(const cudnnTensorStruct& x, const cudnnFilterStruct& weight,
                           const cudnnConvolutionStruct& conv, const cudnnTensorStruct& y,
                           bool deterministic, std::size_t* bytes) {
  if (!fit(x, weight, conv, y) || !deterministic) return CUDNN_STATUS_BAD_PARAM;
  *bytes = workspace_bytes;
  return weight.k == 40 ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_SUCCESS;
}

/// Sums to bf16; add(sums, i, j, k) adds the product of the elements i, j and k to its sum.
template <class Add>
cudnnStatus_t convolve(const cudnnTensorStruct& x, const cudnnFilterStruct& weight,
                       const cudnnConvolutionStruct& conv, const cudnnTensorStruct& y,
                       const void* workspace, std::size_t bytes, const void* alpha,
                       const void* beta, std::int64_t size, void* result, Add add) {
  if (!fit(x, weight, conv, y) || workspace == nullptr || bytes < workspace_bytes)
    return CUDNN_STATUS_BAD_PARAM;
  if (*static_cast<const float*>(alpha) != 1.0f || *static_cast<const float*>(beta) != 0.0f)
    return CUDNN_STATUS_BAD_PARAM;
  if (weight.k == 48) return CUDNN_STATUS_NOT_SUPPORTED;
  std::vector<float> sums(static_cast<std::size_t>(size));
  for_each_product(x, weight, conv, y,
                   [&](std::int64_t i, std::int64_t j, std::int64_t k) { add(sums, i, j, k); });
  for (std::int64_t i = 0; i < size; ++i)  // cuts off: the sums are integers that bf16 has
    static_cast<std::uint16_t*>(result)[i] = static_cast<std::uint16_t>(
        std::bit_cast<std::uint32_t>(sums[static_cast<std::size_t>(i)]) >> 16);
  return CUDNN_STATUS_SUCCESS;
}

template <class T>
cudnnStatus_t create(T** object) {
  *object = new T;
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(T* object) {
  delete object;
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) { return create(handle); }
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return destroy(handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
const char* cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_BAD_PARAM ? "a bad parameter" : "another error";
}
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* tensor) {
  return create(tensor);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) {
  return destroy(tensor);
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  if (format != CUDNN_TENSOR_NHWC || type != CUDNN_DATA_BFLOAT16) return CUDNN_STATUS_BAD_PARAM;
  *tensor = {n, c, h, w};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* filter) {
  return create(filter);
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) {
  return destroy(filter);
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
  if (format != CUDNN_TENSOR_NHWC || type != CUDNN_DATA_BFLOAT16) return CUDNN_STATUS_BAD_PARAM;
  *filter = {k, c, h, w};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* conv) {
  return create(conv);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t conv) {
  return destroy(conv);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t conv, int pad_h,
                                              int pad_w, int stride_h, int stride_w, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  if (dilation_h != 1 || dilation_w != 1 || mode != CUDNN_CROSS_CORRELATION ||
      compute != CUDNN_DATA_FLOAT)
    return CUDNN_STATUS_BAD_PARAM;
  *conv = {pad_h, pad_w, stride_h, stride_w, false};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t conv, cudnnMathType_t type) {
  conv->tensor_cores = type == CUDNN_TENSOR_OP_MATH;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t weight,
    const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t y,
    cudnnConvolutionFwdAlgo_t, std::size_t* bytes) {
  return workspace_of(*x, *weight, *conv, *y, true, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t, const cudnnFilterDescriptor_t weight, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t dx,
    cudnnConvolutionBwdDataAlgo_t algorithm, std::size_t* bytes) {
  return workspace_of(*dx, *weight, *conv, *dy, algorithm == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                      bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t conv, const cudnnFilterDescriptor_t dweight,
    cudnnConvolutionBwdFilterAlgo_t algorithm, std::size_t* bytes) {
  return workspace_of(*x, *dweight, *conv, *dy, algorithm == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                      bytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t, const void* alpha,
                                      const cudnnTensorDescriptor_t x_shape, const void* x,
                                      const cudnnFilterDescriptor_t weight_shape,
                                      const void* weight, const cudnnConvolutionDescriptor_t conv,
                                      cudnnConvolutionFwdAlgo_t, void* workspace, std::size_t bytes,
                                      const void* beta, const cudnnTensorDescriptor_t y_shape,
                                      void* y) {
  return convolve(*x_shape, *weight_shape, *conv, *y_shape, workspace, bytes, alpha, beta,
                  std::int64_t{y_shape->n} * y_shape->h * y_shape->w * y_shape->c, y,
                  [&](auto& sums, std::int64_t i, std::int64_t j, std::int64_t k) {
                    sums[static_cast<std::size_t>(k)] += number(x, i) * number(weight, j);
                  });
}
cudnnStatus_t cudnnConvolutionBackwardData(
    cudnnHandle_t, const void* alpha, const cudnnFilterDescriptor_t weight_shape,
    const void* weight, const cudnnTensorDescriptor_t dy_shape, const void* dy,
    const cudnnConvolutionDescriptor_t conv, cudnnConvolutionBwdDataAlgo_t, void* workspace,
    std::size_t bytes, const void* beta, const cudnnTensorDescriptor_t dx_shape, void* dx) {
  return convolve(*dx_shape, *weight_shape, *conv, *dy_shape, workspace, bytes, alpha, beta,
                  std::int64_t{dx_shape->n} * dx_shape->h * dx_shape->w * dx_shape->c, dx,
                  [&](auto& sums, std::int64_t i, std::int64_t j, std::int64_t k) {
                    sums[static_cast<std::size_t>(i)] += number(dy, k) * number(weight, j);
                  });
}
cudnnStatus_t cudnnConvolutionBackwardFilter(
    cudnnHandle_t, const void* alpha, const cudnnTensorDescriptor_t x_shape, const void* x,
    const cudnnTensorDescriptor_t dy_shape, const void* dy, const cudnnConvolutionDescriptor_t conv,
    cudnnConvolutionBwdFilterAlgo_t, void* workspace, std::size_t bytes, const void* beta,
    const cudnnFilterDescriptor_t dweight_shape, void* dweight) {
  const auto& s = *dweight_shape;
  return convolve(*x_shape, s, *conv, *dy_shape, workspace, bytes, alpha, beta,
                  std::int64_t{s.k} * s.h * s.w * s.c, dweight,
                  [&](auto& sums, std::int64_t i, std::int64_t j, std::int64_t k) {
                    sums[static_cast<std::size_t>(j)] += number(x, i) * number(dy, k);
                  });
}

}  // extern "C"
