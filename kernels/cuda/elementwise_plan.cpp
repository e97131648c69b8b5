#include <algorithm>

#include "kernels/cuda/elementwise.hpp"

namespace pixeldp::kernels {

ElementwiseGrid ElementwiseGrid::plan(std::int64_t size,
                                      std::initializer_list<const float*> arrays) {
  const std::int64_t blocks = size / block_elements + (size % block_elements != 0);
  std::uintptr_t addresses = 0;
  for (const float* array : arrays) addresses |= reinterpret_cast<std::uintptr_t>(array);
  return {static_cast<unsigned>(std::min(blocks, most_blocks)), addresses % 16 == 0};
}

}  // namespace pixeldp::kernels
