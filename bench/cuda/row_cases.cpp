#include <fmt/format.h>

#include "bench/cuda/layer_cases.hpp"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/grouped_convolution.hpp"

// Compiled for GPUs and for the emulator, whose namespace PIXELDP_DEVICE names.
namespace pixeldp::bench::PIXELDP_DEVICE {
namespace {

namespace on = kernels::PIXELDP_DEVICE;
using namespace kernels;

KernelCase depthwise(std::int64_t rows, std::int64_t side, std::int64_t channels) {
  const GroupedConv2dShape shape{.in_h = side,
                                 .in_w = side,
                                 .in_c = channels,
                                 .out_c = channels,
                                 .groups = channels,
                                 .kernel_h = 3,
                                 .kernel_w = 3,
                                 .pad_h = {1, 1},
                                 .pad_w = {1, 1}};
  const std::int64_t size = side * side * channels;
  return {fmt::format("depthwise convolution 3x3 of {}x{}x{}x{}", rows, side, side, channels),
          "fp32", 2.0 * product({rows, size, shape.taps()}), 8.0 * product({rows, size}),
          [=](Inputs& in) -> Work {
            GroupedSpan span = GroupedSpan::of(shape);
            span.weight = in.random<float>(shape.weight_size());
            span.high = 6.0f;
            const auto* x = in.random<float>(rows * size);
            auto* y = in.zeros<float>(rows * size);
            return [=, stream = in.stream().native()] {
              on::grouped_convolution(stream, span, rows, x, y);
            };
          }};
}

}  // namespace

std::vector<KernelCase> row_operations(std::int64_t rows, std::int64_t side,
                                       std::int64_t channels) {
  const std::int64_t pixels = side * side, size = pixels * channels, all = rows * size;
  const std::string shape = fmt::format(" of {}x{}x{}x{}", rows, side, side, channels);
  const auto passes = [&](const std::string& what, std::function<Work(Inputs&)> prepare) {
    return KernelCase{what + shape, "mixed", 0.0, 8.0 * product({all}), std::move(prepare)};
  };
  return {
      depthwise(rows, side, channels),
      passes("sigmoid",
             [=](Inputs& in) -> Work {
               const PointwiseFunction sigmoid{PointwiseFunction::Kind::sigmoid};
               const auto* x = in.random<float>(all);
               auto* y = in.zeros<float>(all);
               return [=, stream = in.stream().native()] {
                 on::pointwise(stream, sigmoid, all, x, y);
               };
             }),
      passes("selection",
             [=](Inputs& in) -> Work {
               const SelectionRow row{pixels, channels, pixels, channels};
               std::vector<std::int64_t> places;
               for (std::int64_t p = pixels; p-- > 0;) places.push_back(p);
               for (std::int64_t c = 0; c < channels; ++c) places.push_back(c);
               const auto* from = in.copy<std::int64_t>(places);
               const auto* x = in.random<float>(all);
               auto* y = in.zeros<float>(all);
               return [=, stream = in.stream().native()] {
                 on::select(stream, row, rows, from, x, y);
               };
             }),
      passes("channels put side by side",
             [=](Inputs& in) -> Work {
               const auto* x = in.random<float>(all);
               auto* y = in.zeros<float>(2 * all);
               return [=, stream = in.stream().native()] {
                 on::put_channels(stream, rows * pixels, channels, channels, 2 * channels, x, y);
               };
             }),
      passes("factors of channels",
             [=](Inputs& in) -> Work {
               const MultiplicationRow row{pixels, channels};
               const auto* a = in.random<float>(all);
               const auto* b = in.random<float>(rows * channels);
               auto* y = in.zeros<float>(all);
               return
                   [=, stream = in.stream().native()] { on::multiply(stream, row, rows, a, b, y); };
             }),
      passes("max pooling 3x3", [=](Inputs& in) -> Work {
        const WindowPoolShape pool{.in_h = side,
                                   .in_w = side,
                                   .channels = channels,
                                   .out_h = side,
                                   .out_w = side,
                                   .kernel_h = 3,
                                   .kernel_w = 3,
                                   .pad_h = {1, 1},
                                   .pad_w = {1, 1}};
        const auto* x = in.random<float>(all);
        auto* y = in.zeros<float>(all);
        return [=, stream = in.stream().native()] { on::window_pool(stream, pool, rows, x, y); };
      })};
}

}  // namespace pixeldp::bench::PIXELDP_DEVICE
