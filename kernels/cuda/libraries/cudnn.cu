/// Convolutions and their gradients by cuDNN: x, weight and dy are rounded to bf16 (bf16_layouts),
/// x and y are [batch, h, w, c], the weight is [out_c, kernel_h, kernel_w, in_c], sums are in
/// single precision, the result is rounded to bf16 and widened.
///
/// This file has been compiled, its functions are found in the library, and a stand-in of them by
/// their definitions (tests/ptx/cudnn_stand_in.cpp) gets what it needs from it; it has never run
/// with cuDNN on a GPU. Nothing is known of the results, the determinism or the speed there.
///
/// Algorithms: IMPLICIT_PRECOMP_GEMM and ALGO_1 for both gradients, which cuDNN's manual calls
/// deterministic, and which take channels-last operands in bf16 to the tensor cores. cuDNN's
/// workspace and the rounded tensors are allocated and freed in the order of the stream.
///
/// Never written: patches. Bytes: beside the convolution's own, 6 per element of x, y and weight
/// for the changes of precision.
///
/// The library is not linked: a machine without it runs the same program (available()).
#include <tuple>

#include "kernels/cuda/libraries/cudnn.hpp"
#include "kernels/cuda/libraries/stream_handles.cuh"
#include "kernels/cuda/stream_scratch.cuh"

#if __has_include(<cudnn.h>)

#include <cudnn.h>

#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/libraries/library.hpp"

/// The functions that are called.
#define PIXELDP_CUDNN_FUNCTIONS(X)                  \
  X(cudnnCreate)                                    \
  X(cudnnDestroy)                                   \
  X(cudnnSetStream)                                 \
  X(cudnnGetErrorString)                            \
  X(cudnnCreateTensorDescriptor)                    \
  X(cudnnDestroyTensorDescriptor)                   \
  X(cudnnSetTensor4dDescriptor)                     \
  X(cudnnCreateFilterDescriptor)                    \
  X(cudnnDestroyFilterDescriptor)                   \
  X(cudnnSetFilter4dDescriptor)                     \
  X(cudnnCreateConvolutionDescriptor)               \
  X(cudnnDestroyConvolutionDescriptor)              \
  X(cudnnSetConvolution2dDescriptor)                \
  X(cudnnSetConvolutionMathType)                    \
  X(cudnnGetConvolutionForwardWorkspaceSize)        \
  X(cudnnGetConvolutionBackwardDataWorkspaceSize)   \
  X(cudnnGetConvolutionBackwardFilterWorkspaceSize) \
  X(cudnnConvolutionForward)                        \
  X(cudnnConvolutionBackwardData)                   \
  X(cudnnConvolutionBackwardFilter)

