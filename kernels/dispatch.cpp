#include "engine/error.hpp"
#include "kernels/cpu/operations.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/device_plan.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/libraries/training.hpp"
#include "kernels/cuda/loss.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/cuda/parseval.hpp"
#include "kernels/cuda/pooling.hpp"
#include "kernels/cuda/prepared.hpp"
#include "kernels/cuda/runtime.hpp"
#include "kernels/cuda/sgd.hpp"
#include "kernels/cuda/standardise.hpp"
#include "kernels/device_runtimes.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/multi_draw.hpp"
#include "kernels/noise.hpp"
#include "kernels/noisy_convolution.hpp"

// Each operation on the device of its stream.

/// Returns the operation as the GPU that the stream belongs to does it, or the emulated one;
/// otherwise goes on to the processor's. The operation is written once, without its namespace.
/// With _OR_LIBRARY, NVIDIA's libraries may do it on a GPU (kernels/cuda/libraries/training.hpp).
/// Streams of a device that the program was built without do not exist (engine/runtime.hpp).
#ifdef PIXELDP_WITH_EMULATOR
#define PIXELDP_ON_EMULATOR(stream, ...) \
  if ((stream).device().kind == DeviceKind::emulated) return emulated::__VA_ARGS__
#else
#define PIXELDP_ON_EMULATOR(stream, ...) static_cast<void>(stream)
#endif
#ifdef PIXELDP_WITH_CUDA
#define PIXELDP_ON_GPU_OR_LIBRARY(stream, ...)                                         \
  if ((stream).device().kind == DeviceKind::cuda) return cuda::libraries::__VA_ARGS__; \
  PIXELDP_ON_EMULATOR(stream, __VA_ARGS__)
#define PIXELDP_ON_GPU(stream, ...)                                         \
  if ((stream).device().kind == DeviceKind::cuda) return cuda::__VA_ARGS__; \
  PIXELDP_ON_EMULATOR(stream, __VA_ARGS__)
#else
#define PIXELDP_ON_GPU PIXELDP_ON_EMULATOR
#define PIXELDP_ON_GPU_OR_LIBRARY PIXELDP_ON_EMULATOR
#endif

namespace pixeldp::kernels {

void register_device_runtimes() {
#ifdef PIXELDP_WITH_CUDA
  register_runtime(DeviceKind::cuda, cuda::device_runtime());
#endif
#ifdef PIXELDP_WITH_EMULATOR
  register_runtime(DeviceKind::emulated, emulated::device_runtime());
#endif
}

/// When the program starts. This file is part of every program that uses an operation.
[[maybe_unused]] const bool runtimes_are_known = [] {
  register_device_runtimes();
  return true;
}();

// ---- Noise and statistics

void add_noise(const Stream& stream, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y) {
  PIXELDP_ON_GPU(stream, add_noise(stream.native(), params, rows, row_count, elements, prefix, y));
  cpu::add_noise(cpu::best_instruction_set(), params, rows, row_count, elements, prefix, y);
}

void draw_statistics(const Stream& stream, const DrawStatisticsParams& params,
                     const float* features, const float* weight, const float* bias,
                     const std::int64_t* row_image, std::uint64_t* votes, std::uint64_t* sums,
                     std::uint64_t* squares, std::uint64_t* bad_row) {
  PIXELDP_ON_GPU(stream, draw_statistics(stream.native(), params, features, weight, bias, row_image,
                                         votes, sums, squares, bad_row));
  cpu::draw_statistics(cpu::best_instruction_set(), params, features, weight, bias, row_image,
                       votes, sums, squares);
}

void bound_predictions(const Stream& stream, const BoundsParams& params,
                       const CountedDraws& counted, BoundedPrediction* results,
                       std::uint64_t* bad_image) {
  PIXELDP_ON_GPU(stream, bound_predictions(stream.native(), params, counted, results, bad_image));
  fail("a processor makes certificates one by one (pixeldp::certify)");
}

bool multi_draw_supported(const Device& device, const MultiDrawNetwork& network) {
  return device.kind != DeviceKind::cpu && MultiDrawGrid::supports(network, arch_of(device));
}

std::unique_ptr<MultiDraw> prepare_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                              const MultiDrawWeights& weights) {
  PIXELDP_ON_GPU(stream, prepare_multi_draw(stream.native(), network, weights));
  fail("the device {} has no multi-draw kernel: evaluate the network layer by layer",
       stream.device().name());
}

bool noisy_conv2d_supported(const Device& device, const Conv2dShape& shape) {
  return device.kind != DeviceKind::cpu && NoisyConvPlan::supports(shape);
}

