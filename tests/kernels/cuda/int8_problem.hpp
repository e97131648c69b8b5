#pragma once

#include <algorithm>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/dense.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/pointers.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/int8.hpp"
#include "tests/reference/values.hpp"

/// Convolutions in int8 on the emulated device, by any kernel, against their definition.
namespace pixeldp::kernels::emulated {

using Bytes = std::vector<std::int8_t>;

inline Int8ConvKernel by_mma(const ConvTile& tile) { return {0, tile}; }
inline Int8ConvKernel by_warpgroups(int channels) { return {channels, int8_conv_tiles[0]}; }

inline std::int64_t y_size(const Conv2dShape& s) {
  return s.batch * s.out_h() * s.out_w() * s.out_c;
}

/// Every byte that there is, but -128, which no value becomes.
inline Bytes random_bytes(std::int64_t count, std::uint64_t seed) {
  Bytes bytes;
  for (const float value : reference::integers(count, 127, seed))
    bytes.push_back(static_cast<std::int8_t>(value));
  return bytes;
}
inline Bytes filled(std::int64_t channels, const Bytes& values) {
  const std::vector<float> reals(values.begin(), values.end());
  Bytes result;
  for (const float value : reference::filled(channels, 16, reals))
    result.push_back(static_cast<std::int8_t>(value));
  return result;
}

/// What may become of a sum, in host memory.
struct Int8Ending {
  std::vector<float> scale, shift = {}, residual = {}, next_scale = {}, next_shift = {};
  Activation activation = {}, next_activation = {};
  float inverse_scale = 0.03f, next_inverse_scale = 0.07f;
};

struct Int8Values {
  std::vector<float> y, next;
  Bytes y_bytes, next_bytes;
  bool operator==(const Int8Values&) const = default;
};

/// Which results are asked for.
struct Int8Asked {
  bool y = true, y_bytes = true, next = false, next_bytes = false;
};

struct Int8Problem {
  Conv2dShape shape;
  Bytes x, weight;
  std::vector<float> sums;  ///< in single precision, as 32-bit integers are converted

  explicit Int8Problem(const Conv2dShape& s)
      : Int8Problem(s, random_bytes(s.batch * s.in_h * s.in_w * s.in_c, 1),
                    random_bytes(s.weight_size(), 2)) {}
  Int8Problem(const Conv2dShape& s, Bytes x_, Bytes weight_)
      : shape(s), x(std::move(x_)), weight(std::move(weight_)) {
    const auto exact =
        reference::conv2d_forward(s, {x.begin(), x.end()}, {weight.begin(), weight.end()});
    sums.assign(exact.begin(), exact.end());
  }

  /// By the definition: each operation rounded once.
  Int8Values expected(const Int8Ending& e) const {
    Int8Values r;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t o = i % static_cast<std::size_t>(shape.out_c);
      float value = sums[i] * e.scale[o];
      value = value + (e.shift.empty() ? 0.0f : e.shift[o]);
      if (!e.residual.empty()) value = value + e.residual[i];
      value = value > 0.0f ? value : e.activation.slope * value;
      r.y.push_back(value);
      r.y_bytes.push_back(reference::to_byte(value, e.inverse_scale));
      if (e.next_scale.empty()) continue;
      value = value * e.next_scale[o];
      value = value + e.next_shift[o];
      value = value > 0.0f ? value : e.next_activation.slope * value;
      r.next.push_back(value);
      r.next_bytes.push_back(reference::to_byte(value, e.next_inverse_scale));
    }
    return r;
  }

