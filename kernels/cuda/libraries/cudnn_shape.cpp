#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/cuda/libraries/cudnn.hpp"

namespace pixeldp::kernels {

bool cudnn_takes(const Conv2dShape& s) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  const auto extents = {s.batch, s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.stride};
  if (std::min(extents) < 1 || std::max(extents) > most) return false;
  if (std::min(s.pad_h.before, s.pad_w.before) < 0 ||
      std::max(s.pad_h.before, s.pad_w.before) > most)
    return false;
  if (s.pad_h.before != s.pad_h.after || s.pad_w.before != s.pad_w.after) return false;
  if (s.in_c % 8 != 0 || s.out_c % 8 != 0) return false;
  // A kernel larger than the padded image makes no pixel; the legacy interface counts the elements
  // of a tensor in 31 bits.
  if (s.kernel_h > s.in_h + 2 * s.pad_h.before || s.kernel_w > s.in_w + 2 * s.pad_w.before)
    return false;
  const auto fits = [](std::initializer_list<std::int64_t> factors) {
    std::int64_t product = 1;  // below 2^62 before it is compared
    for (const std::int64_t factor : factors)
      if (factor > most || (product *= factor) > most) return false;
    return true;
  };
  return fits({s.batch, s.in_h, s.in_w, s.in_c}) &&
         fits({s.batch, s.out_h(), s.out_w(), s.out_c}) &&
         fits({s.out_c, s.in_c, s.kernel_h, s.kernel_w});
}

}  // namespace pixeldp::kernels
