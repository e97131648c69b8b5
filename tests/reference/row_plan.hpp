#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "kernels/grouped_convolution.hpp"
#include "kernels/inference.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/rearrangement.hpp"
#include "kernels/row_products.hpp"
#include "kernels/window_pool.hpp"
#include "tests/reference/values.hpp"

namespace pixeldp::reference {

/// Every row operation that devices have, on images of 6x6x16. With products a convolution comes
/// first, so that bf16 and bytes are read, and a dense layer last.
inline kernels::InferencePlan row_plan(bool with_products) {
  using namespace kernels;
  using Function = PointwiseFunction;
  using Kind = InferenceStep::Kind;
  constexpr std::int64_t side = 6, pixels = side * side, channels = 16;
  InferencePlan plan(pixels * channels);
  const auto add = [&](std::shared_ptr<const RowOperation> operation, std::vector<int> inputs) {
    return plan.add({.kind = Kind::operation,
                     .name = "operation",
                     .inputs = std::move(inputs),
                     .operation = std::move(operation)});
  };
  int x = 0;
  if (with_products)
    x = plan.add({.name = "conv",
                  .inputs = {x},
                  .convolution = {.batch = 1,
                                  .in_h = side,
                                  .in_w = side,
                                  .in_c = channels,
                                  .out_c = channels,
                                  .kernel_h = 3,
                                  .kernel_w = 3,
                                  .pad_h = {1, 1},
                                  .pad_w = {1, 1}},
                  .weight = reals(9 * channels * channels, 1),
                  .scale = std::vector<float>(channels, 0.2f),
                  .shift = reals(channels, 2)});
  std::vector<int> side_by_side;
  for (const Function& function :
       {Function{Function::Kind::clamp, -0.25f, 0.75f}, Function{Function::Kind::sigmoid},
        Function{Function::Kind::tanh}, Function{Function::Kind::elu, 0.5f},
        Function{Function::Kind::hard_sigmoid, 0.2f, 0.5f}, Function{Function::Kind::hard_swish}})
    side_by_side.push_back(add(std::make_shared<Pointwise>(function, pixels * channels), {x}));

  // Depthwise with what usually follows it, in the same pass once folded.
  const GroupedConv2dShape depthwise{.in_h = side,
                                     .in_w = side,
                                     .in_c = channels,
                                     .out_c = channels,
                                     .groups = channels,
                                     .kernel_h = 3,
                                     .kernel_w = 3,
                                     .pad_h = {1, 1},
                                     .pad_w = {1, 1}};
  int deep = add(std::make_shared<GroupedConvolution>(depthwise, reals(9 * channels, 3)), {x});
  deep = plan.add({.kind = Kind::scaling,
                   .name = "scale",
                   .inputs = {deep},
                   .activation = {0.1f},
                   .outputs = channels,
                   .scale = reals(channels, 4),
                   .shift = reals(channels, 5)});
  const Function limits{Function::Kind::clamp, -0.5f, 6.0f};
  side_by_side.push_back(add(std::make_shared<Pointwise>(limits, pixels * channels), {deep}));
  const std::int64_t all = channels * std::ssize(side_by_side);
  const std::vector<std::int64_t> parts(side_by_side.size(), channels);
  const int joined = add(std::make_shared<Concatenation>(pixels, parts), side_by_side);

  // Windows that end beyond the image, and padding that counts.
  WindowPoolShape pool{.in_h = side,
                       .in_w = side,
                       .channels = all,
                       .out_h = 3,
                       .out_w = 4,
                       .kernel_h = 3,
                       .kernel_w = 2,
                       .stride_h = 2,
                       .stride_w = 2,
                       .dilation_h = 2,
                       .pad_h = {1, 1},
                       .pad_w = {1, 0}};
  const int largest = add(std::make_shared<WindowPool>(pool), {joined});
  pool.kind = WindowPoolShape::Kind::average;
  const int mean = add(std::make_shared<WindowPool>(pool), {joined});
  pool.count_padding = true;
  const int mean_of_all = add(std::make_shared<WindowPool>(pool), {joined});
  int product = add(std::make_shared<Multiplication>(1, 12 * all), {largest, mean});
  product = add(std::make_shared<Multiplication>(1, 12 * all), {product, mean_of_all});

  const GroupedConv2dShape grouped{.in_h = 3,
                                   .in_w = 4,
                                   .in_c = all,
                                   .out_c = 14,
                                   .groups = 7,
                                   .kernel_h = 2,
                                   .kernel_w = 3,
                                   .stride_w = 2,
                                   .dilation_h = 2,
                                   .pad_h = {0, 1},
                                   .pad_w = {1, 2}};
  const int last = add(
      std::make_shared<GroupedConvolution>(grouped, reals(grouped.weight_size(), 6)), {product});
  SelectionMap map{.in_pixels = grouped.out_h() * grouped.out_w(),
                   .in_channels = 14,
                   .pixels = {2, -1, 0, 0},
                   .channels = {13, 2, -1, 7},
                   .fill = 0.5f};
  const int chosen = add(std::make_shared<Selection>(map), {last});
  map.pixels = {1};
  const int factors = add(std::make_shared<Selection>(map), {last});
  const int made = add(std::make_shared<Multiplication>(4, 4), {chosen, factors});
  if (with_products)
    plan.add({.kind = Kind::dense,
              .name = "fc",
              .inputs = {made},
              .outputs = 7,
              .weight = reals(7 * 16, 7),
              .shift = reals(7, 8)});
  return plan;
}

}  // namespace pixeldp::reference
