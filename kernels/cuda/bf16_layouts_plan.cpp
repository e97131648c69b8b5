#include "engine/error.hpp"
#include "kernels/cuda/bf16_layouts.hpp"

namespace pixeldp::kernels {

unsigned bf16_layout_blocks(std::int64_t size) {
  constexpr std::int64_t block = 256, most = (std::int64_t{1} << 38) - 1;
  if (size < 0 || size > most)
    fail("{} elements to or from bf16: one launch can do {}", size, most);
  return static_cast<unsigned>((size + block - 1) / block);
}

}  // namespace pixeldp::kernels
