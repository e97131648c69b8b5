#include <array>

#include <fmt/format.h>

#include "bench/cuda/layer_cases.hpp"
#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/lattice_noise.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/cuda/operations.hpp"

// Compiled for GPUs and for the emulator, whose namespace PIXELDP_DEVICE names.
namespace pixeldp::bench::PIXELDP_DEVICE {
namespace {

namespace on = kernels::PIXELDP_DEVICE;
using namespace kernels;

NoiseParams noise_params(NoiseDistribution distribution) {
  NoiseParams params;
  params.distribution = distribution;
  params.scale = 0.5f;
  params.activation = Activation::relu();
  return params;
}

/// Draws of one image.
const NoiseRow* noise_rows(Inputs& in, std::int64_t rows) {
  std::vector<NoiseRow> made(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < made.size(); ++i) made[i].draw = static_cast<std::uint32_t>(i);
  return in.copy<NoiseRow>(made);
}

KernelCase noise(NoiseDistribution distribution, const char* what, std::int64_t rows,
                 std::int64_t elements) {
  return {fmt::format("{} noise, {} rows of {}", what, rows, elements), "mixed", 0.0,
          4.0 * product({rows + 1, elements}), [=](Inputs& in) -> Work {
            const NoiseParams params = noise_params(distribution);
            const auto* described = noise_rows(in, rows);
            const auto* prefix = in.random<float>(elements);
            auto* y = in.zeros<float>(rows * elements);
            return [=, stream = in.stream()] {
              on::add_noise(stream, params, described, rows, elements, prefix, y);
            };
          }};
}

KernelCase lattice_noise(NoiseDistribution distribution, const char* what, std::int64_t rows,
                         std::int64_t elements) {
  return {fmt::format("{} noise on a lattice, {} rows of {}", what, rows, elements), "mixed", 0.0,
          4.0 * product({rows + 1, elements}), [=](Inputs& in) -> Work {
            const NoiseParams params = noise_params(distribution);
            const auto* described = noise_rows(in, rows);
            std::vector<std::int32_t> steps(static_cast<std::size_t>(elements));
            for (std::size_t i = 0; i < steps.size(); ++i)
              steps[i] = static_cast<std::int32_t>(i * 7919 % (std::size_t{1} << lattice_bits));
            const auto* prefix = in.copy<std::int32_t>(steps);
            const Int8Target target{.real = in.zeros<float>(rows * elements)};
            const std::shared_ptr<const DeviceLatticeNoise> prepared =
                on::prepare_lattice_noise(in.stream().native());
            return [=] { prepared->add(params, described, rows, elements, prefix, target); };
          }};
}

KernelCase statistics(const DrawStatisticsParams& s) {
  return {fmt::format("statistics of {} rows of {}, {} classes", s.rows, s.width, s.classes),
          "fp32", 2.0 * product({s.rows, s.width, s.classes}),
          4.0 * (product({s.rows + s.classes, s.width}) + product({2 * s.rows + s.classes})),
          [=](Inputs& in) -> Work {
            const auto* features = in.random<float>(s.rows * s.width);
            const auto* weight = in.random<float>(s.classes * s.width, 0.1f);
            const auto* bias = in.random<float>(s.classes);
            const auto* row_image = in.zeros<std::int64_t>(s.rows);
            auto* votes = in.zeros<std::uint64_t>(s.classes);
            auto* sums = in.zeros<std::uint64_t>(s.classes);
            auto* squares = in.zeros<std::uint64_t>(s.classes);
            auto* bad_row = in.copy<std::uint64_t>(std::array{no_bad_row});
            return [=, stream = in.stream()] {
              on::draw_statistics(stream, s, features, weight, bias, row_image, votes, sums,
                                  squares, bad_row);
            };
          }};
}

KernelCase bounds(std::int64_t images, std::int64_t classes) {
  return {fmt::format("bounds of {} images, {} classes", images, classes),
          "mixed",
          0.0,
          8.0 * product({images, classes + 1}) +
              product({images, static_cast<std::int64_t>(sizeof(BoundedPrediction))}),
          [=](Inputs& in) -> Work {
            BoundsParams params;
            params.images = images, params.classes = classes;
            params.scale_per_sensitivity = 0.5;
            std::vector<std::uint64_t> votes(static_cast<std::size_t>(images * classes));
            const std::vector<std::uint64_t> draws(static_cast<std::size_t>(images), 300);
            for (std::size_t i = 0; i < votes.size(); i += static_cast<std::size_t>(classes))
              votes[i] = 280, votes[i + 1] = 20;
            const CountedDraws counted = {.draws = in.copy<std::uint64_t>(draws),
                                          .votes = in.copy<std::uint64_t>(votes)};
            auto* results = in.zeros<BoundedPrediction>(images);
            auto* bad_image = in.copy<std::uint64_t>(std::array{no_bad_image});
            return [=, stream = in.stream()] {
              on::bound_predictions(stream, params, counted, results, bad_image);
            };
          },
          "images",
          product({images})};
}

/// Small networks behind their noise; the prefixes and statistics are all that goes from or to
/// memory besides the weights. By blocks or in clusters.
KernelCase multi_draw(const MultiDrawNetwork& network, std::int64_t images, std::uint32_t draws,
                      bool in_clusters = false) {
  const Conv2dShape& conv = network.conv;
  const double rows = product({images, draws});
  const std::int64_t prefix = conv.in_h * conv.in_w * conv.in_c;
  const std::int64_t dense = network.dense_in() * network.hidden;
  const std::int64_t head = network.hidden * network.classes;
  const bool in_int8 = network.in_int8;
  return {fmt::format("{} draws of {} images, from noise to statistics{}{}", draws, images,
                      in_int8 ? ", int8" : "", in_clusters ? ", in clusters" : ""),
          in_int8 ? "int8" : "bf16",
          2.0 * rows * static_cast<double>(conv.multiply_adds() + dense + head),
          4.0 * product({images, prefix}) +
              (in_int8 ? 1.0 : 2.0) * static_cast<double>(conv.weight_size() + dense),
          [=](Inputs& in) -> Work {
            const auto* prefixes = in.random<float>(images * prefix);
            MultiDrawWeights weights = {.head = in.random<float>(head, 0.1f)};
            if (network.in_int8)
              weights.int8 = {.conv = in.zeros<std::int8_t>(network.conv.weight_size()),
                              .dense = in.zeros<std::int8_t>(dense),
                              .conv_scale = in.random<float>(network.conv.out_c),
                              .dense_scale = in.random<float>(network.hidden),
                              .inverse_scale = 50.0f,
                              .features_inverse_scale = 50.0f};
            else
              weights.conv = in.random<float>(network.conv.weight_size(), 0.1f),
              weights.dense = in.random<float>(dense, 0.05f);
            const bool by_itself = arch_of(in.stream().device()).warpgroup_products;
            const int block_draws = in_clusters ? MultiDrawCluster::draws : by_itself ? 32 : 0;
            const std::shared_ptr<const MultiDraw> prepared =
                on::pack_multi_draw(in.stream(), network, weights, block_draws);
            MultiDrawParams params;
            params.draws = draws, params.images = images;
            params.noise = noise_params(NoiseDistribution::gaussian);
            std::vector<std::uint32_t> ids(static_cast<std::size_t>(images));
            for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::uint32_t>(i);
            const auto* image_ids = in.copy<std::uint32_t>(ids);
            auto* votes = in.zeros<std::uint64_t>(images * network.classes);
            auto* sums = in.zeros<std::uint64_t>(images * network.classes);
            auto* squares = in.zeros<std::uint64_t>(images * network.classes);
            auto* bad_row = in.copy<std::uint64_t>(std::array{no_bad_row});
            return
                [=] { prepared->run(params, prefixes, image_ids, votes, sums, squares, bad_row); };
          },
          "draws",
          rows,
          in_clusters};
}

/// Draws of one image at the first layer of a residual network: its prefix and, per draw, y.
KernelCase noisy_convolution(const Conv2dShape& s) {
  const std::int64_t y = s.in_h * s.in_w * s.out_c, x = s.in_h * s.in_w * s.in_c;
  return {fmt::format("noise inside the {}x{}x{}x{}, {} kernels {}x{}, stride {}", s.batch, s.in_h,
                      s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.stride),
          "bf16", 2.0 * product({s.batch, s.multiply_adds()}),
          2.0 * product({s.batch, y}) + 2.0 * static_cast<double>(s.weight_size()) +
              4.0 * static_cast<double>(x),
          [=](Inputs& in) -> Work {
            NoisyInput input;
            input.noise = noise_params(NoiseDistribution::gaussian);
            const auto* rows = noise_rows(in, s.batch);
            const auto* prefix = in.random<float>(x);
            const auto* weight = in.random<std::uint16_t>(s.weight_size());
            auto* result = in.zeros<std::uint16_t>(s.batch * y);
            return [=, stream = in.stream().native()] {
              on::noisy_conv2d(stream, s, input, rows, s.batch, prefix, weight, {}, result);
            };
          }};
}

}  // namespace

std::vector<KernelCase> kernel_cases(CaseSize size) {
  const bool full = size == CaseSize::full;
  const auto either = [=](std::int64_t large, std::int64_t small) { return full ? large : small; };
  const auto add = [](std::vector<KernelCase>& all, std::vector<KernelCase> more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  const MultiDrawNetwork mnist =
      full ? MultiDrawNetwork{square_convolution(1, 14, 32, 64, 5, 2), 1024, 10}
           : MultiDrawNetwork{square_convolution(1, 6, 16, 32, 3, 2), 128, 10};
  MultiDrawNetwork in_bytes =
      full ? mnist : MultiDrawNetwork{square_convolution(1, 6, 32, 64, 3, 2), 128, 10};
  in_bytes.in_int8 = true;
  std::vector<KernelCase> all = {
      noise(NoiseDistribution::gaussian, "Gaussian", either(512, 4), either(6272, 64)),
      noise(NoiseDistribution::laplace, "Laplace", either(512, 4), either(6272, 64)),
      lattice_noise(NoiseDistribution::gaussian, "Gaussian", either(512, 4), either(6272, 64)),
      lattice_noise(NoiseDistribution::laplace, "Laplace", either(512, 4), either(6272, 64))};
  add(all, convolution_cases(size));
  add(all, {column_sums(either(512, 8), either(1024, 32)), parseval(either(32, 4), either(25, 9)),
            parseval(either(160, 144), either(1440, 150)), slice_norms(either(160, 8), 16, 9),
            ball_step(either(128, 2), either(3072, 192)),
            statistics({either(512, 8), either(1024, 32), 10}),
            multi_draw(mnist, either(32, 2), full ? 320 : 16),
            multi_draw(in_bytes, either(32, 2), full ? 320 : 16),
            multi_draw(mnist, either(32, 2), full ? 320 : 16, true),
            multi_draw(in_bytes, either(32, 2), full ? 320 : 16, true),
            noisy_convolution(
                square_convolution(either(64, 1), either(32, 4), 16, either(160, 16), 3, 1)),
            statistics({either(64, 4), either(2048, 64), either(1000, 200)}),
            bounds(either(1024, 4), 10)});
  add(all, batch_norm(either(32 * 32 * 32, 32), either(160, 16)));
  add(all, residual_parts(either(32, 1), either(32, 8), either(160, 8)));
  add(all, training_parts(either(512, 4), either(6272, 64), either(128, 2), either(3072, 192),
                          full ? 20 : 8));
  add(all, row_operations(either(32, 1), either(56, 5), either(144, 8)));
  return all;
}

}  // namespace pixeldp::bench::PIXELDP_DEVICE
