#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <cuda_runtime.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/cuda/launch_recorder.hpp"
#include "engine/error.hpp"
#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/convolution_bf16.hpp"
#include "kernels/cuda/convolution_bf16_weight.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/prepared.hpp"

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

template <class Output>
Case forward(const Conv2dShape& s) {
  const Sizes size(s);
  return {"convolution " + name(s) + (sizeof(Output) == 2 ? "" : ", to fp32"), "bf16",
          operations(s),
          2.0 * static_cast<double>(size.x + size.weight) +
              static_cast<double>(size.y) * sizeof(Output),
          [=] {
            const ConvTile tile = choose_conv_tile(s.batch * s.out_h() * s.out_w(), s.out_c);
            cuda::conv2d_bf16(nullptr, ConvPass::forward(s), tile, device<std::uint16_t>(size.x),
                              device<std::uint16_t>(size.weight), {}, device<Output>(size.y));
          }};
}

Case data_gradient(const Conv2dShape& s) {
  const Sizes size(s);
  return {"gradient in x, " + name(s), "bf16", operations(s),
          2.0 * static_cast<double>(size.x + size.weight + size.y), [=] {
            const auto* dy = device<std::uint16_t>(size.y);
            const auto* weight = device<std::uint16_t>(size.weight);
            auto* dx = device<std::uint16_t>(size.x);
            for (const ConvPass& pass : ConvPass::backward_data(s)) {
              const ConvTile tile =
                  choose_conv_tile(pass.batch * pass.out_h * pass.out_w, pass.out_c);
              cuda::conv2d_bf16(nullptr, pass, tile, dy, weight, {}, dx);
            }
          }};
}

Case weight_gradient(const Conv2dShape& s) {
  const Sizes size(s);
  return {"gradient in the weight, " + name(s), "bf16", operations(s),
          2.0 * static_cast<double>(size.x + size.y) + 4.0 * static_cast<double>(size.weight), [=] {
            cuda::conv2d_bf16_backward_weight(
                nullptr, s, device<std::uint16_t>(size.x), device<std::uint16_t>(size.y),
                device<float>(ConvWeightPlan::make(s).workspace_size()),
                device<float>(size.weight));
          }};
}

Case direct(const Conv2dShape& s) {
  const Sizes size(s);
  return {"direct convolution " + name(s), "fp32", operations(s),
          4.0 * static_cast<double>(size.x + size.weight + size.y), [=] {
            cuda::conv2d_direct(nullptr, s, Activation::identity(), device<float>(size.x),
                                device<float>(size.weight), device<float>(size.y));
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

/// With the rounding of x to bf16.
Case dense(const DenseShape& s) {
  return {
      fmt::format("dense layer {} x {} to {}, with rounding", s.rows, s.in, s.out), "bf16",
      2.0 * product({s.rows, s.in, s.out}),
      4.0 * product({s.rows, s.in}) + 2.0 * product({s.in, s.out}) + 4.0 * product({s.rows, s.out}),
      [=] {
        const std::vector<float> weight(static_cast<std::size_t>(s.in * s.out), 0.5f);
        cuda::prepare_dense(nullptr, s, weight.data(), nullptr, Activation::relu(), Precision::bf16)
            ->run(device<float>(s.rows * s.in), device<float>(s.rows * s.out));
      }};
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

/// Every kernel, though not every instance of its template, must be launched by one of these.
std::vector<Case> cases() {
  const Conv2dShape mnist = square(512, 14, 32, 64, 5, 2);
  const Conv2dShape narrow = square(32, 32, 160, 160, 3, 1), wide = square(32, 8, 640, 640, 3, 1);
  return {noise(NoiseDistribution::gaussian, "Gaussian", 512, 6272),
          noise(NoiseDistribution::laplace, "Laplace", 512, 6272),
          direct(square(512, 28, 1, 32, 5, 2)),
          direct(square(4, 299, 3, 32, 3, 2)),
          forward<std::uint16_t>(mnist),
          forward<std::uint16_t>(narrow),
          forward<std::uint16_t>(wide),
          forward<float>(narrow),
          data_gradient(narrow),
          weight_gradient(narrow),
          weight_gradient(mnist),
          to_library(narrow),
          dense({512, 3136, 1024}),
          statistics({512, 1024, 10}),
          statistics({64, 2048, 1000}),
          bounds(1024, 10)};
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
