#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "kernels/convolution.hpp"

namespace pixeldp::kernels {

/// Who does a convolution on a GPU.
enum class ConvPath {
  own,   ///< the project's kernels
  cudnn  ///< NVIDIA's library
};

/// How that is decided. The paths round differently, and which is faster is found anew by every
/// process, so results are reproducible under `own` and, with the same cuDNN and GPU, `cudnn`.
enum class ConvPolicy {
  own,
  cudnn,   ///< where the library is there and takes the shape
  fastest  ///< by timing both
};

enum class ConvDirection { forward, backward_data, backward_weight };

/// Reads "own", "cudnn" or "fastest". Throws a usage error that lists them for anything else.
ConvPolicy parse_conv_policy(std::string_view text);

/// The environment variable PIXELDP_CONVOLUTION where it is set; else `own`, for the counts in a
/// certificate log depend on every bit.
ConvPolicy conv_policy();

/// The path to take after these times of repeated runs: cuDNN's where the median of its times is at
/// least 3 % shorter (less is no reason to change bits). The own path where one of them has no
/// times, or times that are not positive numbers.
ConvPath choose_conv_path(std::vector<float> own, std::vector<float> cudnn);

namespace cuda {

/// Does a convolution by one of the paths, which both overwrite the same result. own() gives it to
/// `stream`, a cudaStream_t; so does cudnn(), or it returns false and has done nothing: then own()
/// does it. Under ConvPolicy::fastest the first call for a direction and shape on a device times
/// both, waits for them, and remembers; not while a graph is recorded, where own() does it.
void run_convolution(void* stream, ConvDirection direction, const Conv2dShape& shape,
                     const std::function<void()>& own, const std::function<bool()>& cudnn);

}  // namespace cuda

}  // namespace pixeldp::kernels
