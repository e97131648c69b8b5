#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/operations.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/moved_arrays.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using Bits = std::uint16_t;
using reference::same, reference::with_padding;

std::vector<Bits> bf16_of(const std::vector<float>& values) {
  std::vector<Bits> result;
  for (const float value : values) result.push_back(reference::to_bf16(value));
  return result;
}

std::int64_t size_of_x(const Conv2dShape& s) { return s.batch * s.in_h * s.in_w * s.in_c; }
std::int64_t size_of_y(const Conv2dShape& s) { return s.batch * s.out_h() * s.out_w() * s.out_c; }

/// The epilogue in host memory; what is empty is left out.
struct WgmmaEnding {
  std::vector<float> scale, shift, residual, next_scale, next_shift;
  bool residual_fp32 = false, with_y = true;
  Activation activation, next_activation;
};

/// y and, where the epilogue has one, what follows it.
template <class Output>
struct Written {
  std::vector<Output> y;
  std::vector<Bits> next;
  bool operator==(const Written&) const = default;
};

template <class Output>
Output narrowed(float value) {
  if constexpr (std::is_same_v<Output, float>)
    return value;
  else
    return reference::to_bf16(value);
}

float activated_by(Activation activation, float y) {
  if (activation.slope == 0.0f) return std::max(0.0f, y);
  return y > 0.0f ? y : y * activation.slope;
}

constexpr std::size_t around = 32;  // sentinels in front of results and behind them
constexpr Bits untouched = 0x4321;

template <class Output>
std::vector<Output> framed_by_sentinels(const std::vector<Output>& values, std::size_t skip) {
  std::vector<Output> frame(values.size() + 2 * around + skip, static_cast<Output>(untouched));
  std::copy(values.begin(), values.end(),
            frame.begin() + static_cast<std::ptrdiff_t>(around + skip));
  return frame;
}

/// What the sums become, by the definition.
template <class Output>
Written<Output> finished(const WgmmaEnding& ending, const std::vector<double>& sums,
                         std::int64_t channels, std::size_t skip = 0) {
  std::vector<Output> y;
  std::vector<Bits> next;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::size_t o = i % static_cast<std::size_t>(channels);
    const float sum =
        std::fma(static_cast<float>(sums[i]), ending.scale.empty() ? 1.0f : ending.scale[o],
                 ending.shift.empty() ? 0.0f : ending.shift[o]);
    const float value = activated_by(ending.activation,
                                     sum + (ending.residual.empty() ? 0.0f : ending.residual[i]));
    y.push_back(ending.with_y ? narrowed<Output>(value) : Output{});
    if (!ending.next_scale.empty()) {
      const float z = ending.next_scale[o] * value + ending.next_shift[o];
      next.push_back(reference::to_bf16(z > 0.0f ? z : ending.next_activation.slope * z));
    }
  }
  return {framed_by_sentinels(y, skip), framed_by_sentinels(next, skip)};
}

template <class Output>
Written<Output> run(const std::vector<ConvPass>& passes, const std::vector<Bits>& x,
                    const std::vector<float>& weight, std::int64_t size,
                    const WgmmaEnding& ending = {}, std::size_t skip = 0) {
  const DeviceArray<Bits> device_x(x), residual(bf16_of(ending.residual));
  const DeviceArray<float> device_weight(weight), residual_fp32(ending.residual);
  const DeviceArray<Bits> packed(
      static_cast<std::size_t>(passes.back().weight_first + passes.back().weight_size()));
  pack_weight(nullptr, passes, device_weight.data(), packed.data());
  const DeviceArray<float> scale(ending.scale), shift(ending.shift), next_scale(ending.next_scale),
      next_shift(ending.next_shift);
  const auto count = static_cast<std::size_t>(size);
  const bool follows = !ending.next_scale.empty();
  const DeviceArray<Output> y(framed_by_sentinels(std::vector<Output>(count), skip));
  const DeviceArray<Bits> next(framed_by_sentinels(std::vector<Bits>(follows ? count : 0), skip));
  ConvEpilogue epilogue;
  if (scale.size() > 0) epilogue.scale = scale.data();
  if (shift.size() > 0) epilogue.shift = shift.data();
  if (residual.size() > 0) {
    if (ending.residual_fp32)
      epilogue.residual_fp32 = residual_fp32.data();
    else
      epilogue.residual = residual.data();
  }
  epilogue.activation = ending.activation;
  if (follows) {
    epilogue.next_scale = next_scale.data(), epilogue.next_shift = next_shift.data();
    epilogue.next_activation = ending.next_activation;
    epilogue.next = next.data() + around + skip;
  }
  for (const ConvPass& pass : passes)
    conv2d_wgmma(nullptr, pass, choose_wgmma_channels(pass, sm_90), device_x.data(), packed.data(),
                 epilogue, ending.with_y ? y.data() + around + skip : nullptr);
  return {y.values(), next.values()};
}