  /// What the emulated kernel makes where that is asked for; `skip` elements of single precision
  /// away from an aligned address, between margins that must stay.
  Int8Values run(const Int8ConvKernel& kernel, const Int8Ending& e, const Int8Asked& asked,
                 std::size_t skip = 0) const {
    constexpr std::size_t margin = 32;
    constexpr float sentinel = 12345.0f;
    constexpr std::int8_t byte_sentinel = -128;
    const auto count = static_cast<std::size_t>(y_size(shape));
    const DeviceArray<std::int8_t> device_x(filled(shape.in_c, x)),
        device_weight(pack_int8_weight(shape, weight));
    std::vector<float> residual(skip);
    residual.insert(residual.end(), e.residual.begin(), e.residual.end());
    const DeviceArray<float> scale(e.scale), shift(e.shift), next_scale(e.next_scale),
        next_shift(e.next_shift), added(residual);
    const std::vector<float> frame(count + 2 * margin + skip, sentinel);
    const Bytes byte_frame(count + 2 * margin, byte_sentinel);
    const DeviceArray<float> y(frame), next(frame);
    const DeviceArray<std::int8_t> y_bytes(byte_frame), next_bytes(byte_frame);
    Int8Epilogue epilogue{.scale = scale.data(), .activation = e.activation};
    if (shift.size() > 0) epilogue.shift = shift.data();
    if (!e.residual.empty()) epilogue.residual = added.data() + skip;
    if (asked.y) epilogue.y.real = y.data() + margin + skip;
    if (asked.y_bytes)
      epilogue.y.bytes = y_bytes.data() + margin, epilogue.y.inverse_scale = e.inverse_scale;
    if (!e.next_scale.empty()) {
      epilogue.next_scale = next_scale.data(), epilogue.next_shift = next_shift.data();
      epilogue.next_activation = e.next_activation;
    }
    if (asked.next) epilogue.next.real = next.data() + margin + skip;
    if (asked.next_bytes)
      epilogue.next.bytes = next_bytes.data() + margin,
      epilogue.next.inverse_scale = e.next_inverse_scale;
    conv2d_int8(nullptr, shape, kernel, device_x.data(), device_weight.data(), epilogue);
    const auto inner = [&](const auto& array, bool was_asked, auto outside, std::size_t skipped) {
      auto values = array.values();
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(margin + skipped);
      const auto last = values.end() - static_cast<std::ptrdiff_t>(margin);
      CHECK(std::count(values.begin(), first, outside) == first - values.begin());
      CHECK(std::count(last, values.end(), outside) == values.end() - last);
      if (!was_asked) CHECK(std::count(first, last, outside) == last - first);
      return was_asked ? std::vector(first, last) : decltype(values)();
    };
    return {inner(y, asked.y, sentinel, skip), inner(next, asked.next, sentinel, skip),
            inner(y_bytes, asked.y_bytes, byte_sentinel, 0),
            inner(next_bytes, asked.next_bytes, byte_sentinel, 0)};
  }

  bool agrees(const Int8ConvKernel& kernel, const Int8Ending& e, Int8Asked asked,
              std::size_t skip = 0) const {
    Int8Values definition = expected(e);
    if (!asked.y) definition.y.clear();
    if (!asked.y_bytes) definition.y_bytes.clear();
    if (!asked.next) definition.next.clear();
    if (!asked.next_bytes) definition.next_bytes.clear();
    return run(kernel, e, asked, skip) == definition;
  }

  /// The sums themselves.
  bool is_exact(const Int8ConvKernel& kernel) const {
    const Int8Ending plain{.scale =
                               std::vector<float>(static_cast<std::size_t>(shape.out_c), 1.0f)};
    return run(kernel, plain, {.y_bytes = false}).y == sums;
  }
};

/// Of the largest sums that 32 bits are promised to hold: 127 * 127 * 66,000 needs 30 bits, far
/// more than single precision has.
inline Int8Problem problem_of_largest_sums() {
  Bytes x(2 * 66'000, 127), weight(4 * 66'000, 127);
  std::fill_n(weight.begin(), 66'000, std::int8_t{-127});
  x[3] = 1, weight[2 * 66'000 + 5] = -126;
  Int8Problem problem(as_convolution({2, 66'000, 4}), x, weight);
  CHECK(problem.sums[4] == -127.0f * 127.0f * 66'000.0f);
  return problem;
}

/// With all that can follow a sum but a residual.
inline Int8Ending whole_ending(std::int64_t channels) {
  return {.scale = reference::reals(channels, 3),
          .shift = reference::reals(channels, 4),
          .next_scale = reference::reals(channels, 6),
          .next_shift = reference::reals(channels, 7),
          .activation = {0.1f}};
}

/// With all that there is, in arrays 2 to 10.
inline Int8Epilogue epilogue_in(const Pointers& p) {
  Int8Epilogue epilogue;
  epilogue.scale = p[2], epilogue.shift = p[3], epilogue.residual = p[4];
  epilogue.next_scale = p[5], epilogue.next_shift = p[6];
  epilogue.y.real = p[7], epilogue.y.bytes = p[8], epilogue.y.inverse_scale = 0.01f;
  epilogue.next.real = p[9], epilogue.next.bytes = p[10];
  epilogue.next.inverse_scale = 0.02f;
  return epilogue;
}

}  // namespace pixeldp::kernels::emulated
