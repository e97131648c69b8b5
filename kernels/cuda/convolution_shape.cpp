#include "kernels/cuda/convolution_shape.hpp"

#include <algorithm>

#include "engine/error.hpp"

namespace pixeldp::kernels {

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

}  // namespace pixeldp::kernels
