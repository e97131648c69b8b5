#include "kernels/convolution.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

Padding same_padding(std::int64_t extent, std::int64_t kernel, std::int64_t stride) {
  const std::int64_t outputs = (extent + stride - 1) / stride;
  const std::int64_t total = std::max<std::int64_t>((outputs - 1) * stride + kernel - extent, 0);
  return {total / 2, total - total / 2};
}

std::string describe(const Conv2dShape& s) {
  return fmt::format(
      "convolution {}x{}x{}x{} with {} kernels {}x{}, stride {}, padding {}+{}, {}+{}", s.batch,
      s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.stride, s.pad_h.before,
      s.pad_h.after, s.pad_w.before, s.pad_w.after);
}

void check_conv2d_shape(const Conv2dShape& s) {
  if (std::min({s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.stride}) < 1)
    fail("{}: extents, channels and stride must be at least 1", describe(s));
  if (std::min({s.batch, s.pad_h.before, s.pad_h.after, s.pad_w.before, s.pad_w.after}) < 0)
    fail("{}: batch and padding must be at least 0", describe(s));
  if (s.kernel_h > s.in_h + s.pad_h.before + s.pad_h.after ||
      s.kernel_w > s.in_w + s.pad_w.before + s.pad_w.after)
    fail("{}: the kernel is larger than the padded image", describe(s));
}

void conv2d_forward(const Stream& stream, const Conv2dShape& shape, Precision precision,
                    const float* x, const float* weight, float* y) {
  check_conv2d_shape(shape);
  check_product_precision(precision);
  operations(stream).conv2d_forward(stream, shape, precision, x, weight, y);
}

void conv2d_backward_data(const Stream& stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx) {
  check_conv2d_shape(shape);
  check_product_precision(precision);
  operations(stream).conv2d_backward_data(stream, shape, precision, dy, weight, dx);
}

void conv2d_backward_weight(const Stream& stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight) {
  check_conv2d_shape(shape);
  check_product_precision(precision);
  operations(stream).conv2d_backward_weight(stream, shape, precision, x, dy, dweight);
}

std::unique_ptr<TrainingProduct> training_convolution(const Stream& stream,
                                                      const Conv2dShape& shape,
                                                      Precision precision) {
  check_conv2d_shape(shape);
  check_product_precision(precision);
  return operations(stream).training_convolution(stream, shape, precision);
}

}  // namespace pixeldp::kernels