namespace pixeldp::kernels::cuda::cudnn {
namespace {

struct Functions {
  Library library = Library("libcudnn.so." PIXELDP_TEXT(CUDNN_MAJOR), "cudnnCreate");
  PIXELDP_LIBRARY_FUNCTIONS(PIXELDP_CUDNN_FUNCTIONS)
};

const Functions& functions() {
  static const Functions functions;
  return functions;
}

void check_status(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS)
    device_call_failed(functions().cudnnGetErrorString(status), what);
}

/// A descriptor that destroys itself.
template <class Descriptor, cudnnStatus_t (*Functions::*create)(Descriptor*),
          cudnnStatus_t (*Functions::*destroy)(Descriptor)>
class Owned {
 public:
  Owned() { check_status((functions().*create)(&descriptor_), "making a descriptor of cuDNN"); }
  ~Owned() { (functions().*destroy)(descriptor_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  operator Descriptor() const { return descriptor_; }

 private:
  Descriptor descriptor_ = nullptr;
};

using Tensor = Owned<cudnnTensorDescriptor_t, &Functions::cudnnCreateTensorDescriptor,
                     &Functions::cudnnDestroyTensorDescriptor>;
using Filter = Owned<cudnnFilterDescriptor_t, &Functions::cudnnCreateFilterDescriptor,
                     &Functions::cudnnDestroyFilterDescriptor>;
using Convolution =
    Owned<cudnnConvolutionDescriptor_t, &Functions::cudnnCreateConvolutionDescriptor,
          &Functions::cudnnDestroyConvolutionDescriptor>;

struct Descriptors {
  Tensor x, y;
  Filter weight;
  Convolution convolution;

  /// Whether cuDNN takes them.
  bool set(const Conv2dShape& s) {
    const Functions& f = functions();
    const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
    const auto good = [](cudnnStatus_t status) { return status == CUDNN_STATUS_SUCCESS; };
    constexpr cudnnDataType_t bf16 = CUDNN_DATA_BFLOAT16;
    constexpr cudnnTensorFormat_t nhwc = CUDNN_TENSOR_NHWC;
    return good(f.cudnnSetTensor4dDescriptor(x, nhwc, bf16, to_int(s.batch), to_int(s.in_c),
                                             to_int(s.in_h), to_int(s.in_w))) &&
           good(f.cudnnSetTensor4dDescriptor(y, nhwc, bf16, to_int(s.batch), to_int(s.out_c),
                                             to_int(s.out_h()), to_int(s.out_w()))) &&
           good(f.cudnnSetFilter4dDescriptor(weight, bf16, nhwc, to_int(s.out_c), to_int(s.in_c),
                                             to_int(s.kernel_h), to_int(s.kernel_w))) &&
           good(f.cudnnSetConvolution2dDescriptor(
               convolution, to_int(s.pad_h.before), to_int(s.pad_w.before), to_int(s.stride),
               to_int(s.stride), 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT)) &&
           good(f.cudnnSetConvolutionMathType(convolution, CUDNN_TENSOR_OP_MATH));
  }
};

/// The deterministic one that takes channels-last bf16 to the tensor cores.
int own_choice(ConvDirection direction) {
  switch (direction) {
    case ConvDirection::forward:
      return CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    case ConvDirection::backward_data:
      return CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
    case ConvDirection::backward_weight:
      return CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
  }
  return -1;
}

/// One of the three, all of whose tensors are x, weight and y or their gradients, in bf16.
class Operation {
 public:
  Operation(cudnnHandle_t handle, cudaStream_t stream, ConvDirection direction,
            const Conv2dShape& shape, int algorithm)
      : stream_(stream), direction_(direction), algorithm_(algorithm), handle_(handle) {
    const Functions& f = functions();
    cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;
    if (!d_.set(shape)) return;
    switch (direction) {
      case ConvDirection::forward:
        status = f.cudnnGetConvolutionForwardWorkspaceSize(handle_, d_.x, d_.weight, d_.convolution,
                                                           d_.y, forward_algorithm(), &bytes_);
        break;
      case ConvDirection::backward_data:
        status = f.cudnnGetConvolutionBackwardDataWorkspaceSize(
            handle_, d_.weight, d_.y, d_.convolution, d_.x, data_algorithm(), &bytes_);
        break;
      case ConvDirection::backward_weight:
        status = f.cudnnGetConvolutionBackwardFilterWorkspaceSize(
            handle_, d_.x, d_.y, d_.convolution, d_.weight, weight_algorithm(), &bytes_);
        break;
    }
    supported_ = status == CUDNN_STATUS_SUCCESS;
  }

  bool supported() const { return supported_; }
  std::size_t workspace() const { return bytes_; }

  /// The result's tensor is written. False where cuDNN finds no kernel after all.
  bool run(std::uint16_t* x, std::uint16_t* weight, std::uint16_t* y) const {
    const Functions& f = functions();
    const float one = 1.0f, zero = 0.0f;
    const StreamScratch<unsigned char> workspace(stream_, static_cast<std::int64_t>(bytes_));
    cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;
    switch (direction_) {
      case ConvDirection::forward:
        status = f.cudnnConvolutionForward(handle_, &one, d_.x, x, d_.weight, weight,
                                           d_.convolution, forward_algorithm(), workspace.data(),
                                           bytes_, &zero, d_.y, y);
        break;
      case ConvDirection::backward_data:
        status = f.cudnnConvolutionBackwardData(handle_, &one, d_.weight, weight, d_.y, y,
                                                d_.convolution, data_algorithm(), workspace.data(),
                                                bytes_, &zero, d_.x, x);
        break;
      case ConvDirection::backward_weight:
        status = f.cudnnConvolutionBackwardFilter(handle_, &one, d_.x, x, d_.y, y, d_.convolution,
                                                  weight_algorithm(), workspace.data(), bytes_,
                                                  &zero, d_.weight, weight);
        break;
    }
    if (status == CUDNN_STATUS_NOT_SUPPORTED) return false;
    check_status(status, "a convolution by cuDNN");
    return true;
  }

 private:
  cudnnConvolutionFwdAlgo_t forward_algorithm() const {
    return static_cast<cudnnConvolutionFwdAlgo_t>(algorithm_);
  }
  cudnnConvolutionBwdDataAlgo_t data_algorithm() const {
    return static_cast<cudnnConvolutionBwdDataAlgo_t>(algorithm_);
  }
  cudnnConvolutionBwdFilterAlgo_t weight_algorithm() const {
    return static_cast<cudnnConvolutionBwdFilterAlgo_t>(algorithm_);
  }

  cudaStream_t stream_;
  ConvDirection direction_;
  int algorithm_;
  cudnnHandle_t handle_;
  Descriptors d_;
  std::size_t bytes_ = 0;
  bool supported_ = false;
};

class Handle {
 public:
  static constexpr const char* what = "making a handle of cuDNN";

  explicit Handle(cudaStream_t stream) : stream_(stream) {
    check_status(functions().cudnnCreate(&handle_), what);
    if (const cudnnStatus_t status = functions().cudnnSetStream(handle_, stream);
        status != CUDNN_STATUS_SUCCESS) {
      functions().cudnnDestroy(handle_);
      check_status(status, what);
    }
  }
  ~Handle() {
    operations_.clear();
    functions().cudnnDestroy(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  /// Made once: asking for the size of the workspace may take longer than a small convolution.
  const Operation& operation(ConvDirection direction, const Conv2dShape& shape, int algorithm) {
    std::unique_ptr<Operation>& operation = operations_[{direction, shape, algorithm}];
    if (operation == nullptr)
      operation = std::make_unique<Operation>(handle_, stream_, direction, shape, algorithm);
    return *operation;
  }

 private:
  cudaStream_t stream_;
  cudnnHandle_t handle_ = nullptr;
  std::map<std::tuple<ConvDirection, Conv2dShape, int>, std::unique_ptr<Operation>> operations_;
};

/// Never destroyed: at the end of the program the driver may be gone before.
StreamHandles<Handle>& handles() {
  static auto& handles = *new StreamHandles<Handle>();
  return handles;
}

/// x, weight and y in bf16, on the way to and from cuDNN.
struct Rounded16 {
  StreamScratch<std::uint16_t> x, weight, y;
  Rounded16(void* stream, const Conv2dShape& s)
      : x(static_cast<cudaStream_t>(stream), x_size(s)),
        weight(static_cast<cudaStream_t>(stream), s.weight_size()),
        y(static_cast<cudaStream_t>(stream), y_size(s)) {}

  static std::int64_t x_size(const Conv2dShape& s) { return s.batch * s.in_h * s.in_w * s.in_c; }
  static std::int64_t y_size(const Conv2dShape& s) {
    return s.batch * s.out_h() * s.out_w() * s.out_c;
  }
};

/// Calls prepare(tensors), does the operation, calls finish(tensors).
template <class Prepare, class Finish>
bool convolve(void* stream, ConvDirection direction, const Conv2dShape& shape,
              const Prepare& prepare, const Finish& finish) {
  if (!cudnn_takes(shape) || !available()) return false;
  const Operation& operation = handles()
                                   .of(static_cast<cudaStream_t>(stream))
                                   .operation(direction, shape, own_choice(direction));
  if (!operation.supported()) return false;
  const Rounded16 tensors(stream, shape);
  prepare(tensors);
  if (!operation.run(tensors.x.data(), tensors.weight.data(), tensors.y.data())) return false;
  finish(tensors);
  return true;
}

}  // namespace

bool available() { return functions().complete; }

bool conv2d_forward(void* stream, const Conv2dShape& shape, const float* x, const float* weight,
                    float* y) {
  return convolve(
      stream, ConvDirection::forward, shape,
      [&](const Rounded16& t) {
        to_bf16(stream, Rounded16::x_size(shape), x, t.x.data());
        weight_to_bf16(stream, shape, weight, t.weight.data());
      },
      [&](const Rounded16& t) { from_bf16(stream, Rounded16::y_size(shape), t.y.data(), y); });
}

bool conv2d_backward_data(void* stream, const Conv2dShape& shape, const float* dy,
                          const float* weight, float* dx) {
  return convolve(
      stream, ConvDirection::backward_data, shape,
      [&](const Rounded16& t) {
        to_bf16(stream, Rounded16::y_size(shape), dy, t.y.data());
        weight_to_bf16(stream, shape, weight, t.weight.data());
      },
      [&](const Rounded16& t) { from_bf16(stream, Rounded16::x_size(shape), t.x.data(), dx); });
}

bool conv2d_backward_weight(void* stream, const Conv2dShape& shape, const float* x, const float* dy,
                            float* dweight) {
  return convolve(
      stream, ConvDirection::backward_weight, shape,
      [&](const Rounded16& t) {
        to_bf16(stream, Rounded16::x_size(shape), x, t.x.data());
        to_bf16(stream, Rounded16::y_size(shape), dy, t.y.data());
      },
      [&](const Rounded16& t) { weight_from_bf16(stream, shape, t.weight.data(), dweight); });
}

int algorithm_count(ConvDirection direction) {
  switch (direction) {
    case ConvDirection::forward:
      return CUDNN_CONVOLUTION_FWD_ALGO_COUNT;
    case ConvDirection::backward_data:
      return CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT;
    case ConvDirection::backward_weight:
      return CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT;
  }
  return 0;
}

bool convolve_bf16(void* stream, ConvDirection direction, const Conv2dShape& shape, int algorithm,
                   std::uint16_t* x, std::uint16_t* weight, std::uint16_t* y) {
  if (!cudnn_takes(shape) || !available()) return false;
  const Operation& operation =
      handles().of(static_cast<cudaStream_t>(stream)).operation(direction, shape, algorithm);
  constexpr std::size_t most_workspace = std::size_t{1} << 30;
  return operation.supported() && operation.workspace() <= most_workspace &&
         operation.run(x, weight, y);
}

void release(void* stream) {
  if (available()) handles().drop(static_cast<cudaStream_t>(stream));
}

}  // namespace pixeldp::kernels::cuda::cudnn

#else  // nothing to call it by

namespace pixeldp::kernels::cuda::cudnn {

bool available() { return false; }

bool conv2d_forward(void*, const Conv2dShape&, const float*, const float*, float*) { return false; }
bool conv2d_backward_data(void*, const Conv2dShape&, const float*, const float*, float*) {
  return false;
}
bool conv2d_backward_weight(void*, const Conv2dShape&, const float*, const float*, float*) {
  return false;
}
int algorithm_count(ConvDirection) { return 0; }
bool convolve_bf16(void*, ConvDirection, const Conv2dShape&, int, std::uint16_t*, std::uint16_t*,
                   std::uint16_t*) {
  return false;
}
void release(void*) {}

}  // namespace pixeldp::kernels::cuda::cudnn

#endif
