#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "kernels/activation.hpp"
#include "kernels/convolution.hpp"

/// The definitions of the convolution's three passes, in double precision, one loop per index.
namespace pixeldp::reference {

inline kernels::Conv2dShape with_padding(kernels::Conv2dShape s, kernels::Padding h,
                                         kernels::Padding w) {
  s.pad_h = h, s.pad_w = w;
  return s;
}

/// A square kernel with SAME padding.
inline kernels::Conv2dShape same(std::int64_t batch, std::int64_t h, std::int64_t w,
                                 std::int64_t in_c, std::int64_t out_c, std::int64_t kernel,
                                 std::int64_t stride) {
  return with_padding({batch, h, w, in_c, out_c, kernel, kernel, stride, {}, {}},
                      kernels::same_padding(h, kernel, stride),
                      kernels::same_padding(w, kernel, stride));
}

inline std::int64_t x_size(const kernels::Conv2dShape& s) {
  return s.batch * s.in_h * s.in_w * s.in_c;
}
inline std::int64_t y_size(const kernels::Conv2dShape& s) {
  return s.batch * s.out_h() * s.out_w() * s.out_c;
}

/// Calls f(x index, weight index, y index) for every product of the sum.
template <typename F>
void for_each_product(const kernels::Conv2dShape& s, F f) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t p = 0; p < s.out_h(); ++p)
      for (std::int64_t q = 0; q < s.out_w(); ++q)
        for (std::int64_t o = 0; o < s.out_c; ++o)
          for (std::int64_t c = 0; c < s.in_c; ++c)
            for (std::int64_t r = 0; r < s.kernel_h; ++r)
              for (std::int64_t t = 0; t < s.kernel_w; ++t) {
                const std::int64_t h = p * s.stride + r - s.pad_h.before,
                                   w = q * s.stride + t - s.pad_w.before;
                if (h < 0 || h >= s.in_h || w < 0 || w >= s.in_w) continue;
                f(((n * s.in_h + h) * s.in_w + w) * s.in_c + c,
                  ((o * s.in_c + c) * s.kernel_h + r) * s.kernel_w + t,
                  ((n * s.out_h() + p) * s.out_w() + q) * s.out_c + o);
              }
}

inline std::vector<double> conv2d_forward(const kernels::Conv2dShape& s,
                                          const std::vector<float>& x,
                                          const std::vector<float>& weight) {
  std::vector<double> y(static_cast<std::size_t>(s.batch * s.out_h() * s.out_w() * s.out_c));
  for_each_product(s, [&](auto i, auto j, auto k) { y[k] += double{x[i]} * double{weight[j]}; });
  return y;
}

inline std::vector<double> conv2d_backward_data(const kernels::Conv2dShape& s,
                                                const std::vector<float>& dy,
                                                const std::vector<float>& weight) {
  std::vector<double> dx(static_cast<std::size_t>(s.batch * s.in_h * s.in_w * s.in_c));
  for_each_product(s, [&](auto i, auto j, auto k) { dx[i] += double{dy[k]} * double{weight[j]}; });
  return dx;
}

inline std::vector<double> conv2d_backward_weight(const kernels::Conv2dShape& s,
                                                  const std::vector<float>& x,
                                                  const std::vector<float>& dy) {
  std::vector<double> dweight(static_cast<std::size_t>(s.weight_size()));
  for_each_product(s, [&](auto i, auto j, auto k) { dweight[j] += double{x[i]} * double{dy[k]}; });
  return dweight;
}

/// activation(x (*) weight + bias) in single precision, each sum a chain of fused
/// multiply-additions: for every `chunk` channels the rows of the kernel, their pixels, then the
/// channels. bias may be empty.
inline std::vector<float> fused_conv2d(const kernels::Conv2dShape& s, std::int64_t chunk,
                                       kernels::Activation activation, const std::vector<float>& x,
                                       const std::vector<float>& weight,
                                       const std::vector<float>& bias = {}) {
  std::vector<float> y;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t p = 0; p < s.out_h(); ++p)
      for (std::int64_t q = 0; q < s.out_w(); ++q)
        for (std::int64_t o = 0; o < s.out_c; ++o) {
          float sum = 0.0f;
          for (std::int64_t first = 0; first < s.in_c; first += chunk)
            for (std::int64_t r = 0; r < s.kernel_h; ++r)
              for (std::int64_t t = 0; t < s.kernel_w; ++t)
                for (std::int64_t c = first; c < std::min(first + chunk, s.in_c); ++c) {
                  const std::int64_t h = p * s.stride + r - s.pad_h.before,
                                     w = q * s.stride + t - s.pad_w.before;
                  const bool inside = h >= 0 && h < s.in_h && w >= 0 && w < s.in_w;
                  const std::int64_t i = ((n * s.in_h + h) * s.in_w + w) * s.in_c + c,
                                     j = ((o * s.in_c + c) * s.kernel_h + r) * s.kernel_w + t;
                  sum = std::fma(inside ? x[static_cast<std::size_t>(i)] : 0.0f,
                                 weight[static_cast<std::size_t>(j)], sum);
                }
          if (!bias.empty()) sum += bias[static_cast<std::size_t>(o)];
          const float negative =
              activation.slope == 0.0f ? std::max(0.0f, sum) : sum * activation.slope;
          y.push_back(sum > 0.0f ? sum : negative);
        }
  return y;
}

/// [pixels, channels] with zeros that fill up each pixel to a multiple of `chunk` channels.
inline std::vector<float> filled(std::int64_t channels, std::int64_t chunk,
                                 const std::vector<float>& values) {
  std::vector<float> result;
  for (std::size_t i = 0; i < values.size(); ++i) {
    result.push_back(values[i]);
    const bool last = (static_cast<std::int64_t>(i) + 1) % channels == 0;
    while (last && std::ssize(result) % chunk != 0) result.push_back(0.0f);
  }
  return result;
}

}  // namespace pixeldp::reference