struct WgmmaConvolution {
  Conv2dShape shape;
  std::vector<float> x, weight, dy;

  explicit WgmmaConvolution(const Conv2dShape& s)
      : shape(s),
        x(reference::integers(size_of_x(s), 4, 1)),
        weight(reference::integers(s.weight_size(), 4, 2)),
        dy(reference::integers(size_of_y(s), 4, 3)) {}

  template <class Output>
  bool forward_is_exact(const WgmmaEnding& ending = {}, std::size_t skip = 0) const {
    return run<Output>({ConvPass::forward(shape, 8)}, bf16_of(x), weight, size_of_y(shape), ending,
                       skip) ==
           finished<Output>(ending, reference::conv2d_forward(shape, x, weight), shape.out_c, skip);
  }
  bool backward_data_is_exact() const {
    return run<float>(ConvPass::backward_data(shape, 8), bf16_of(dy), weight, size_of_x(shape)) ==
           finished<float>({}, reference::conv2d_backward_data(shape, dy, weight), shape.in_c);
  }
};

// Images of 32, 16 and 8 pixels, of which one, or a third, of a tile is no image; channels that
// fill no step, or no tile, or take two; rows that fill no tile, and images whose last box they do
// not fill; lopsided and no padding; kernels of 1, 2, 3 and 5; strides of 2.
const std::vector<Conv2dShape> wgmma_shapes = {
    same(1, 32, 32, 64, 160, 3, 1),
    same(1, 16, 16, 80, 128, 3, 1),
    same(2, 16, 16, 160, 320, 1, 1),
    same(5, 8, 8, 64, 160, 3, 1),
    same(3, 8, 8, 144, 156, 3, 1),
    same(1, 28, 28, 64, 122, 1, 1),
    same(6, 7, 7, 96, 98, 3, 1),
    with_padding({2, 14, 13, 64, 128, 2, 3, 1, {}, {}}, {2, 0}, {0, 4}),
    with_padding({3, 10, 12, 64, 120, 5, 3, 1, {}, {}}, {0, 0}, {0, 0}),
    same(2, 32, 32, 64, 128, 3, 2),
    same(5, 16, 16, 80, 160, 1, 2),
    same(1, 16, 15, 64, 160, 3, 2),
    with_padding({1, 18, 41, 64, 128, 2, 5, 2, {}, {}}, {1, 2}, {3, 1})};

TEST_CASE("convolutions by warpgroups equal their definition on integers") {
  const WithSettings with(sm_90);
  for (const Conv2dShape& s : wgmma_shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.in_c);
    CAPTURE(s.out_c);
    const WgmmaConvolution convolution(s);
    CHECK(convolution.forward_is_exact<float>());
  }
  for (const Conv2dShape& s : {same(5, 8, 8, 128, 64, 3, 1), same(1, 16, 16, 160, 80, 1, 1),
                               same(1, 16, 16, 128, 64, 2, 2)})
    CHECK(WgmmaConvolution(s).backward_data_is_exact());
}

TEST_CASE("convolutions by warpgroups are exact under every schedule") {
  const WithSettings with(sm_90);
  const WgmmaConvolution convolution(same(5, 8, 8, 80, 156, 3, 1)),
      narrow(same(1, 16, 16, 64, 128, 2, 1));
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with_schedule(schedule);
    CAPTURE(schedule.name());
    CHECK(convolution.forward_is_exact<Bits>());
    CHECK(narrow.forward_is_exact<Bits>());
  }
}

// Clusters: halves of rows, of images and, strided, of both parities; the last box of which half
// are no images; weights that end within the second half, of an odd number of tiles; steps of all
// slots several times, so that blocks could run ahead of each other.
const std::pair<Conv2dShape, WgmmaShared> shared_shapes[] = {
    {same(1, 16, 16, 80, 320, 3, 1), WgmmaShared::x},
    {same(6, 8, 8, 64, 300, 2, 1), WgmmaShared::x},
    {same(1, 32, 32, 64, 256, 3, 2), WgmmaShared::x},
    {same(5, 8, 8, 80, 130, 3, 1), WgmmaShared::weight},
    {same(2, 16, 16, 64, 384, 2, 1), WgmmaShared::weight},
    {same(2, 14, 14, 80, 250, 2, 1), WgmmaShared::weight}};

