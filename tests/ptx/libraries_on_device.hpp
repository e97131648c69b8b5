#pragma once

#include <functional>
#include <vector>

#include "kernels/cuda/libraries/convolution_choice.hpp"
#include "kernels/cuda/libraries/cublas.hpp"
#include "kernels/cuda/libraries/cudnn.hpp"

/// NVIDIA's libraries, and what leads to them, with all arrays in host memory.
namespace pixeldp::kernels::cuda {

/// A stream with what the libraries keep for it.
class TestStream {
 public:
  TestStream();
  ~TestStream();
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;

  void* get() const { return stream_; }
  /// Records the work into a graph, and runs that twice.
  void record_and_run(const std::function<void()>& work) const;

 private:
  void* stream_;
};

struct GemmCase {
  Gemm gemm;
  Precision precision;
  std::vector<float> a, b;

  /// c, which was as given. recorded: by way of a graph, after `first` calls without one.
  std::vector<float> run(std::vector<float> c) const;
  std::vector<float> run_recorded(std::vector<float> c, int first) const;
};

/// Empty where the library does not do it. a and b: the operands as in cudnn.hpp.
std::vector<float> run_cudnn(ConvDirection direction, const Conv2dShape& shape,
                             const std::vector<float>& a, const std::vector<float>& b);

/// To bf16 and back.
std::vector<float> through_bf16(const std::vector<float>& x);
/// A weight to bf16, with the channels last, and back.
std::vector<float> weight_through_bf16(const Conv2dShape& shape, const std::vector<float>& x);

}  // namespace pixeldp::kernels::cuda
