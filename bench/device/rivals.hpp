#pragma once

#include <string>
#include <vector>

#include "bench/device/stopwatch.hpp"
#include "kernels/cuda/libraries/convolution_choice.hpp"

namespace pixeldp::bench {

/// What a library of NVIDIA's does in place of a kernel, by each of its algorithms that can.
struct Rival {
  std::string obstacle;  ///< why there are none
  std::vector<Work> algorithms;
};

enum class ProductType { bf16, int8 };

/// c = a b^T for n x n matrices by cuBLASLt, random and row-major: bf16 with sums in fp32, rounded;
/// or int8 with sums in int32. The work must not outlive the inputs.
Rival matrix_product(Inputs& inputs, ProductType type, std::int64_t n);

/// A convolution by cuDNN: as convolution_case, but dweight is rounded to bf16 too.
Rival cudnn_convolution(Inputs& inputs, kernels::ConvDirection direction,
                        const kernels::Conv2dShape& shape);

/// The fastest of the algorithms at a glance; those that fail when they run are left out. Throws
/// the Error of the last one where all do.
Work best_algorithm(Stopwatch& watch, const Rival& rival);

}  // namespace pixeldp::bench
