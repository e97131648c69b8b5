#include <stdexcept>

#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/libraries_on_device.hpp"

namespace pixeldp::kernels::cuda {
namespace {

void require(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

TestStream::TestStream() {
  cudaStream_t stream = nullptr;
  require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  stream_ = stream;
}

TestStream::~TestStream() {
  cudaStreamSynchronize(as_stream(stream_));
  cublas::release(stream_);
  cudaStreamDestroy(as_stream(stream_));
}

void TestStream::record_and_run(const std::function<void()>& work) const {
  const cudaStream_t stream = as_stream(stream_);
  cudaGraph_t graph = nullptr;
  require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    cudaGraphDestroy(graph);
    throw;
  }
  require(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable = nullptr;
  require(cudaGraphInstantiate(&executable, graph, 0));
  for (int i = 0; i < 2; ++i) require(cudaGraphLaunch(executable, stream));
  require(cudaStreamSynchronize(stream));
  require(cudaGraphExecDestroy(executable));
  require(cudaGraphDestroy(graph));
}

std::vector<float> GemmCase::run(std::vector<float> c) const {
  const TestStream stream;
  const DeviceArray<float> left(a), right(b), out(c);
  cublas::gemm(stream.get(), gemm, precision, left.data(), right.data(), out.data());
  return out.values();
}

std::vector<float> GemmCase::run_recorded(std::vector<float> c, int first) const {
  const TestStream stream;
  const DeviceArray<float> left(a), right(b), out(c);
  const auto work = [&] {
    cublas::gemm(stream.get(), gemm, precision, left.data(), right.data(), out.data());
  };
  for (int i = 0; i < first; ++i) work();
  stream.record_and_run(work);
  return out.values();
}

std::vector<float> run_cudnn(ConvDirection direction, const Conv2dShape& s,
                             const std::vector<float>& a, const std::vector<float>& b) {
  const std::int64_t size =
      direction == ConvDirection::forward         ? s.batch * s.out_h() * s.out_w() * s.out_c
      : direction == ConvDirection::backward_data ? s.batch * s.in_h * s.in_w * s.in_c
                                                  : s.weight_size();
  const DeviceArray<float> left(a), right(b), out(static_cast<std::size_t>(size));
  const auto operation = direction == ConvDirection::forward ? cudnn::conv2d_forward
                         : direction == ConvDirection::backward_data
                             ? cudnn::conv2d_backward_data
                             : cudnn::conv2d_backward_weight;
  if (!operation(nullptr, s, left.data(), right.data(), out.data())) return {};
  return out.values();
}

std::vector<float> through_bf16(const std::vector<float>& x) {
  const auto size = static_cast<std::int64_t>(x.size());
  const DeviceArray<float> in(x), out(x.size());
  const DeviceArray<std::uint16_t> middle(x.size());
  to_bf16(nullptr, size, in.data(), middle.data());
  from_bf16(nullptr, size, middle.data(), out.data());
  return out.values();
}

std::vector<float> weight_through_bf16(const Conv2dShape& shape, const std::vector<float>& x) {
  const DeviceArray<float> in(x), out(x.size());
  const DeviceArray<std::uint16_t> middle(x.size());
  weight_to_bf16(nullptr, shape, in.data(), middle.data());
  weight_from_bf16(nullptr, shape, middle.data(), out.data());
  return out.values();
}

}  // namespace pixeldp::kernels::cuda
