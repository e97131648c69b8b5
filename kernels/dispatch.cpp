#include "engine/error.hpp"
#include "kernels/cpu/operations.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/prepared.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/multi_draw.hpp"
#include "kernels/noise.hpp"
#include "kernels/stream.hpp"

// Each operation on the device of its stream.

/// Returns the operation as the GPU that the stream belongs to does it, or the emulated one;
/// otherwise goes on to the processor's. The operation is written once, without its namespace.
#ifdef PIXELDP_WITH_CUDA
#define PIXELDP_ON_GPU(stream, ...)                                         \
  if ((stream).device().kind == DeviceKind::cuda) return cuda::__VA_ARGS__; \
  if ((stream).device().kind == DeviceKind::emulated) return emulated::__VA_ARGS__
#else
#define PIXELDP_ON_GPU(stream, ...) \
  if ((stream).device().kind == DeviceKind::emulated) return emulated::__VA_ARGS__
#endif

namespace pixeldp::kernels {

void synchronize(const Stream& stream) { PIXELDP_ON_GPU(stream, synchronize(stream.native())); }

// ---- Noise and statistics

void add_noise(const Stream& stream, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y) {
  PIXELDP_ON_GPU(stream, add_noise(stream.native(), params, rows, row_count, elements, prefix, y));
  cpu::add_noise(cpu::best_instruction_set(), params, rows, row_count, elements, prefix, y);
}

void draw_statistics(const Stream& stream, const DrawStatisticsParams& params,
                     const float* features, const float* weight, const float* bias,
                     const std::int64_t* row_image, std::uint64_t* votes, std::uint64_t* sums,
                     std::uint64_t* squares) {
  if (stream.device().kind == DeviceKind::emulated) {
    std::uint64_t bad_row = no_bad_row;
    emulated::draw_statistics(nullptr, params, features, weight, bias, row_image, votes, sums,
                              squares, &bad_row);
    synchronize(stream);
    return check_bad_row(bad_row, params, row_image);
  }
  cpu::draw_statistics(cpu::best_instruction_set(), params, features, weight, bias, row_image,
                       votes, sums, squares);
}

bool multi_draw_supported(const Device& device, const MultiDrawNetwork& network) {
  return device.kind != DeviceKind::cpu && MultiDrawGrid::supports(network);
}

std::unique_ptr<MultiDraw> prepare_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                              const MultiDrawWeights& weights) {
  PIXELDP_ON_GPU(stream, prepare_multi_draw(stream.native(), network, weights));
  fail("the device {} has no multi-draw kernel: evaluate the network layer by layer",
       stream.device().name());
}

// ---- Convolution

void conv2d_forward(const Stream&, const Conv2dShape& shape, Precision, const float* x,
                    const float* weight, float* y) {
  cpu::conv2d_forward(shape, x, weight, y);
}

void conv2d_backward_data(const Stream&, const Conv2dShape& shape, Precision, const float* dy,
                          const float* weight, float* dx) {
  cpu::conv2d_backward_data(shape, dy, weight, dx);
}

void conv2d_backward_weight(const Stream&, const Conv2dShape& shape, Precision, const float* x,
                            const float* dy, float* dweight) {
  cpu::conv2d_backward_weight(shape, x, dy, dweight);
}

std::unique_ptr<Prepared> prepare_conv2d(const Stream& stream, const Conv2dShape& shape,
                                         const float* weight, Activation activation,
                                         Precision precision) {
  PIXELDP_ON_GPU(stream, prepare_conv2d(stream.native(), shape, weight, activation, precision));
  return cpu::prepare_conv2d(shape, weight, activation);
}

// ---- Dense layers

void dense_forward(const Stream&, const DenseShape& shape, Precision, const float* x,
                   const float* weight, const float* bias, float* y) {
  cpu::dense_forward(shape, x, weight, bias, y);
}

void dense_backward_data(const Stream&, const DenseShape& shape, Precision, const float* dy,
                         const float* weight, float* dx) {
  cpu::dense_backward_data(shape, dy, weight, dx);
}

void dense_backward_weight(const Stream&, const DenseShape& shape, Precision, const float* x,
                           const float* dy, float* dweight, float* dbias) {
  cpu::dense_backward_weight(shape, x, dy, dweight, dbias);
}

std::unique_ptr<Prepared> prepare_dense(const Stream& stream, const DenseShape& shape,
                                        const float* weight, const float* bias,
                                        Activation activation, Precision precision) {
  PIXELDP_ON_GPU(stream,
                 prepare_dense(stream.native(), shape, weight, bias, activation, precision));
  return cpu::prepare_dense(shape, weight, bias, activation);
}

// ---- Training

void activate(const Stream&, Activation activation, std::int64_t size, float* y) {
  cpu::activate(activation, size, y);
}

void activation_backward(const Stream&, Activation activation, std::int64_t size, const float* y,
                         float* gradient) {
  cpu::activation_backward(activation, size, y, gradient);
}

void softmax_cross_entropy(const Stream&, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels, float* dlogits,
                           LossResult* result) {
  cpu::softmax_cross_entropy(rows, classes, logits, labels, dlogits, result);
}

void sgd_step(const Stream&, const SgdParams& params, std::int64_t size, const float* gradient,
              float* velocity, float* weight) {
  cpu::sgd_step(params, size, gradient, velocity, weight);
}

}  // namespace pixeldp::kernels