std::unique_ptr<NoisyConv2d> prepare_noisy_conv2d(const Stream& stream, const Conv2dShape& shape,
                                                  const float* weight, const NoisyScaling& scaling,
                                                  const Conv2dEpilogue& epilogue) {
  PIXELDP_ON_GPU(stream, prepare_noisy_conv2d(stream.native(), shape, weight, scaling, epilogue));
  fail("the device {} makes no noise inside a convolution: use add_noise and prepare_conv2d",
       stream.device().name());
}

std::unique_ptr<DevicePlan> prepare_device_plan(const Stream& stream, const InferencePlan& plan,
                                                const std::vector<StepWeights>& weights,
                                                DeviceSchedule schedule) {
  PIXELDP_ON_GPU(stream, prepare_device_plan(stream.native(), plan, weights, std::move(schedule)));
  fail("a processor calculates plans by prepare_inference");
}

// ---- Convolution

void conv2d_forward(const Stream& stream, const Conv2dShape& shape, Precision precision,
                    const float* x, const float* weight, float* y) {
  PIXELDP_ON_GPU_OR_LIBRARY(stream,
                            conv2d_forward(stream.native(), shape, precision, x, weight, y));
  cpu::conv2d_forward(shape, precision, x, weight, y);
}

void conv2d_backward_data(const Stream& stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx) {
  PIXELDP_ON_GPU_OR_LIBRARY(
      stream, conv2d_backward_data(stream.native(), shape, precision, dy, weight, dx));
  cpu::conv2d_backward_data(shape, precision, dy, weight, dx);
}

void conv2d_backward_weight(const Stream& stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight) {
  PIXELDP_ON_GPU_OR_LIBRARY(
      stream, conv2d_backward_weight(stream.native(), shape, precision, x, dy, dweight));
  cpu::conv2d_backward_weight(shape, precision, x, dy, dweight);
}

std::unique_ptr<Prepared> prepare_conv2d(const Stream& stream, const Conv2dShape& shape,
                                         const float* weight, const Conv2dEpilogue& epilogue,
                                         Precision precision) {
  PIXELDP_ON_GPU(stream, prepare_conv2d(stream.native(), shape, weight, epilogue, precision));
  return cpu::prepare_conv2d(shape, weight, epilogue);
}

// ---- Dense layers

void dense_forward(const Stream& stream, const DenseShape& shape, Precision precision,
                   const float* x, const float* weight, const float* bias, float* y) {
  PIXELDP_ON_GPU_OR_LIBRARY(stream,
                            dense_forward(stream.native(), shape, precision, x, weight, bias, y));
  cpu::dense_forward(shape, precision, x, weight, bias, y);
}

void dense_backward_data(const Stream& stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx) {
  PIXELDP_ON_GPU_OR_LIBRARY(stream,
                            dense_backward_data(stream.native(), shape, precision, dy, weight, dx));
  cpu::dense_backward_data(shape, precision, dy, weight, dx);
}

void dense_backward_weight(const Stream& stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias) {
  PIXELDP_ON_GPU_OR_LIBRARY(
      stream, dense_backward_weight(stream.native(), shape, precision, x, dy, dweight, dbias));
  cpu::dense_backward_weight(shape, precision, x, dy, dweight, dbias);
}

std::unique_ptr<Prepared> prepare_dense(const Stream& stream, const DenseShape& shape,
                                        const float* weight, const float* bias,
                                        Activation activation, Precision precision) {
  PIXELDP_ON_GPU(stream,
                 prepare_dense(stream.native(), shape, weight, bias, activation, precision));
  return cpu::prepare_dense(shape, weight, bias, activation);
}

// ---- Batch normalisation

void batch_norm_forward(const Stream& stream, const BatchNormParams& params, const float* x,
                        const float* gamma, const float* beta, float* running_mean,
                        float* running_variance, float* mean, float* invstd, float* y,
                        float* workspace) {
  PIXELDP_ON_GPU(stream, batch_norm_forward(stream.native(), params, x, gamma, beta, running_mean,
                                            running_variance, mean, invstd, y, workspace));
  cpu::batch_norm_forward(params, x, gamma, beta, running_mean, running_variance, mean, invstd, y,
                          workspace);
}

