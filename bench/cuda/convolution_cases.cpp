#include <fmt/format.h>

#include "bench/cuda/layer_cases.hpp"
#include "engine/error.hpp"
#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/cuda/operations.hpp"

// Compiled for GPUs and for the emulator, whose namespace PIXELDP_DEVICE names.
namespace pixeldp::bench::PIXELDP_DEVICE {
namespace {

namespace on = kernels::PIXELDP_DEVICE;
using namespace kernels;

std::string name(const Conv2dShape& s) {
  return fmt::format("{}x{}x{}x{}, {} kernels {}x{}, stride {}", s.batch, s.in_h, s.in_w, s.in_c,
                     s.out_c, s.kernel_h, s.kernel_w, s.stride);
}

struct Sizes {
  std::int64_t x, y, weight;
  explicit Sizes(const Conv2dShape& s)
      : x(s.batch * s.in_h * s.in_w * s.in_c),
        y(s.batch * s.out_h() * s.out_w() * s.out_c),
        weight(s.weight_size()) {}
};

double operations(const Conv2dShape& s) { return 2.0 * product({s.batch, s.multiply_adds()}); }

/// Operands in bf16 or, Element = float, in tf32.
template <class Element>
const char* const unit_of = sizeof(Element) == 2 ? "bf16" : "tf32";

template <class Element, class Output>
KernelCase forward(const Conv2dShape& s) {
  const Sizes size(s);
  return {fmt::format("convolution {}, {} to {}", name(s), unit_of<Element>,
                      sizeof(Output) == 2 ? "bf16" : "fp32"),
          unit_of<Element>, operations(s),
          static_cast<double>(size.x + size.weight) * sizeof(Element) +
              static_cast<double>(size.y) * sizeof(Output),
          [=](Inputs& in) -> Work {
            const ConvPass pass = ConvPass::forward(s, chunk_of<Element>);
            const ConvTile tile =
                choose_conv_tile(pass, chunk_of<Element>, arch_of(in.stream().device()));
            const auto* x = in.random<Element>(size.x);
            const auto* weight = in.random<Element>(size.weight);
            auto* y = in.zeros<Output>(size.y);
            return [=, stream = in.stream().native()] {
              on::conv2d_gemm(stream, pass, tile, x, weight, {}, y);
            };
          }};
}

/// The second convolution of a residual unit, with the sum and the next unit's batch norm in its
/// epilogue.
KernelCase end_of_unit(const Conv2dShape& s) {
  const Sizes size(s);
  using Element = std::uint16_t;
  return {"end of a residual unit, " + name(s), "bf16", operations(s),
          2.0 * static_cast<double>(size.x + size.weight + 3 * size.y), [=](Inputs& in) -> Work {
            const ConvPass pass = ConvPass::forward(s, chunk_of<Element>);
            const ConvTile tile =
                choose_conv_tile(pass, chunk_of<Element>, arch_of(in.stream().device()));
            const auto* x = in.random<Element>(size.x);
            const auto* weight = in.random<Element>(size.weight);
            auto* y = in.zeros<Element>(size.y);
            const ConvEpilogue epilogue{.residual = in.random<Element>(size.y),
                                        .next_scale = in.random<float>(s.out_c),
                                        .next_shift = in.random<float>(s.out_c),
                                        .next_activation = Activation::leaky_relu(0.1f),
                                        .next = in.zeros<Element>(size.y)};
            return [=, stream = in.stream().native()] {
              on::conv2d_gemm(stream, pass, tile, x, weight, epilogue, y);
            };
          }};
}

/// The same by warpgroups.
template <class Output>
KernelCase by_warpgroups(const Conv2dShape& s) {
  const Sizes size(s);
  using Element = std::uint16_t;
  KernelCase made = {fmt::format("end of a residual unit by warpgroups, {}{}", name(s),
                                 sizeof(Output) == 2 ? "" : ", to fp32"),
                     "bf16", operations(s),
                     2.0 * static_cast<double>(size.x + size.weight + 2 * size.y) +
                         static_cast<double>(size.y) * sizeof(Output),
                     [=](Inputs& in) -> Work {
                       const ConvPass pass = ConvPass::forward(s, chunk_of<Element>);
                       const auto* x = in.random<Element>(size.x);
                       const auto* weight = in.random<Element>(size.weight);
                       auto* y = in.zeros<Output>(size.y);
                       const ConvEpilogue epilogue{.residual = in.random<Element>(size.y),
                                                   .next_scale = in.random<float>(s.out_c),
                                                   .next_shift = in.random<float>(s.out_c),
                                                   .next_activation = Activation::leaky_relu(0.1f),
                                                   .next = in.zeros<Element>(size.y)};
                       return [=, stream = in.stream().native()] {
                         on::conv2d_wgmma(stream, pass, choose_wgmma_channels(pass, sm_90), x,
                                          weight, epilogue, y);
                       };
                     }};
  made.warpgroups = true;
  return made;
}

KernelCase data_gradient(const Conv2dShape& s) {
  const Sizes size(s);
  using Element = std::uint16_t;
  return {"gradient in x, " + name(s), "bf16", operations(s),
          2.0 * static_cast<double>(size.x + size.weight + size.y), [=](Inputs& in) -> Work {
            const auto* dy = in.random<Element>(size.y);
            const auto* weight = in.random<Element>(size.weight);
            auto* dx = in.zeros<Element>(size.x);
            return [=, arch = arch_of(in.stream().device()), stream = in.stream().native()] {
              for (const ConvPass& pass : ConvPass::backward_data(s, chunk_of<Element>)) {
                const ConvTile tile = choose_conv_tile(pass, chunk_of<Element>, arch);
                on::conv2d_gemm(stream, pass, tile, dy, weight, {}, dx);
              }
            };
          }};
}

template <class Element>
KernelCase weight_gradient(const Conv2dShape& s) {
  const Sizes size(s);
  return {fmt::format("gradient in the weight, {}, {}", name(s), unit_of<Element>),
          unit_of<Element>, operations(s),
          static_cast<double>(size.x + size.y) * sizeof(Element) +
              4.0 * static_cast<double>(size.weight),
          [=](Inputs& in) -> Work {
            const ConvWeightPlan plan = ConvWeightPlan::make(s, chunk_of<Element>);
            const auto* x = in.random<Element>(size.x);
            const auto* dy = in.random<Element>(size.y);
            auto* workspace = in.zeros<float>(plan.workspace_size());
            auto* dweight = in.zeros<float>(size.weight);
            return [=, stream = in.stream().native()] {
              on::conv2d_gemm_backward_weight(stream, s, x, dy, workspace, dweight);
            };
          }};
}

/// The same by warpgroups, with the sum of the splits.
KernelCase weight_gradient_by_warpgroups(const Conv2dShape& s, const WgmmaWeightTile& tile) {
  const Sizes size(s);
  using Element = std::uint16_t;
  KernelCase made = {
      fmt::format("gradient in the weight by warpgroups, {}, {} channels by boxes of {}", name(s),
                  tile.channels, tile.box_channels),
      "bf16", operations(s),
      2.0 * static_cast<double>(size.x + size.y) + 4.0 * static_cast<double>(size.weight),
      [=](Inputs& in) -> Work {
        const WeightSums sums = ConvWgmmaWeightPlan::make(s, tile).sums();
        const auto* x = in.random<Element>(size.x);
        const auto* dy = in.random<Element>(size.y);
        auto* partial = in.zeros<float>(sums.size());
        auto* dweight = in.zeros<float>(size.weight);
        return [=, stream = in.stream().native()] {
          on::conv2d_wgmma_weight_sums(stream, s, tile, x, dy, partial);
          on::add_weight_splits(stream, sums, partial, dweight);
        };
      }};
  made.warpgroups = true;
  return made;
}

/// In int8: a convolution whose result and what follows it are written as in a residual network, by
/// mma.sync or, with a tile of so many channels, by warpgroups.
KernelCase forward_int8(const Conv2dShape& s, int wgmma_channels = 0) {
  const Sizes size(s);
  const bool warpgroups = wgmma_channels > 0;
  KernelCase made = {
      fmt::format("convolution {}, int8{}", name(s), warpgroups ? " by warpgroups" : ""), "int8",
      operations(s), static_cast<double>(size.x + size.weight) + 9.0 * static_cast<double>(size.y),
      [=](Inputs& in) -> Work {
        const Int8ConvKernel kernel = {
            wgmma_channels, Int8ConvKernel::choose(s, arch_of(in.stream().device())).tile};
        const auto* x = in.zeros<std::int8_t>(size.x);
        const auto* weight = in.zeros<std::int8_t>(size.weight);
        const Int8Epilogue epilogue{
            .scale = in.random<float>(s.out_c),
            .shift = in.random<float>(s.out_c),
            .residual = in.random<float>(size.y),
            .activation = Activation::identity(),
            .y = {.real = in.zeros<float>(size.y)},
            .next_scale = in.random<float>(s.out_c),
            .next_shift = in.random<float>(s.out_c),
            .next_activation = Activation::leaky_relu(0.1f),
            .next = {.bytes = in.zeros<std::int8_t>(size.y), .inverse_scale = 50.0f}};
        return [=, stream = in.stream().native()] {
          on::conv2d_int8(stream, s, kernel, x, weight, epilogue);
        };
      }};
  made.warpgroups = warpgroups;
  return made;
}

/// Noise as a product in int8 reads it, and a normalisation behind noise.
KernelCase values_int8(std::int64_t rows, std::int64_t elements) {
  return {fmt::format("noise in int8, and {} rows of {} rounded", rows, elements), "mixed", 0.0,
          product({rows, elements, 6}) + 4.0 * static_cast<double>(elements),
          [=](Inputs& in) -> Work {
            NoiseParams params;
            params.distribution = NoiseDistribution::gaussian;
            params.scale = 0.5f, params.activation = Activation::relu();
            std::vector<NoiseRow> described(static_cast<std::size_t>(rows));
            for (std::size_t i = 0; i < described.size(); ++i)
              described[i].draw = static_cast<std::uint32_t>(i);
            const auto* of_rows = in.copy<NoiseRow>(described);
            const auto* prefix = in.random<float>(elements);
            const auto* x = in.random<float>(rows * elements);
            const Int8Target target{.bytes = in.zeros<std::int8_t>(rows * elements),
                                    .inverse_scale = 50.0f};
            return [=, stream = in.stream().native()] {
              on::add_noise_bytes(stream, params, of_rows, rows, elements, prefix, target);
              on::round_values(stream, {.pixels = rows, .channels = elements}, elements, x, nullptr,
                               target);
            };
          }};
}

KernelCase direct(const Conv2dShape& s) {
  const Sizes size(s);
  return {"direct convolution " + name(s), "fp32", operations(s),
          4.0 * static_cast<double>(size.x + size.weight + size.y), [=](Inputs& in) -> Work {
            const auto* x = in.random<float>(size.x);
            const auto* weight = in.random<float>(size.weight);
            auto* y = in.zeros<float>(size.y);
            return [=, stream = in.stream().native()] {
              on::conv2d_direct(stream, s, Activation::identity(), x, weight, nullptr, y);
            };
          }};
}

/// The largest tensor, and the weight, on their way to and from a library with operands in bf16.
KernelCase to_library(const Conv2dShape& s) {
  const Sizes size(s);
  return {"to and from bf16, " + name(s), "mixed", 0.0,
          12.0 * static_cast<double>(size.x + size.weight), [=](Inputs& in) -> Work {
            auto* x = in.random<float>(size.x);
            auto* x16 = in.zeros<std::uint16_t>(size.x);
            auto* weight = in.random<float>(size.weight);
            auto* weight16 = in.zeros<std::uint16_t>(size.weight);
            return [=, stream = in.stream().native()] {
              on::to_bf16(stream, size.x, x, x16);
              on::from_bf16(stream, size.x, x16, x);
              on::weight_to_bf16(stream, s, weight, weight16);
              on::weight_from_bf16(stream, s, weight16, weight);
            };
          }};
}

/// With the rounding of x and of the weight to bf16.
KernelCase dense(const DenseShape& s) {
  return {fmt::format("dense layer {} x {} to {}, with rounding", s.rows, s.in, s.out), "bf16",
          2.0 * product({s.rows, s.in, s.out}),
          4.0 * (product({s.rows, s.in}) + product({s.in, s.out}) + product({s.rows, s.out})),
          [=](Inputs& in) -> Work {
            const auto* x = in.random<float>(s.rows * s.in);
            const auto* weight = in.random<float>(s.in * s.out);
            const auto* bias = in.random<float>(s.out);
            auto* y = in.zeros<float>(s.rows * s.out);
            return [=, stream = in.stream()] {
              on::dense_forward(stream, s, Precision::bf16, x, weight, bias, y);
            };
          }};
}

}  // namespace

KernelCase convolution_case(ConvDirection direction, const Conv2dShape& shape) {
  using Bf16 = std::uint16_t;
  switch (direction) {
    case ConvDirection::forward:
      return forward<Bf16, Bf16>(shape);
    case ConvDirection::backward_data:
      return data_gradient(shape);
    case ConvDirection::backward_weight:
      return weight_gradient<Bf16>(shape);
  }
  fail("no such direction of a convolution");
}

std::vector<KernelCase> convolution_cases(CaseSize size) {
  const bool full = size == CaseSize::full;
  const Conv2dShape mnist = full ? square_convolution(512, 14, 32, 64, 5, 2)
                                 : square_convolution(1, 6, 16, 32, 3, 2),
                    narrow = full ? square_convolution(16, 32, 160, 160, 3, 1)
                                  : square_convolution(1, 4, 16, 16, 3, 1),
                    wide = full ? square_convolution(16, 8, 640, 640, 3, 1)
                                : square_convolution(1, 2, 32, 32, 3, 1),
                    grey = full ? square_convolution(512, 28, 1, 32, 5, 2)
                                : square_convolution(1, 6, 1, 8, 3, 2),
                    colour = full ? square_convolution(4, 299, 3, 32, 3, 2)
                                  : square_convolution(1, 9, 3, 8, 3, 2);
  // For what there are kernels by warpgroups of.
  const Conv2dShape tile_160 = full ? narrow : square_convolution(1, 8, 64, 160, 1, 1),
                    tile_128 = full ? square_convolution(16, 16, 256, 128, 3, 1)
                                    : square_convolution(1, 8, 64, 128, 1, 1);
  using Bf16 = std::uint16_t;
  return {direct(grey),
          direct(colour),
          forward<Bf16, Bf16>(mnist),
          forward<Bf16, Bf16>(narrow),
          forward<Bf16, Bf16>(wide),
          forward<Bf16, float>(narrow),
          forward<float, float>(narrow),
          end_of_unit(narrow),
          by_warpgroups<Bf16>(tile_160),
          by_warpgroups<Bf16>(tile_128),
          by_warpgroups<float>(tile_160),
          by_warpgroups<float>(tile_128),
          forward_int8(mnist),
          forward_int8(narrow),
          forward_int8(tile_160, 160),
          forward_int8(tile_128, 128),
          values_int8(full ? 512 : 4, full ? 6272 : 64),
          data_gradient(narrow),
          weight_gradient<Bf16>(narrow),
          weight_gradient<float>(narrow),
          weight_gradient<Bf16>(mnist),
          weight_gradient_by_warpgroups(tile_160, {160, 32}),
          weight_gradient_by_warpgroups(tile_160, {160, 64}),
          weight_gradient_by_warpgroups(tile_128, {128, 64}),
          weight_gradient_by_warpgroups(tile_128, {128, 32}),
          to_library(narrow),
          dense(full ? DenseShape{512, 3136, 1024} : DenseShape{2, 64, 16})};
}

}  // namespace pixeldp::bench::PIXELDP_DEVICE
