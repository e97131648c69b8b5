#include "engine/error.hpp"
#include "kernels/cuda/prepared.hpp"

namespace pixeldp::kernels {

Conv2dShape dense_as_conv2d(const DenseShape& shape, Precision precision) {
  if (precision == Precision::fp32) {
    fail(
        "a dense layer of {} inputs in front of the noise does not run on GPUs: run it on the "
        "device cpu",
        shape.in);
  }
  if (shape.in % 8 != 0) {
    fail(
        "a dense layer of {} inputs does not run on GPUs, which take multiples of 8: run it on the "
        "device cpu",
        shape.in);
  }
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
