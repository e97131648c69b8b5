#include "kernels/cuda/convolution.hpp"

namespace pixeldp::kernels {

Conv2dShape dense_as_conv2d(const DenseShape& shape) {
  return {.batch = shape.rows,
          .in_h = 1,
          .in_w = 1,
          .in_c = shape.in,
          .out_c = shape.out,
          .kernel_h = 1,
          .kernel_w = 1,
          .stride = 1,
          .pad_h = {},
          .pad_w = {}};
}

}  // namespace pixeldp::kernels
