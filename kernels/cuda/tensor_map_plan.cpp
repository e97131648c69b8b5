#include <string>

#include "engine/error.hpp"
#include "kernels/cuda/tensor_map.hpp"

namespace pixeldp::kernels {
namespace {

std::string text_of(const TensorBox& box) {
  std::string size, of_box;
  for (int i = 0; i < box.rank && i < TensorBox::most_rank; ++i) {
    size += fmt::format("{}{}", i > 0 ? "x" : "", box.size[i]);
    of_box += fmt::format("{}{}", i > 0 ? "x" : "", box.box[i]);
  }
  return fmt::format("boxes {} of a tensor {} in {}", of_box, size,
                     box.element_bytes == 1 ? "bytes" : "bf16");
}

}  // namespace

std::int64_t TensorBox::box_bytes() const {
  std::int64_t bytes = element_bytes;
  for (int i = 0; i < rank; ++i) bytes *= box[i];
  return bytes;
}

void TensorBox::check() const {
  const auto refuse = [&](const std::string& why) { fail("{}: {}", text_of(*this), why); };
  if (rank < 1 || rank > most_rank) refuse(fmt::format("rank {}: give 1 to {}", rank, most_rank));
  if (reinterpret_cast<std::uintptr_t>(address) % 16 != 0)
    refuse("the tensor must be aligned to 16 bytes");
  if (swizzle != 0 && swizzle != 32 && swizzle != 64 && swizzle != 128)
    refuse(fmt::format("a swizzle of {} bytes: give 0, 32, 64 or 128", swizzle));
  if (element_bytes != 1 && element_bytes != bf16_bytes)
    refuse(fmt::format("elements of {} bytes: give 2 (bf16) or 1", element_bytes));
  if (stride[0] != element_bytes)
    refuse("elements of the innermost dimension must lie side by side");
  for (int i = 0; i < rank; ++i) {
    constexpr std::int64_t most_size = std::int64_t{1} << 32, most_stride = std::int64_t{1} << 40;
    if (size[i] < 1 || size[i] > most_size)
      refuse(fmt::format("dimension {} must have 1 to 2^32 elements", i));
    if (box[i] < 1 || box[i] > 256)
      refuse(fmt::format("dimension {} of the box must have 1 to 256 elements", i));
    if (i == 0) continue;
    if (stride[i] < 1 || stride[i] % 16 != 0 || stride[i] >= most_stride)
      refuse(fmt::format(
          "a stride of {} bytes in dimension {}: it must be a multiple of 16 below 2^40", stride[i],
          i));
    if (i > 1 && stride[i] % stride[i - 1] != 0)
      refuse(fmt::format("strides of {} and {} bytes: one must be a multiple of the one before",
                         stride[i - 1], stride[i]));
  }
  const int row = box[0] * element_bytes;
  if (row % 16 != 0) refuse("a row of the box must be a multiple of 16 bytes");
  if (swizzle != 0 && row != swizzle)
    refuse(fmt::format("a row of the box has {} bytes, and the swizzle is of {}", row, swizzle));
}

}  // namespace pixeldp::kernels
