#include "bench/cuda/layer_cases.hpp"

#include <array>

#include <fmt/format.h>

#include "kernels/cuda/ball.hpp"
#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/loss.hpp"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/parseval.hpp"
#include "kernels/cuda/pooling.hpp"
#include "kernels/cuda/scaling.hpp"
#include "kernels/cuda/sgd.hpp"
#include "kernels/cuda/slice_norms.hpp"
#include "kernels/cuda/standardise.hpp"

// Compiled for GPUs and for the emulator, whose namespace PIXELDP_DEVICE names.
namespace pixeldp::bench::PIXELDP_DEVICE {
namespace {

namespace on = kernels::PIXELDP_DEVICE;
using namespace kernels;

/// What reads and writes so many floats and does little else.
KernelCase passes(const std::string& what, double floats, std::function<Work(Inputs&)> prepare) {
  return {what, "mixed", 0.0, 4.0 * floats, std::move(prepare)};
}

}  // namespace

KernelCase column_sums(std::int64_t rows, std::int64_t columns) {
  return passes(fmt::format("column sums of {} x {}", rows, columns), product({rows + 1, columns}),
                [=](Inputs& in) -> Work {
                  const auto* x = in.random<float>(rows * columns);
                  auto* sums = in.zeros<float>(columns);
                  return [=, stream = in.stream().native()] {
                    on::column_sums(stream, rows, columns, x, sums);
                  };
                });
}

std::vector<KernelCase> batch_norm(std::int64_t rows, std::int64_t channels) {
  BatchNormParams p;
  p.rows = rows, p.channels = channels, p.activation = Activation::relu();
  const std::string shape = fmt::format(" of {} x {}", rows, channels);
  const std::int64_t size = rows * channels;
  struct Channels {
    float *gamma, *beta, *mean, *variance, *a, *b;
  };
  const auto channels_of = [=](Inputs& in) {
    const auto positive = [&] { return in.random<float>(channels, 0.5f, 1.0f); };
    const auto any = [&] { return in.random<float>(channels); };
    return Channels{positive(), any(), any(), positive(), positive(), positive()};
  };
  return {
      passes("batch norm" + shape, 3.0 * product({rows, channels}),
             [=](Inputs& in) -> Work {
               const Channels c = channels_of(in);
               const auto* x = in.random<float>(size);
               auto* y = in.zeros<float>(size);
               auto* workspace = in.zeros<float>(batch_norm_workspace_size(p));
               return [=, stream = in.stream()] {
                 on::batch_norm_statistics(stream, p, x, c.mean, c.variance, c.a, c.b, workspace);
                 on::batch_norm_normalise(stream, p, x, c.a, c.b, c.gamma, c.beta, y, nullptr);
               };
             }),
      passes("gradients of batch norm" + shape, 5.0 * product({rows, channels}),
             [=](Inputs& in) -> Work {
               const Channels c = channels_of(in);
               const auto* x = in.random<float>(size);
               const auto* dy = in.random<float>(size);
               auto* dx = in.zeros<float>(size);
               auto* workspace = in.zeros<float>(batch_norm_workspace_size(p));
               return [=, stream = in.stream()] {
                 on::batch_norm_gradient_sums(stream, p, x, c.mean, c.variance, c.gamma, c.beta, dy,
                                              c.a, c.b, workspace);
                 on::batch_norm_input_gradient(stream, p, x, c.mean, c.variance, c.gamma, c.beta,
                                               workspace, dy, dx, nullptr);
               };
             }),
      passes("fixed batch norm" + shape, 2.0 * product({rows, channels}), [=](Inputs& in) -> Work {
        const Channels c = channels_of(in);
        const auto* x = in.random<float>(size);
        auto* y = in.zeros<float>(size);
        return [=, stream = in.stream()] {
          on::fold_batch_norm(stream, p, c.gamma, c.beta, c.mean, c.variance, c.a, c.b);
          on::batch_norm_inference(stream, p, x, c.a, c.b, y);
        };
      })};
}

std::vector<KernelCase> residual_parts(std::int64_t images, std::int64_t side,
                                       std::int64_t channels) {
  const std::int64_t pixels = side * side / 16, last = 4 * channels;
  const GlobalPoolShape pool = {images, pixels, last};
  const ShortcutShape shortcut = {
      images, side, side, channels, 2 * channels, 2, ShortcutKind::average};
  const std::int64_t pool_x = images * pixels * last, pool_y = images * last;
  const std::int64_t wide = images * side * side * channels, narrow = wide / 2;
  const std::string shape = fmt::format("{}x{}x{}x{}", images, side, side, channels);
  const auto sum = [](std::int64_t a, std::int64_t b) { return static_cast<double>(a + b); };
  return {
      passes(fmt::format("global average pool, {} x {} x {}", images, pixels, last),
             sum(pool_x, pool_y),
             [=](Inputs& in) -> Work {
               const auto* x = in.random<float>(pool_x);
               auto* y = in.zeros<float>(pool_y);
               return [=, stream = in.stream()] { on::global_average_pool(stream, pool, x, y); };
             }),
      passes(fmt::format("global average pool, {} x {} x {}, bf16", images, pixels, last),
             sum(pool_x, 2 * pool_y) / 2,
             [=](Inputs& in) -> Work {
               const auto* x = in.random<std::uint16_t>(pool_x);
               auto* y = in.zeros<float>(pool_y);
               return [=, stream = in.stream()] { on::global_average_pool(stream, pool, x, y); };
             }),
      passes("gradient of the global average pool", sum(pool_x, pool_y),
             [=](Inputs& in) -> Work {
               const auto* dy = in.random<float>(pool_y);
               auto* dx = in.zeros<float>(pool_x);
               return [=, stream = in.stream()] {
                 on::global_average_pool_backward(stream, pool, dy, dx);
               };
             }),
      passes(fmt::format("shortcut {} to {}, stride 2", shape, 2 * channels), sum(wide, narrow),
             [=](Inputs& in) -> Work {
               const auto* x = in.random<float>(wide);
               auto* y = in.zeros<float>(narrow);
               return [=, stream = in.stream()] { on::shortcut_forward(stream, shortcut, x, y); };
             }),
      passes(fmt::format("shortcut {} to {}, stride 2, bf16", shape, 2 * channels),
             sum(wide, narrow) / 2,
             [=](Inputs& in) -> Work {
               const auto* x = in.random<std::uint16_t>(wide);
               auto* y = in.zeros<std::uint16_t>(narrow);
               return [=, stream = in.stream()] { on::shortcut_forward(stream, shortcut, x, y); };
             }),
      passes("scaling of " + shape + ", fp32 to bf16", 1.5 * static_cast<double>(wide),
             [=](Inputs& in) -> Work {
               const auto* x = in.random<float>(wide);
               auto* y = in.zeros<std::uint16_t>(wide);
               const ScalingParams params{wide / channels, channels, in.random<float>(channels),
                                          in.random<float>(channels), Activation::relu()};
               return [=, stream = in.stream().native()] {
                 on::scale_values(stream, params, x, static_cast<const float*>(nullptr), y);
               };
             }),
      passes("gradient of the shortcut", sum(wide, narrow),
             [=](Inputs& in) -> Work {
               const auto* dy = in.random<float>(narrow);
               auto* dx = in.zeros<float>(wide);
               return
                   [=, stream = in.stream()] { on::shortcut_backward(stream, shortcut, dy, dx); };
             }),
      passes("sum of two tensors of " + shape, 3.0 * static_cast<double>(wide),
             [=](Inputs& in) -> Work {
               const auto* a = in.random<float>(wide);
               const auto* b = in.random<float>(wide);
               auto* y = in.zeros<float>(wide);
               return [=, stream = in.stream()] {
                 on::add(stream, Activation::relu(), wide, a, b, y);
               };
             })};
}

std::vector<KernelCase> training_parts(std::int64_t rows, std::int64_t width, std::int64_t images,
                                       std::int64_t values, int log_weights) {
  constexpr std::int64_t classes = 10;
  const std::int64_t size = rows * width, pixels = images * values;
  const std::int64_t weights = std::int64_t{1} << log_weights;
  const auto floats = [](std::int64_t count) { return static_cast<double>(count); };
  return {
      passes(fmt::format("activation of {} x {}", rows, width), 2.0 * floats(size),
             [=](Inputs& in) -> Work {
               auto* y = in.random<float>(size);
               return
                   [=, stream = in.stream()] { on::activate(stream, Activation::relu(), size, y); };
             }),
      passes("gradient of the activation", 3.0 * floats(size),
             [=](Inputs& in) -> Work {
               const auto* y = in.random<float>(size);
               auto* gradient = in.random<float>(size);
               return [=, stream = in.stream()] {
                 on::activation_backward(stream, Activation::relu(), size, y, gradient);
               };
             }),
      passes(fmt::format("a bias in {} rows of {}", rows, width), floats(size),
             [=](Inputs& in) -> Work {
               const auto* row = in.random<float>(width);
               auto* y = in.zeros<float>(size);
               return [=, stream = in.stream().native()] {
                 on::repeat_row(stream, rows, width, row, y);
               };
             }),
      passes(fmt::format("mean of {} rows of {}", rows, width), floats(size + width),
             [=](Inputs& in) -> Work {
               const auto* x = in.random<float>(size);
               auto* y = in.zeros<float>(width);
               return [=, stream = in.stream()] { on::average_rows(stream, rows, width, x, y); };
             }),
      passes(fmt::format("loss of {} x {}", rows, classes),
             2.0 * floats(rows * classes) + floats(rows),
             [=](Inputs& in) -> Work {
               const auto* logits = in.random<float>(rows * classes);
               const auto* labels = in.zeros<std::int32_t>(rows);
               auto* gradient = in.zeros<float>(rows * classes);
               auto* loss = in.zeros<LossResult>(1);
               return [=, stream = in.stream()] {
                 on::softmax_cross_entropy(stream, rows, classes, logits, labels, gradient, loss);
               };
             }),
      passes(fmt::format("{} images of {} values standardised", images, values),
             2.0 * floats(pixels),
             [=](Inputs& in) -> Work {
               const auto* x = in.random<float>(pixels);
               auto* y = in.zeros<float>(pixels);
               return [=, stream = in.stream()] { on::standardise(stream, images, values, x, y); };
             }),
      passes("gradient of standardising", 3.0 * floats(pixels),
             [=](Inputs& in) -> Work {
               const auto* x = in.random<float>(pixels);
               const auto* dy = in.random<float>(pixels);
               auto* dx = in.zeros<float>(pixels);
               return [=, stream = in.stream()] {
                 on::standardise_backward(stream, images, values, x, dy, dx);
               };
             }),
      passes(fmt::format("SGD step of 2^{} weights", log_weights), 5.0 * floats(weights),
             [=](Inputs& in) -> Work {
               const SgdStep step = {{},
                                     weights,
                                     in.random<float>(weights),
                                     in.random<float>(weights),
                                     in.random<float>(weights)};
               return [=, stream = in.stream()] { on::sgd_steps(stream, {&step, 1}); };
             })};
}

KernelCase parseval(std::int64_t rows, std::int64_t cols) {
  ParsevalParams params;
  params.rows = rows, params.cols = cols, params.step = 1e-3, params.loops = 2;
  return passes(fmt::format("Parseval projection of {} x {}, two loops", rows, cols),
                2.0 * product({rows, cols}), [=](Inputs& in) -> Work {
                  // Small enough for singular values below 1, towards which they grow.
                  auto* weight =
                      in.random<float>(rows * cols, 1.0f / static_cast<float>(rows + cols));
                  auto* bad_loop = in.copy<std::uint64_t>(std::array{no_bad_loop});
                  return [=, stream = in.stream()] {
                    on::parseval_project(stream, params, weight, bad_loop);
                  };
                });
}

KernelCase ball_step(std::int64_t rows, std::int64_t values) {
  const std::int64_t size = rows * values;
  return passes(fmt::format("a step in {} balls of {} values, 2-norm", rows, values),
                4.0 * product({size}), [=](Inputs& in) -> Work {
                  const BallStepParams params{BallNorm::l2, 0.5, 0.1, -2.0f, 2.0f, rows, values};
                  const auto* centre = in.random<float>(size);
                  const auto* gradient = in.random<float>(size);
                  auto* x = in.random<float>(size);
                  return [=, stream = in.stream()] {
                    on::step_in_ball(stream, params, centre, gradient, x);
                  };
                });
}

KernelCase slice_norms(std::int64_t outer, std::int64_t slices, std::int64_t inner) {
  return passes(fmt::format("columns of {} x {} x {} divided by their norms", outer, slices, inner),
                2.0 * product({outer, slices, inner}), [=](Inputs& in) -> Work {
                  auto* weight = in.random<float>(outer * slices * inner);
                  return [=, stream = in.stream()] {
                    on::normalise_slices(stream, {outer, slices, inner, SliceNorm::l2}, weight);
                  };
                });
}

}  // namespace pixeldp::bench::PIXELDP_DEVICE