TEST_CASE("blocks that make several tiles are exact under every schedule") {
  // Tiles of two, three, four, five and eight steps in rings of four slots; with and without
  // clusters; of 3, 5 and 4 tiles a block.
  Arch arch = sm_90;
  arch.multiprocessors = 2;
  const WithSettings with(arch);
  for (const Conv2dShape& s : {same(5, 16, 16, 128, 128, 1, 1), same(5, 16, 16, 192, 160, 1, 1),
                               same(3, 16, 16, 64, 320, 2, 1), same(9, 16, 16, 304, 128, 1, 1),
                               same(2, 32, 32, 128, 120, 2, 1), same(13, 8, 8, 96, 300, 2, 1)}) {
    CAPTURE(s.in_c);
    CAPTURE(s.batch);
    WgmmaEnding ending;
    ending.residual = reference::integers(size_of_y(s), 100, 6);
    const WgmmaConvolution convolution(s);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with_schedule(schedule);
      CAPTURE(schedule.name());
      CHECK(convolution.forward_is_exact<Bits>(ending));
    }
  }
  Settings checked = settings();
  checked.check_accesses = true;
  const WithSettings with_checks(checked);
  for (const Conv2dShape& s : {same(5, 16, 16, 128, 128, 1, 1), same(3, 16, 16, 64, 320, 2, 1)})
    CHECK(WgmmaConvolution(s).forward_is_exact<Bits>());
}

TEST_CASE("convolutions by clusters are exact under every schedule, with checks of all accesses") {
  const WithSettings with(sm_90);
  for (const auto& [shape, shared] : shared_shapes) {
    CAPTURE(shape.in_h);
    CAPTURE(shape.out_c);
    const ConvPass pass = ConvPass::forward(shape, 8);
    CHECK(choose_wgmma_shared(pass, choose_wgmma_channels(pass, sm_90)) == shared);
    const WgmmaConvolution convolution(shape);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with_schedule(schedule);
      CAPTURE(schedule.name());
      CHECK(convolution.forward_is_exact<Bits>());
    }
  }
  Settings checked = settings();
  checked.check_accesses = true;
  const WithSettings with_checks(checked);
  for (const auto& [shape, shared] : {shared_shapes[1], shared_shapes[3]})
    CHECK(WgmmaConvolution(shape).forward_is_exact<Bits>());
}

TEST_CASE("scale, shift, residual, activation and what follows, by warpgroups") {
  const WithSettings with(sm_90);
  for (const Conv2dShape& s : {same(3, 8, 8, 64, 160, 1, 1), same(3, 8, 8, 64, 154, 1, 1)}) {
    const WgmmaConvolution convolution(s);
    WgmmaEnding ending;
    for (const int parts : {1, 2, 4, 12, 23, 31, 63}) {
      const auto has = [parts](int part) { return (parts & part) != 0; };
      ending.scale = has(1) ? reference::integers(s.out_c, 3, 4) : std::vector<float>();
      ending.shift = has(2) ? reference::integers(s.out_c, 100, 5) : std::vector<float>();
      ending.residual = has(4) ? reference::integers(size_of_y(s), 100, 6) : std::vector<float>();
      ending.residual_fp32 = has(8);
      ending.next_scale = has(16) ? reference::reals(s.out_c, 7) : std::vector<float>();
      ending.next_shift = has(16) ? reference::reals(s.out_c, 8) : std::vector<float>();
      ending.next_activation = Activation::leaky_relu(0.25f);
      ending.with_y = !has(32);
      ending.activation.slope = has(2) ? 0.0f : has(1) ? 0.25f : 1.0f;
      for (const std::size_t skip : {0, 1}) {
        CAPTURE(parts);
        CAPTURE(skip);
        CAPTURE(s.out_c);
        CHECK(convolution.forward_is_exact<Bits>(ending, skip));
        CHECK(convolution.forward_is_exact<float>(ending, skip));
      }
    }
  }
}