void batch_norm_backward(const Stream& stream, const BatchNormParams& params, const float* x,
                         const float* mean, const float* invstd, const float* gamma,
                         const float* beta, const float* dy, float* dx, float* dgamma, float* dbeta,
                         float* workspace) {
  PIXELDP_ON_GPU(stream, batch_norm_backward(stream.native(), params, x, mean, invstd, gamma, beta,
                                             dy, dx, dgamma, dbeta, workspace));
  cpu::batch_norm_backward(params, x, mean, invstd, gamma, beta, dy, dx, dgamma, dbeta, workspace);
}

void fold_batch_norm(const Stream& stream, const BatchNormParams& params, const float* gamma,
                     const float* beta, const float* running_mean, const float* running_variance,
                     float* scale, float* shift) {
  PIXELDP_ON_GPU(stream, fold_batch_norm(stream.native(), params, gamma, beta, running_mean,
                                         running_variance, scale, shift));
  cpu::fold_batch_norm(params, gamma, beta, running_mean, running_variance, scale, shift);
}

void batch_norm_inference(const Stream& stream, const BatchNormParams& params, const float* x,
                          const float* scale, const float* shift, float* y) {
  PIXELDP_ON_GPU(stream, batch_norm_inference(stream.native(), params, x, scale, shift, y));
  cpu::batch_norm_inference(params, x, scale, shift, y);
}

// ---- Pooling and residual shortcuts

void global_average_pool(const Stream& stream, const GlobalPoolShape& shape, const float* x,
                         float* y) {
  PIXELDP_ON_GPU(stream, global_average_pool(stream.native(), shape, x, y));
  cpu::global_average_pool(shape, x, y);
}

void global_average_pool_backward(const Stream& stream, const GlobalPoolShape& shape,
                                  const float* dy, float* dx) {
  PIXELDP_ON_GPU(stream, global_average_pool_backward(stream.native(), shape, dy, dx));
  cpu::global_average_pool_backward(shape, dy, dx);
}

void shortcut_forward(const Stream& stream, const ShortcutShape& shape, const float* x, float* y) {
  PIXELDP_ON_GPU(stream, shortcut_forward(stream.native(), shape, x, y));
  cpu::shortcut_forward(shape, x, y);
}

void shortcut_backward(const Stream& stream, const ShortcutShape& shape, const float* dy,
                       float* dx) {
  PIXELDP_ON_GPU(stream, shortcut_backward(stream.native(), shape, dy, dx));
  cpu::shortcut_backward(shape, dy, dx);
}

void add(const Stream& stream, Activation activation, std::int64_t size, const float* a,
         const float* b, float* y) {
  PIXELDP_ON_GPU(stream, add(stream.native(), activation, size, a, b, y));
  cpu::add(activation, size, a, b, y);
}

// ---- Images

void standardise(const Stream& stream, std::int64_t images, std::int64_t values, const float* x,
                 float* y) {
  PIXELDP_ON_GPU(stream, standardise(stream.native(), images, values, x, y));
  cpu::standardise(images, values, x, y);
}

void standardise_backward(const Stream& stream, std::int64_t images, std::int64_t values,
                          const float* x, const float* dy, float* dx) {
  PIXELDP_ON_GPU(stream, standardise_backward(stream.native(), images, values, x, dy, dx));
  cpu::standardise_backward(images, values, x, dy, dx);
}

// ---- Training

void activate(const Stream& stream, Activation activation, std::int64_t size, float* y) {
  PIXELDP_ON_GPU(stream, activate(stream.native(), activation, size, y));
  cpu::activate(activation, size, y);
}

void activation_backward(const Stream& stream, Activation activation, std::int64_t size,
                         const float* y, float* gradient) {
  PIXELDP_ON_GPU(stream, activation_backward(stream.native(), activation, size, y, gradient));
  cpu::activation_backward(activation, size, y, gradient);
}

void softmax_cross_entropy(const Stream& stream, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels, float* dlogits,
                           LossResult* result) {
  PIXELDP_ON_GPU(stream, softmax_cross_entropy(stream.native(), rows, classes, logits, labels,
                                               dlogits, result));
  cpu::softmax_cross_entropy(rows, classes, logits, labels, dlogits, result);
}

void sgd_steps(const Stream& stream, std::span<const SgdStep> steps) {
  PIXELDP_ON_GPU(stream, sgd_steps(stream.native(), steps));
  cpu::sgd_steps(steps);
}

void parseval_project(const Stream& stream, const ParsevalParams& params, float* weight,
                      std::uint64_t* bad_loop) {
  PIXELDP_ON_GPU(stream, parseval_project(stream.native(), params, weight, bad_loop));
  cpu::parseval_project(params, weight, bad_loop);
}

}  // namespace pixeldp::kernels
