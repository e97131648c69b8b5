#pragma once

#include <cstdint>
#include <vector>

#include "kernels/pooling.hpp"

/// The definitions of kernels/pooling.hpp in double precision.
namespace pixeldp::reference {

inline std::vector<double> global_average_pool(const kernels::GlobalPoolShape& s,
                                               const std::vector<float>& x) {
  std::vector<double> y(static_cast<std::size_t>(s.batch * s.channels));
  for (std::int64_t i = 0; i < s.batch * s.pixels * s.channels; ++i) {
    const std::int64_t n = i / (s.pixels * s.channels), c = i % s.channels;
    y[static_cast<std::size_t>(n * s.channels + c)] +=
        static_cast<double>(x[static_cast<std::size_t>(i)]) / static_cast<double>(s.pixels);
  }
  return y;
}

/// Calls visit(input, output, weight) for each pair of elements where y[output] contains weight *
/// x[input].
template <class Visit>
void for_shortcut(const kernels::ShortcutShape& s, Visit visit) {
  const std::int64_t window = s.kind == kernels::ShortcutKind::average ? s.stride : 1;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t p = 0; p < s.out_h(); ++p)
      for (std::int64_t q = 0; q < s.out_w(); ++q)
        for (std::int64_t r = 0; r < window; ++r)
          for (std::int64_t t = 0; t < window; ++t)
            for (std::int64_t c = 0; c < s.in_c; ++c) {
              const std::int64_t h = p * s.stride + r, w = q * s.stride + t;
              visit(static_cast<std::size_t>(((n * s.in_h + h) * s.in_w + w) * s.in_c + c),
                    static_cast<std::size_t>(((n * s.out_h() + p) * s.out_w() + q) * s.out_c +
                                             (s.out_c - s.in_c) / 2 + c),
                    1.0 / static_cast<double>(window * window));
            }
}

}  // namespace pixeldp::reference
