#include "bench/cuda/kernel_cases.hpp"

namespace pixeldp::bench {

double product(std::initializer_list<std::int64_t> factors) {
  double result = 1.0;
  for (const std::int64_t factor : factors) result *= static_cast<double>(factor);
  return result;
}

kernels::Conv2dShape square_convolution(std::int64_t batch, std::int64_t side, std::int64_t in_c,
                                        std::int64_t out_c, std::int64_t kernel,
                                        std::int64_t stride) {
  const kernels::Padding padding = kernels::same_padding(side, kernel, stride);
  return {batch, side, side, in_c, out_c, kernel, kernel, stride, padding, padding};
}

}  // namespace pixeldp::bench