TEST_CASE("a pixel's bits do not depend on the other images, and are those of other kernels") {
  const WithSettings with(sm_90);
  // All images by clusters, each alone by none, but for the last.
  for (const Conv2dShape& s : {same(6, 8, 8, 80, 160, 3, 1), same(3, 16, 16, 64, 128, 3, 2),
                               same(2, 16, 16, 80, 320, 2, 1)}) {
    const auto x = bf16_of(reference::reals(size_of_x(s), 9));
    const auto weight = reference::reals(s.weight_size(), 10);
    const std::vector<ConvPass> pass = {ConvPass::forward(s, 8)};
    const std::vector<float> all = run<float>(pass, x, weight, size_of_y(s)).y;
    Conv2dShape one = s;
    one.batch = 1;
    const auto at = [](const std::vector<Bits>& values, std::int64_t i) {
      return values.begin() + static_cast<std::ptrdiff_t>(i);
    };
    for (std::int64_t n = 0; n < s.batch; ++n) {
      const std::vector<Bits> image(at(x, n * size_of_x(one)), at(x, (n + 1) * size_of_x(one)));
      const auto alone = run<float>({ConvPass::forward(one, 8)}, image, weight, size_of_y(one)).y;
      CHECK(std::equal(alone.begin() + around, alone.end() - around,
                       all.begin() + static_cast<std::ptrdiff_t>(
                                         around + static_cast<std::size_t>(n * size_of_y(one)))));
    }
    // The emulator rounds once for 16 products, by either instruction.
    const DeviceArray<Bits> device_x(x), packed(static_cast<std::size_t>(pass[0].weight_size()));
    const DeviceArray<float> device_weight(weight), y(static_cast<std::size_t>(size_of_y(s)));
    pack_weight(nullptr, pass, device_weight.data(), packed.data());
    conv2d_gemm(nullptr, pass[0], conv_tiles[0], device_x.data(), packed.data(), {}, y.data());
    CHECK(framed_by_sentinels(y.values(), 0) == all);
  }
}

TEST_CASE("operations go by warpgroups where the device has them, with the same results") {
  const Conv2dShape s = same(2, 8, 8, 128, 160, 3, 1);
  const WgmmaConvolution convolution(s);
  const DeviceArray<float> x(convolution.x), weight(convolution.weight), dy(convolution.dy);
  const auto forward = [&] {
    const DeviceArray<float> y(dy.size());
    emulated::conv2d_forward(test_stream(), s, Precision::bf16, x.data(), weight.data(), y.data());
    return y.values();
  };
  const auto backward = [&] {
    const DeviceArray<float> dx(x.size());
    emulated::conv2d_backward_data(test_stream(), s, Precision::bf16, dy.data(), weight.data(),
                                   dx.data());
    return dx.values();
  };
  const auto exact_y = reference::conv2d_forward(s, convolution.x, convolution.weight);
  const auto exact_dx = reference::conv2d_backward_data(s, convolution.dy, convolution.weight);
  for (const Arch& arch : {sm_80, sm_90}) {
    const WithSettings with(arch);
    CHECK(forward() == std::vector<float>(exact_y.begin(), exact_y.end()));
    CHECK(backward() == std::vector<float>(exact_dx.begin(), exact_dx.end()));
  }
  Arch small = sm_90;  // which has no room for these tiles
  small.shared_per_block = least_shared_per_block;
  const WithSettings with(small);
  CHECK_FAILS(forward(), "conv2d_wgmma_kernel<160");
  CHECK_FAILS(backward(), "conv2d_wgmma_kernel<128");
}

TEST_CASE("no bank conflicts in the epilogue by warpgroups") {
  const WgmmaConvolution convolution(same(1, 16, 16, 64, 160, 1, 1)),
      narrow(same(1, 16, 16, 64, 128, 1, 1));
  Settings counting = settings();
  counting.arch = sm_90;
  counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  reset_bank_tally();
  CHECK(convolution.forward_is_exact<Bits>());
  CHECK(narrow.forward_is_exact<Bits>());
  // A value of 8 bytes per lane is served by half warps, one of 16 bytes by quarters.
  CHECK(bank_tally().phases == 256 * (160 + 128) / 2 / 16 + 256 * (160 + 128) / 4 / 8);
  CHECK(bank_tally().conflicts == 0);
}

}  // namespace

namespace moved {

TEST_CASE("every pointer of a convolution by warpgroups may lie at any element, or is refused") {
  const WithSettings with(sm_90);
  const Conv2dShape shape = reference::same(1, 8, 8, 64, 120, 1, 1);
  const std::int64_t inputs = 8 * 8 * 64, outputs = 8 * 8 * 120;
  const ConvPass pass = ConvPass::forward(shape, 8);
  check(
      "conv2d_wgmma",
      {halves(inputs), halves(shape.weight_size(), 2), floats(120, 3), floats(120, 4),
       halves(outputs, 5), floats(120, 6), floats(120, 7), halves(outputs, 8), halves(outputs, 9)},
      [&](const Stream& s, const Pointers& p) {
        const std::uint16_t *const x = p[0], *const weight = p[1];
        ConvEpilogue epilogue;
        epilogue.scale = p[2], epilogue.shift = p[3], epilogue.residual = p[4];
        epilogue.next_scale = p[5], epilogue.next_shift = p[6], epilogue.next = p[7];
        std::uint16_t* const y = p[8];
        conv2d_wgmma(s.native(), pass, 128, x, weight, epilogue, y);
      },
      {0, 1});
}

}  // namespace moved
}  // namespace pixeldp::kernels::emulated
