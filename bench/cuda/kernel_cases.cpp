#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <cuda_runtime.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/cuda/launch_recorder.hpp"
#include "engine/error.hpp"
#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/loss.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/cuda/parseval.hpp"
#include "kernels/cuda/pooling.hpp"
#include "kernels/cuda/sgd.hpp"
#include "kernels/cuda/standardise.hpp"

/// The kernels' work on representative shapes. Prints, as JSON, the cases with their launches, the
/// least bytes that must go from or to memory and the operations that must be done; with --run,
/// does the work of one case, on a GPU or under an interpreter of PTX. bench/kernels.py makes the
/// table.
namespace {

using namespace pixeldp;
using namespace pixeldp::kernels;

/// What limits the operations. On tensor cores: bf16, tf32; else fp32, and `mixed` where most of
/// the work is no arithmetic in floating point, so that counting operations tells nothing.
struct Case {
  std::string name;
  std::string unit;
  double operations = 0.0;  ///< a multiply-addition is two
  double bytes = 0.0;
  std::function<void()> work;
};

/// Device memory of `count` elements, zero; a program that runs one case need not free it.
template <class T>
T* device(std::int64_t count, const std::vector<T>& values = {}) {
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
  void* data = nullptr;
  const auto check = [&](cudaError_t error) {
    if (error != cudaSuccess) fail("{} bytes on the device: {}", bytes, cudaGetErrorString(error));
  };
  check(cudaMalloc(&data, bytes));
  check(cudaMemset(data, 0, bytes));
  if (!values.empty())
    check(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return static_cast<T*>(data);
}

double product(std::initializer_list<std::int64_t> factors) {
  double result = 1.0;
  for (const std::int64_t factor : factors) result *= static_cast<double>(factor);
  return result;
}

Conv2dShape square(std::int64_t batch, std::int64_t side, std::int64_t in_c, std::int64_t out_c,
                   std::int64_t kernel, std::int64_t stride) {
  const Padding padding = same_padding(side, kernel, stride);
  return {batch, side, side, in_c, out_c, kernel, kernel, stride, padding, padding};
}

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
Case forward(const Conv2dShape& s) {
  const Sizes size(s);
  return {fmt::format("convolution {}, {} to {}", name(s), unit_of<Element>,
                      sizeof(Output) == 2 ? "bf16" : "fp32"),
          unit_of<Element>, operations(s),
          static_cast<double>(size.x + size.weight) * sizeof(Element) +
              static_cast<double>(size.y) * sizeof(Output),
          [=] {
            const ConvTile tile = choose_conv_tile(s.batch * s.out_h() * s.out_w(), s.out_c);
            cuda::conv2d_gemm(nullptr, ConvPass::forward(s, chunk_of<Element>), tile,
                              device<Element>(size.x), device<Element>(size.weight), {},
                              device<Output>(size.y));
          }};
}

Case data_gradient(const Conv2dShape& s) {
  const Sizes size(s);
  using Element = std::uint16_t;
  return {"gradient in x, " + name(s), "bf16", operations(s),
          2.0 * static_cast<double>(size.x + size.weight + size.y), [=] {
            const auto* dy = device<Element>(size.y);
            const auto* weight = device<Element>(size.weight);
            auto* dx = device<Element>(size.x);
            for (const ConvPass& pass : ConvPass::backward_data(s, chunk_of<Element>)) {
              const ConvTile tile =
                  choose_conv_tile(pass.batch * pass.out_h * pass.out_w, pass.out_c);
              cuda::conv2d_gemm(nullptr, pass, tile, dy, weight, {}, dx);
            }
          }};
}

template <class Element>
Case weight_gradient(const Conv2dShape& s) {
  const Sizes size(s);
  return {fmt::format("gradient in the weight, {}, {}", name(s), unit_of<Element>),
          unit_of<Element>, operations(s),
          static_cast<double>(size.x + size.y) * sizeof(Element) +
              4.0 * static_cast<double>(size.weight),
          [=] {
            const ConvWeightPlan plan = ConvWeightPlan::make(s, chunk_of<Element>);
            cuda::conv2d_gemm_backward_weight(
                nullptr, s, device<Element>(size.x), device<Element>(size.y),
                device<float>(plan.workspace_size()), device<float>(size.weight));
          }};
}

Case direct(const Conv2dShape& s) {
  const Sizes size(s);
  return {"direct convolution " + name(s), "fp32", operations(s),
          4.0 * static_cast<double>(size.x + size.weight + size.y), [=] {
            cuda::conv2d_direct(nullptr, s, Activation::identity(), device<float>(size.x),
                                device<float>(size.weight), nullptr, device<float>(size.y));
          }};
}

/// The largest tensor, and the weight, on their way to and from a library with operands in bf16.
Case to_library(const Conv2dShape& s) {
  const Sizes size(s);
  return {"to and from bf16, " + name(s), "mixed", 0.0,
          12.0 * static_cast<double>(size.x + size.weight), [=] {
            auto* x = device<float>(size.x);
            auto* x16 = device<std::uint16_t>(size.x);
            auto* weight = device<float>(size.weight);
            auto* weight16 = device<std::uint16_t>(size.weight);
            cuda::to_bf16(nullptr, size.x, x, x16);
            cuda::from_bf16(nullptr, size.x, x16, x);
            cuda::weight_to_bf16(nullptr, s, weight, weight16);
            cuda::weight_from_bf16(nullptr, s, weight16, weight);
          }};
}

/// With the rounding of x and of the weight to bf16.
Case dense(const DenseShape& s) {
  return {fmt::format("dense layer {} x {} to {}, with rounding", s.rows, s.in, s.out), "bf16",
          2.0 * product({s.rows, s.in, s.out}),
          4.0 * (product({s.rows, s.in}) + product({s.in, s.out}) + product({s.rows, s.out})), [=] {
            cuda::dense_forward(nullptr, s, Precision::bf16, device<float>(s.rows * s.in),
                                device<float>(s.in * s.out), device<float>(s.out),
                                device<float>(s.rows * s.out));
          }};
}

/// What reads and writes so many floats and does little else.
Case passes(const std::string& what, double floats, std::function<void()> work) {
  return {what, "mixed", 0.0, 4.0 * floats, std::move(work)};
}

Case column_sums(std::int64_t rows, std::int64_t columns) {
  return passes(fmt::format("column sums of {} x {}", rows, columns), product({rows + 1, columns}),
                [=] {
                  cuda::column_sums(nullptr, rows, columns, device<float>(rows * columns),
                                    device<float>(columns));
                });
}

/// Everything from x to y, from dy to dx, and y by fixed statistics.
std::vector<Case> batch_norm(std::int64_t rows, std::int64_t channels) {
  BatchNormParams p;
  p.rows = rows, p.channels = channels, p.activation = Activation::relu();
  const std::string shape = fmt::format(" of {} x {}", rows, channels);
  const std::int64_t size = rows * channels;
  const auto each = [=] { return device<float>(channels); };
  return {passes("batch norm" + shape, 3.0 * product({rows, channels}),
                 [=] {
                   cuda::batch_norm_forward(nullptr, p, device<float>(size), each(), each(), each(),
                                            each(), each(), each(), device<float>(size),
                                            device<float>(batch_norm_workspace_size(p)));
                 }),
          passes("gradients of batch norm" + shape, 5.0 * product({rows, channels}),
                 [=] {
                   cuda::batch_norm_backward(nullptr, p, device<float>(size), each(), each(),
                                             each(), each(), device<float>(size),
                                             device<float>(size), each(), each(),
                                             device<float>(batch_norm_workspace_size(p)));
                 }),
          passes("fixed batch norm" + shape, 2.0 * product({rows, channels}), [=] {
            float* const scale = each();
            float* const shift = each();
            cuda::fold_batch_norm(nullptr, p, each(), each(), each(), each(), scale, shift);
            cuda::batch_norm_inference(nullptr, p, device<float>(size), scale, shift,
                                       device<float>(size));
          })};
}

/// The parts of a residual network that are no convolutions, on 32 images of its first and last
/// groups of layers.
std::vector<Case> residual_parts() {
  constexpr std::int64_t images = 32;
  const GlobalPoolShape pool = {images, 64, 640};
  const ShortcutShape shortcut = {images, 32, 32, 160, 320, 2, ShortcutKind::average};
  const std::int64_t pool_x = images * 64 * 640, pool_y = images * 640;
  const std::int64_t wide = images * 32 * 32 * 160, narrow = images * 16 * 16 * 320;
  const auto sum = [](std::int64_t a, std::int64_t b) { return static_cast<double>(a + b); };
  return {passes("global average pool, 32 x 64 x 640", sum(pool_x, pool_y),
                 [=] {
                   cuda::global_average_pool(nullptr, pool, device<float>(pool_x),
                                             device<float>(pool_y));
                 }),
          passes("gradient of the global average pool", sum(pool_x, pool_y),
                 [=] {
                   cuda::global_average_pool_backward(nullptr, pool, device<float>(pool_y),
                                                      device<float>(pool_x));
                 }),
          passes("shortcut 32x32x32x160 to 320, stride 2", sum(wide, narrow),
                 [=] {
                   cuda::shortcut_forward(nullptr, shortcut, device<float>(wide),
                                          device<float>(narrow));
                 }),
          passes("gradient of the shortcut", sum(wide, narrow),
                 [=] {
                   cuda::shortcut_backward(nullptr, shortcut, device<float>(narrow),
                                           device<float>(wide));
                 }),
          passes("sum of two tensors of 32x32x32x160", 3.0 * static_cast<double>(wide), [=] {
            cuda::add(nullptr, Activation::relu(), wide, device<float>(wide), device<float>(wide),
                      device<float>(wide));
          })};
}

std::vector<Case> training_parts() {
  constexpr std::int64_t size = 512 * 6272, rows = 512, classes = 10, weights = 1 << 20;
  constexpr std::int64_t images = 128 * 3072;
  return {
      passes("activation of 512 x 6272", 2.0 * size,
             [=] { cuda::activate(nullptr, Activation::relu(), size, device<float>(size)); }),
      passes("gradient of the activation", 3.0 * size,
             [=] {
               cuda::activation_backward(nullptr, Activation::relu(), size, device<float>(size),
                                         device<float>(size));
             }),
      passes(
          "a bias in 512 rows of 6272", size,
          [=] { cuda::repeat_row(nullptr, rows, 6272, device<float>(6272), device<float>(size)); }),
      passes("loss of 512 x 10", 2.0 * rows * classes + rows,
             [=] {
               cuda::softmax_cross_entropy(nullptr, rows, classes, device<float>(rows * classes),
                                           device<std::int32_t>(rows),
                                           device<float>(rows * classes), device<LossResult>(1));
             }),
      passes("128 images of 3072 values standardised", 2.0 * images,
             [=] {
               cuda::standardise(nullptr, 128, 3072, device<float>(images), device<float>(images));
             }),
      passes("gradient of standardising", 3.0 * images,
             [=] {
               cuda::standardise_backward(nullptr, 128, 3072, device<float>(images),
                                          device<float>(images), device<float>(images));
             }),
      passes("SGD step of 2^20 weights", 5.0 * weights, [=] {
        const SgdStep step = {
            {}, weights, device<float>(weights), device<float>(weights), device<float>(weights)};
        cuda::sgd_steps(nullptr, {&step, 1});
      })};
}

Case parseval(std::int64_t rows, std::int64_t cols) {
  ParsevalParams params;
  params.rows = rows, params.cols = cols, params.step = 1e-3, params.loops = 2;
  return passes(fmt::format("Parseval projection of {} x {}, two loops", rows, cols),
                2.0 * product({rows, cols}), [=] {
                  cuda::parseval_project(nullptr, params, device<float>(rows * cols),
                                         device<std::uint64_t>(1));
                });
}

/// All rows have one source.
Case noise(NoiseDistribution distribution, const char* what, std::int64_t rows,
           std::int64_t elements) {
  return {fmt::format("{} noise, {} rows of {}", what, rows, elements), "mixed", 0.0,
          4.0 * product({rows + 1, elements}), [=] {
            NoiseParams params;
            params.distribution = distribution;
            params.scale = 0.5f;
            params.activation = Activation::relu();
            cuda::add_noise(nullptr, params, device<NoiseRow>(rows), rows, elements,
                            device<float>(elements), device<float>(rows * elements));
          }};
}

Case statistics(const DrawStatisticsParams& s) {
  return {fmt::format("statistics of {} rows of {}, {} classes", s.rows, s.width, s.classes),
          "fp32", 2.0 * product({s.rows, s.width, s.classes}),
          4.0 * (product({s.rows + s.classes, s.width}) + product({2 * s.rows + s.classes})), [=] {
            cuda::draw_statistics(nullptr, s, device<float>(s.rows * s.width),
                                  device<float>(s.classes * s.width), device<float>(s.classes),
                                  device<std::int64_t>(s.rows), device<std::uint64_t>(s.classes),
                                  device<std::uint64_t>(s.classes),
                                  device<std::uint64_t>(s.classes), device<std::uint64_t>(1));
          }};
}

Case bounds(std::int64_t images, std::int64_t classes) {
  return {fmt::format("bounds of {} images, {} classes", images, classes), "mixed", 0.0,
          8.0 * product({images, classes + 1}) +
              product({images, static_cast<std::int64_t>(sizeof(BoundedPrediction))}),
          [=] {
            BoundsParams params;
            params.images = images, params.classes = classes;
            params.scale_per_sensitivity = 0.5;
            std::vector<std::uint64_t> votes(static_cast<std::size_t>(images * classes));
            for (std::size_t i = 0; i < votes.size(); i += static_cast<std::size_t>(classes))
              votes[i] = 280, votes[i + 1] = 20;
            cuda::bound_predictions(
                nullptr, params,
                {.draws = device(images,
                                 std::vector<std::uint64_t>(static_cast<std::size_t>(images), 300)),
                 .votes = device(images * classes, votes)},
                device<BoundedPrediction>(images), device<std::uint64_t>(1));
          }};
}

/// The MNIST CNN behind its noise; the prefixes and statistics are all that goes from or to memory
/// besides the weights, in bf16.
Case multi_draw(std::int64_t images, std::uint32_t draws) {
  const MultiDrawNetwork network{
      .conv = square(1, 14, 32, 64, 5, 2), .hidden = 1024, .classes = 10};
  const double rows = product({images, draws});
  const std::int64_t weights = network.conv.weight_size() + network.dense_in() * network.hidden;
  return {
      fmt::format("{} draws of {} images, from noise to statistics", draws, images), "bf16",
      2.0 * rows *
          static_cast<double>(network.conv.multiply_adds() + network.dense_in() * network.hidden +
                              network.hidden * network.classes),
      4.0 * product({images, 14 * 14 * 32}) + 2.0 * static_cast<double>(weights), [=] {
        const auto prepared =
            cuda::prepare_multi_draw(nullptr, network,
                                     {.conv = device<float>(network.conv.weight_size()),
                                      .dense = device<float>(network.dense_in() * network.hidden),
                                      .head = device<float>(network.hidden * network.classes)});
        MultiDrawParams params;
        params.draws = draws, params.images = images;
        params.noise.distribution = NoiseDistribution::gaussian;
        params.noise.scale = 0.5f;
        auto* totals = device<std::uint64_t>(4 * images * network.classes);
        prepared->run(params, device<float>(images * 14 * 14 * 32), device<std::uint32_t>(images),
                      totals, totals + images * network.classes,
                      totals + 2 * images * network.classes, totals + 3 * images * network.classes);
      }};
}

/// Draws of one image at the first layer of a residual network: its prefix and, per draw, y.
Case noisy_convolution(const Conv2dShape& s) {
  const std::int64_t y = s.in_h * s.in_w * s.out_c, x = s.in_h * s.in_w * s.in_c;
  return {"noise inside the " + name(s), "bf16", 2.0 * product({s.batch, s.multiply_adds()}),
          2.0 * product({s.batch, y}) + 2.0 * static_cast<double>(s.weight_size()) +
              4.0 * static_cast<double>(x),
          [=] {
            NoisyInput input;
            input.noise.distribution = NoiseDistribution::gaussian;
            input.noise.scale = 0.5f;
            input.noise.activation = Activation::relu();
            cuda::noisy_conv2d(nullptr, s, input, device<NoiseRow>(s.batch), s.batch,
                               device<float>(x), device<std::uint16_t>(s.weight_size()), {},
                               device<std::uint16_t>(s.batch * y));
          }};
}

/// Every kernel, though not every instance of its template, must be launched by one of these.
std::vector<Case> cases() {
  const Conv2dShape mnist = square(512, 14, 32, 64, 5, 2);
  const Conv2dShape narrow = square(16, 32, 160, 160, 3, 1), wide = square(16, 8, 640, 640, 3, 1);
  using Bf16 = std::uint16_t;
  std::vector<Case> all = {noise(NoiseDistribution::gaussian, "Gaussian", 512, 6272),
                           noise(NoiseDistribution::laplace, "Laplace", 512, 6272),
                           direct(square(512, 28, 1, 32, 5, 2)),
                           direct(square(4, 299, 3, 32, 3, 2)),
                           forward<Bf16, Bf16>(mnist),
                           forward<Bf16, Bf16>(narrow),
                           forward<Bf16, Bf16>(wide),
                           forward<Bf16, float>(narrow),
                           forward<float, float>(narrow),
                           data_gradient(narrow),
                           weight_gradient<Bf16>(narrow),
                           weight_gradient<float>(narrow),
                           weight_gradient<Bf16>(mnist),
                           to_library(narrow),
                           dense({512, 3136, 1024}),
                           column_sums(512, 1024),
                           parseval(32, 25),
                           parseval(160, 1440),
                           statistics({512, 1024, 10}),
                           multi_draw(32, 320),
                           noisy_convolution(square(64, 32, 16, 160, 3, 1)),
                           statistics({64, 2048, 1000}),
                           bounds(1024, 10)};
  for (const auto& more : {batch_norm(32 * 32 * 32, 160), residual_parts(), training_parts()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("The kernels' work on representative shapes, for bench/kernels.py");
  int chosen = -1;
  const std::vector<Case> all = cases();
  program.add_option("--run", chosen, "Do the work of this case")
      ->check(CLI::Range(0, static_cast<int>(all.size()) - 1));
  CLI11_PARSE(program, argc, argv);
  try {
    if (chosen >= 0) {
      all[static_cast<std::size_t>(chosen)].work();
      if (const cudaError_t error = cudaDeviceSynchronize(); error != cudaSuccess)
        fail("{}: {}", all[static_cast<std::size_t>(chosen)].name, cudaGetErrorString(error));
      return 0;
    }
    if (!bench::recording())
      fail("another CUDA runtime is preloaded: nothing is recorded; without it, or with --run");
    nlohmann::json report = nlohmann::json::array();
    for (const Case& one : all) {
      nlohmann::json entry = {{"name", one.name},
                              {"unit", one.unit},
                              {"operations", one.operations},
                              {"bytes", one.bytes}};
      one.work();
      for (const bench::RecordedLaunch& launch : bench::take_launches()) {
        entry["launches"].push_back({{"kernel", launch.kernel},
                                     {"grid", launch.grid},
                                     {"block", launch.block},
                                     {"shared", launch.shared_bytes}});
      }
      report.push_back(std::move(entry));
    }
    fmt::print("{}\n", report.dump());
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return static_cast<int>(error.kind());
  }
}
