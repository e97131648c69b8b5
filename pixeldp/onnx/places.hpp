#pragma once

#include "pixeldp/onnx/constant.hpp"

namespace pixeldp::onnx {

/// Whether it is an image [1, C, H, W].
bool is_picture(const Dims& dims);
/// The places of its elements where it lies as H, W, C.
std::vector<std::int64_t> image_places(const Dims& dims);
/// 0 ... size - 1.
std::vector<std::int64_t> numbers_to(std::int64_t size);

}  // namespace pixeldp::onnx
