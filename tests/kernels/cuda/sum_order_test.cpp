#include <algorithm>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/operations.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/multi_draw_problem.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"

/// Sums whose order the kernels promise, bit by bit, on reals: in another order other bits would
/// come out. (Of integers all orders have the same.)
namespace pixeldp::kernels::emulated {
namespace {

using reference::reals, reference::same;
using Bits = std::uint16_t;

float to_float(Bits bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// A sum on tensor cores: of some products at a time, which are exact, and rounded once.
class MmaSum {
 public:
  explicit MmaSum(int depth) : depth_(depth) {}

  void add(float a, float b) {
    group_ += static_cast<double>(a) * static_cast<double>(b);
    if (++count_ == depth_) round();
  }
  /// What follows begins a group.
  void round() {
    sum_ = static_cast<float>(group_ + static_cast<double>(sum_));
    group_ = 0.0, count_ = 0;
  }
  float value() {
    if (count_ > 0) round();
    return sum_;
  }

 private:
  int depth_, count_ = 0;
  double group_ = 0.0;
  float sum_ = 0.0f;
};

/// Operands as a tensor core sees them.
template <class Element>
struct Operand {
  static constexpr int depth = 2 * chunk_of<Element>;  // products of an mma

  static Element from(float value) {
    if constexpr (std::is_same_v<Element, float>)
      return value;
    else
      return reference::to_bf16(value);
  }
  static float seen(Element element) {
    if constexpr (std::is_same_v<Element, float>)
      return std::bit_cast<float>(emulator::to_tf32(element));
    else
      return to_float(element);
  }
};

/// Random reals, channels filled up to whole chunks.
template <class Element>
std::vector<Element> operands(std::int64_t pixels, std::int64_t channels, std::uint64_t seed) {
  std::vector<Element> result;
  for (const float value :
       reference::filled(channels, chunk_of<Element>, reals(pixels * channels, seed)))
    result.push_back(Operand<Element>::from(value));
  return result;
}

/// What the passes make of x, in the order (r, s, c).
template <class Element>
std::vector<float> in_order(const std::vector<ConvPass>& passes, const std::vector<Element>& x,
                            const std::vector<Element>& weight, std::int64_t size) {
  std::vector<float> y(static_cast<std::size_t>(size));
  const auto at = [](const std::vector<Element>& values, std::int64_t i) {
    return Operand<Element>::seen(values[static_cast<std::size_t>(i)]);
  };
  for (const ConvPass& pass : passes)
    for (std::int64_t n = 0; n < pass.batch; ++n)
      for (std::int64_t p = 0; p < pass.out_h; ++p)
        for (std::int64_t q = 0; q < pass.out_w; ++q)
          for (std::int64_t o = 0; o < pass.out_c; ++o) {
            MmaSum sum(Operand<Element>::depth);
            for (std::int64_t r = 0; r < pass.kernel_h; ++r)
              for (std::int64_t s = 0; s < pass.kernel_w; ++s)
                for (std::int64_t c = 0; c < pass.in_c; ++c) {
                  const std::int64_t h = p * pass.stride - pass.pad_h + r,
                                     w = q * pass.stride - pass.pad_w + s;
                  const bool inside = h >= 0 && h < pass.in_h && w >= 0 && w < pass.in_w;
                  const std::int64_t tap = (o * pass.kernel_h + r) * pass.kernel_w + s;
                  const std::int64_t pixel = (n * pass.in_h + h) * pass.in_w + w;
                  sum.add(inside ? at(x, pixel * pass.in_c + c) : 0.0f,
                          at(weight, pass.weight_first + tap * pass.in_c + c));
                }
            y[static_cast<std::size_t>(pass.first + n * pass.image + p * pass.row +
                                       q * pass.column + o)] = sum.value();
          }
  return y;
}

template <class Element>
void check_order(const std::vector<ConvPass>& passes, std::int64_t weight_size, std::int64_t size) {
  const ConvPass& any = passes[0];
  const auto x = operands<Element>(any.batch * any.in_h * any.in_w, any.channels, 1);
  const DeviceArray<float> unpacked(reals(weight_size, 2)), y(static_cast<std::size_t>(size));
  const DeviceArray<Element> device_x(x),
      packed(static_cast<std::size_t>(passes.back().weight_first + passes.back().weight_size()));
  pack_weight(nullptr, passes, unpacked.data(), packed.data());
  const std::vector<float> expected = in_order(passes, x, packed.values(), size);
  for (const ConvTile& tile : conv_tiles) {
    CAPTURE(tile.m);
    for (const ConvPass& pass : passes)
      conv2d_gemm(nullptr, pass, tile, device_x.data(), packed.data(), {}, y.data());
    CHECK(y.values() == expected);
  }
}

TEST_CASE("sums of tensor-core convolutions run over (r, s, c)") {
  // Chunks of all taps that are a multiple of a step, and that are not.
  for (const Conv2dShape& s : {same(2, 5, 6, 32, 12, 3, 1), same(1, 7, 5, 24, 20, 3, 2)}) {
    const std::int64_t inputs = s.batch * s.in_h * s.in_w * s.in_c,
                       outputs = s.batch * s.out_h() * s.out_w() * s.out_c;
    check_order<Bits>({ConvPass::forward(s, 8)}, s.weight_size(), outputs);
    check_order<float>({ConvPass::forward(s, 4)}, s.weight_size(), outputs);
    check_order<Bits>(ConvPass::backward_data(s, 8), s.weight_size(), inputs);
    check_order<float>(ConvPass::backward_data(s, 4), s.weight_size(), inputs);
  }
}

/// Operands of a gradient in a weight, and the product of one pixel.
template <class Element>
struct WeightOperands {
  Conv2dShape shape;
  std::int64_t pixels;
  std::vector<Element> x, dy;

  explicit WeightOperands(const Conv2dShape& s)
      : shape(s),
        pixels(s.batch * s.out_h() * s.out_w()),
        x(operands<Element>(s.batch * s.in_h * s.in_w, s.in_c, 1)),
        dy(operands<Element>(pixels, s.out_c, 2)) {}

  /// Adds that of pixel i for channels o and c at tap (r, t).
  void add(MmaSum& sum, std::int64_t i, std::int64_t o, std::int64_t c, std::int64_t r,
           std::int64_t t) const {
    const Conv2dShape& s = shape;
    const auto at = [](const std::vector<Element>& values, std::int64_t index) {
      return Operand<Element>::seen(values[static_cast<std::size_t>(index)]);
    };
    const std::int64_t n = i / (s.out_h() * s.out_w()),
                       h = i / s.out_w() % s.out_h() * s.stride + r - s.pad_h.before,
                       w = i % s.out_w() * s.stride + t - s.pad_w.before;
    const bool inside = h >= 0 && h < s.in_h && w >= 0 && w < s.in_w;
    sum.add(at(dy, i * filled_channels<Element>(s.out_c) + o),
            inside ? at(x, ((n * s.in_h + h) * s.in_w + w) * filled_channels<Element>(s.in_c) + c)
                   : 0.0f);
  }
};

/// For each element of dweight, sum_of(o, c, r, t).
template <class F>
std::vector<float> for_each_weight(const Conv2dShape& s, const F& sum_of) {
  std::vector<float> results;
  for (std::int64_t o = 0; o < s.out_c; ++o)
    for (std::int64_t c = 0; c < s.in_c; ++c)
      for (std::int64_t r = 0; r < s.kernel_h; ++r)
        for (std::int64_t t = 0; t < s.kernel_w; ++t) results.push_back(sum_of(o, c, r, t));
  return results;
}

template <class Element>
void check_weight_order(const Conv2dShape& s, unsigned splits) {
  const ConvWeightPlan plan = ConvWeightPlan::make(s, chunk_of<Element>);
  CHECK(plan.splits == splits);
  const WeightOperands<Element> in(s);
  const std::vector<float> expected = for_each_weight(s, [&](auto o, auto c, auto r, auto t) {
    float total = 0.0f;
    for (std::int64_t first = 0; first < plan.pixels; first += plan.split_pixels) {
      MmaSum sum(Operand<Element>::depth);
      for (std::int64_t i = first; i < std::min(first + plan.split_pixels, plan.pixels); ++i)
        in.add(sum, i, o, c, r, t);
      total = first == 0 ? sum.value() : total + sum.value();
    }
    return total;
  });
  const DeviceArray<Element> device_x(in.x), device_dy(in.dy);
  const DeviceArray<float> workspace(static_cast<std::size_t>(plan.workspace_size())),
      dweight(static_cast<std::size_t>(s.weight_size()));
  conv2d_gemm_backward_weight(nullptr, s, device_x.data(), device_dy.data(), workspace.data(),
                              dweight.data());
  CHECK(dweight.values() == expected);
}

TEST_CASE("sums of gradients in weights run over pixels, then over splits") {
  check_weight_order<Bits>(same(5, 16, 15, 8, 16, 1, 1), 2);
  check_weight_order<float>(same(5, 16, 15, 8, 16, 1, 1), 4);
  check_weight_order<Bits>(same(13, 16, 15, 3, 5, 3, 2), 1);
  check_weight_order<float>(same(13, 16, 15, 3, 5, 3, 2), 3);
}

TEST_CASE("sums of gradients by warpgroups run over boxes of pixels, then over splits") {
  const WithSettings with(sm_90);
  // Boxes of 49 pixels, and of two rows of 25, each filled up to 64.
  for (const Conv2dShape& s : {same(37, 7, 7, 5, 9, 2, 1), same(3, 26, 25, 4, 6, 1, 1)}) {
    const WgmmaWeightTile tile = wgmma_weight_tiles[3];
    const ConvWgmmaWeightPlan plan = ConvWgmmaWeightPlan::make(s, tile);
    CHECK(plan.splits == 4);
    CHECK(plan.box.images == 1);
    const WeightOperands<Bits> in(s);
    const std::vector<float> expected = for_each_weight(s, [&](auto o, auto c, auto r, auto t) {
      float total = 0.0f;
      for (int first = 0; first < plan.boxes; first += plan.split_boxes) {
        MmaSum sum(16);
        for (int box = first; box < std::min(first + plan.split_boxes, plan.boxes); ++box) {
          for (int i = 0; i < plan.box.pixels(); ++i)
            in.add(sum, box * plan.box.pixels() + i, o, c, r, t);
          sum.round();
        }
        total = first == 0 ? sum.value() : total + sum.value();
      }
      return total;
    });
    const DeviceArray<Bits> device_x(in.x), device_dy(in.dy);
    const DeviceArray<float> partial(static_cast<std::size_t>(plan.sums().size())),
        dweight(static_cast<std::size_t>(s.weight_size()));
    conv2d_wgmma_weight_sums(nullptr, s, tile, device_x.data(), device_dy.data(), partial.data());
    add_weight_splits(nullptr, plan.sums(), partial.data(), dweight.data());
    CHECK(dweight.values() == expected);
  }
}

/// The multi-draw kernel's order: over kernel rows, 16 channels, then taps of equal residue modulo
/// the stride; the dense layer's over (h, w, c).
MultiDrawStatistics in_order(const MultiDrawProblem& problem) {
  const Conv2dShape& s = problem.network.conv;
  const std::int64_t row = problem.row_size(), hidden = problem.network.hidden,
                     dense_in = problem.network.dense_in();
  const std::int64_t count = problem.params.images * problem.params.draws;
  std::vector<float> noised(as_size(row)), features(as_size(dense_in));
  std::vector<float> hidden_units;
  std::vector<std::int64_t> row_image;
  const auto rounded = [](float value) { return to_float(reference::to_bf16(value)); };
  const auto relu = [](float value) { return value > 0.0f ? value : 0.0f; };
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t image = i / problem.params.draws;
    row_image.push_back(image);
    const NoiseRow noise_row = {
        image, problem.ids[as_size(image)],
        problem.params.first_draw + static_cast<std::uint32_t>(i % problem.params.draws)};
    kernels::add_noise(Stream(), problem.params.noise, &noise_row, 1, row, problem.prefixes.data(),
                       noised.data());
    for (float& value : noised) value = rounded(value);
    for (std::int64_t p = 0; p < s.out_h(); ++p)
      for (std::int64_t q = 0; q < s.out_w(); ++q)
        for (std::int64_t o = 0; o < s.out_c; ++o) {
          MmaSum sum(16);
          for (std::int64_t r = 0; r < s.kernel_h; ++r)
            for (std::int64_t block = 0; block < s.in_c; block += 16)
              for (std::int64_t residue = 0; residue < s.stride; ++residue)
                for (std::int64_t t = residue; t < s.kernel_w; t += s.stride) {
                  const std::int64_t h = p * s.stride + r - s.pad_h.before,
                                     w = q * s.stride + t - s.pad_w.before;
                  if (h < 0 || h >= s.in_h || w < 0 || w >= s.in_w) continue;
                  for (std::int64_t c = block; c < block + 16; ++c)
                    sum.add(noised[as_size((h * s.in_w + w) * s.in_c + c)],
                            rounded(problem.conv[as_size(
                                ((o * s.in_c + c) * s.kernel_h + r) * s.kernel_w + t)]));
                }
          features[as_size((p * s.out_w() + q) * s.out_c + o)] = rounded(relu(sum.value()));
        }
    for (std::int64_t unit = 0; unit < hidden; ++unit) {
      MmaSum sum(16);
      for (std::int64_t k = 0; k < dense_in; ++k)
        sum.add(features[as_size(k)], rounded(problem.dense[as_size(unit * dense_in + k)]));
      hidden_units.push_back(relu(sum.value() + problem.dense_bias[as_size(unit)]));
    }
  }
  MultiDrawStatistics result(problem.params.images * problem.network.classes);
  kernels::draw_statistics(Stream(), {count, hidden, problem.network.classes}, hidden_units.data(),
                           problem.head.data(), problem.head_bias.data(), row_image.data(),
                           result.votes.data(), result.sums.data(), result.squares.data());
  return result;
}

TEST_CASE("sums of the multi-draw kernel run in the order that it states") {
  const MultiDrawProblem problem(small_convolution(), 128, 10, 2, 5, false);
  const MultiDrawStatistics expected = in_order(problem);
  const DeviceArray<float> conv(problem.conv), dense(problem.dense), bias(problem.dense_bias),
      head(problem.head), head_bias(problem.head_bias), prefixes(problem.prefixes);
  const DeviceArray<std::uint32_t> ids(problem.ids);
  const WithSettings with(sm_90);
  for (const int block_draws : {16, 32, MultiDrawCluster::draws}) {
    CAPTURE(block_draws);
    const MultiDrawStatistics before(problem.params.images * problem.network.classes);
    const DeviceArray<std::uint64_t> votes(before.votes), sums(before.sums),
        squares(before.squares), bad(std::vector<std::uint64_t>{no_bad_row});
    pack_multi_draw(test_stream(), problem.network,
                    {conv.data(), dense.data(), bias.data(), head.data(), head_bias.data()},
                    block_draws)
        ->run(problem.params, prefixes.data(), ids.data(), votes.data(), sums.data(),
              squares.data(), bad.data());
    CHECK(votes.values() == expected.votes);
    CHECK(sums.values() == expected.sums);
    CHECK(squares.values() == expected.squares);
  }
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
