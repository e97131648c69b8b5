#include "kernels/cuda/fragments.hpp"

namespace pixeldp::kernels {

std::vector<std::int8_t> pack_int8_fragments(std::int64_t in_c, std::int64_t kernel,
                                             std::int64_t out_c,
                                             std::span<const std::int8_t> weight) {
  constexpr std::int64_t k = 32, n = 16;
  std::vector<std::int8_t> packed;
  packed.reserve(weight.size());
  const auto of = [&](std::int64_t o, std::int64_t c, std::int64_t r, std::int64_t s) {
    return weight[static_cast<std::size_t>(((o * in_c + c) * kernel + r) * kernel + s)];
  };
  for (std::int64_t r = 0; r < kernel; ++r)
    for (std::int64_t first_c = 0; first_c < in_c; first_c += k)
      for (std::int64_t s = 0; s < kernel; ++s)
        for (std::int64_t first_o = 0; first_o < out_c; first_o += n)
          for (std::int64_t lane = 0; lane < 32; ++lane)
            for (std::int64_t i = 0; i < 16; ++i)
              packed.push_back(of(first_o + lane / 4 + i / 8 * 8,
                                  first_c + lane % 4 * 4 + i % 4 + i / 4 % 2 * 16, r, s));
  return packed;
}

}  // namespace pixeldp::kernels
