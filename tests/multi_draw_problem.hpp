#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/fragments.hpp"
#include "kernels/int8.hpp"
#include "kernels/multi_draw.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/plan.hpp"
#include "tests/reference/values.hpp"

/// What the tests of the multi-draw kernel run through the emulator and as compiled PTX.
namespace pixeldp::kernels {

struct MultiDrawStatistics {
  std::vector<std::uint64_t> votes, sums, squares;
  std::uint64_t bad_row = no_bad_row;

  explicit MultiDrawStatistics(std::int64_t count) : votes(static_cast<std::size_t>(count)) {
    std::iota(votes.begin(), votes.end(), std::uint64_t{1} << 40);  // they hold something already
    sums = squares = votes;
  }
  bool operator==(const MultiDrawStatistics&) const = default;
};

inline std::size_t as_size(std::int64_t value) { return static_cast<std::size_t>(value); }

inline Conv2dShape small_convolution(std::int64_t in_h = 6, Padding pad_h = {0, 1}) {
  Conv2dShape s = reference::same(1, in_h, 6, 16, 32, 3, 2);
  s.pad_h = pad_h;
  return s;
}

/// The least convolution that there is a kernel in int8 for.
inline Conv2dShape small_int8_convolution(std::int64_t in_h = 6, Padding pad_h = {0, 1}) {
  Conv2dShape s = reference::same(1, in_h, 6, 32, 64, 3, 2);
  s.pad_h = pad_h;
  return s;
}

inline std::vector<float> scaled(std::vector<float> values, float factor, float offset = 0.0f) {
  for (float& value : values) value = value * factor + offset;
  return values;
}

/// A network, images and draws. In the exact kind every sum before the head is exact in single
/// precision, in any order: noised pixels lie in [32, 128), so that they are multiples of 1/4 in
/// bf16, and the weights are -1, 0 and 1.
struct MultiDrawProblem {
  MultiDrawNetwork network;
  MultiDrawParams params;
  std::vector<float> prefixes, conv, dense, dense_bias, head, head_bias;
  std::vector<std::uint32_t> ids;

  MultiDrawProblem(const Conv2dShape& shape, std::int64_t hidden, std::int64_t classes,
                   std::int64_t images, std::uint32_t draws, bool exact = true)
      : network{shape, hidden, classes} {
    params.noise.seed = 0x0123456789abcdef;
    params.noise.activation = Activation::relu();
    params.first_draw = 1000;
    params.draws = draws;
    params.images = images;
    noise(NoiseDistribution::gaussian);
    const std::int64_t in = network.dense_in();
    const auto values = [&](std::int64_t count, std::uint64_t seed) {
      return exact ? reference::integers(count, 1, seed) : reference::reals(count, seed);
    };
    prefixes = scaled(values(images * row_size(), 1), 4.0f, exact ? 60.0f : 0.0f);
    conv = values(shape.weight_size(), 2);
    dense = values(hidden * in, 3);
    dense_bias = scaled(values(hidden, 4), exact ? 512.0f : 1.0f);
    const float unit = exact ? 1e-5f : 1.0f / static_cast<float>(hidden);
    head = scaled(reference::reals(classes * hidden, 5), unit);
    head_bias = reference::reals(classes, 6);
    for (std::uint32_t i = 0; i < images; ++i) ids.push_back(7 * i + 3);
  }

  std::int64_t row_size() const {
    return network.conv.in_h * network.conv.in_w * network.conv.in_c;
  }
  void noise(NoiseDistribution distribution) {
    params.noise.distribution = distribution;
    params.noise.scale = distribution == NoiseDistribution::gaussian ? 3.0f : 1.0f;
  }
};

/// In int8, of reals, with scales that use the range well and clamp a little.
struct MultiDrawInt8Problem : MultiDrawProblem {
  std::vector<float> scales = {0.08f, 0.4f}, conv_scale, dense_scale, inverse;
  std::vector<std::int8_t> conv_bytes, dense_bytes;

  MultiDrawInt8Problem(const Conv2dShape& shape, std::int64_t hidden, std::int64_t classes,
                       std::int64_t images, std::uint32_t draws)
      : MultiDrawProblem(shape, hidden, classes, images, draws, false) {
    network.in_int8 = true;
    const InferencePlan plan = body();
    inverse = inverse_scales(plan, scales);
    const RoundedWeight of_conv(plan.steps[0], inverse[0]), of_dense(plan.steps[1], inverse[1]);
    conv_scale = of_conv.scale, dense_scale = of_dense.scale;
    conv_bytes = pack_int8_fragments(shape.in_c, shape.kernel_h, shape.out_c, of_conv.weight);
    dense_bytes = pack_int8_fragments(network.dense_in(), 1, hidden, of_dense.weight);
  }

  /// Convolution and dense layer as steps of a plan.
  InferencePlan body() const {
    InferenceStep second = reference::dense_step(dense, dense_bias, Activation::relu());
    second.inputs = {1}, second.outputs = network.hidden;
    return reference::plan_of(
        row_size(), {reference::convolution_step(network.conv, conv, Activation::relu()), second});
  }
};

}  // namespace pixeldp::kernels
