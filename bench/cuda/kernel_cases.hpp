#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "bench/inputs.hpp"
#include "kernels/cuda/libraries/convolution_choice.hpp"

namespace pixeldp::bench {

/// Gives work to the stream of its inputs; may be called over and over, and recorded in a graph.
using Work = std::function<void()>;

/// The work of kernels on one shape, on random data.
struct KernelCase {
  std::string name;
  /// What limits the operations. On tensor cores: bf16, tf32, int8; else fp32, and `mixed` where
  /// most of the work is no arithmetic in floating point, so that counting operations tells
  /// nothing.
  std::string unit;
  double operations = 0.0;  ///< a multiply-addition is two
  double bytes = 0.0;       ///< the least that must go from or to memory
  /// Makes the inputs, which must outlive the work, and packs weights.
  std::function<Work(Inputs&)> prepare;
  /// What is counted of the work, where that says more than bytes or operations: "draws".
  std::string items = {};
  double count = 0.0;
  bool warpgroups = false;  ///< takes a device with Arch::warpgroup_products
};

/// Shapes of the networks, or the least that every kernel takes.
enum class CaseSize { full, least };

double product(std::initializer_list<std::int64_t> factors);

/// Of square images, padded as TensorFlow's "SAME".
kernels::Conv2dShape square_convolution(std::int64_t batch, std::int64_t side, std::int64_t in_c,
                                        std::int64_t out_c, std::int64_t kernel,
                                        std::int64_t stride);

// kernel_cases: every kernel, though not every instance of its template, is launched by one of
// these; the caller leaves out what the device has not. convolution_case: one convolution with
// operands in bf16 on tensor cores; y and dx are rounded to bf16, dweight is in fp32.

namespace cuda {
std::vector<KernelCase> kernel_cases(CaseSize size);
KernelCase convolution_case(kernels::ConvDirection direction, const kernels::Conv2dShape& shape);
}  // namespace cuda

namespace emulated {
std::vector<KernelCase> kernel_cases(CaseSize size);
KernelCase convolution_case(kernels::ConvDirection direction, const kernels::Conv2dShape& shape);
}  // namespace emulated

}  // namespace pixeldp::bench
