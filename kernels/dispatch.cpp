#include "engine/error.hpp"
#include "kernels/cpu/prepared.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/prepared.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/noise.hpp"
#include "kernels/stream.hpp"

// Each operation on the device of its stream. Operations that are not here run on a CPU only.
namespace pixeldp::kernels {
namespace {

bool is_emulated(const Stream& stream) { return stream.device().kind == DeviceKind::emulated; }

}  // namespace

void add_noise(const Stream& stream, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y) {
  if (is_emulated(stream))
    return emulated::add_noise(nullptr, params, rows, row_count, elements, prefix, y);
  cpu::add_noise(cpu::best_instruction_set(), params, rows, row_count, elements, prefix, y);
}

void draw_statistics(const Stream& stream, const DrawStatisticsParams& params,
                     const float* features, const float* weight, const float* bias,
                     const std::int64_t* row_image, std::uint64_t* votes, std::uint64_t* sums,
                     std::uint64_t* squares) {
  if (is_emulated(stream)) {
    std::uint64_t bad_row = no_bad_row;
    emulated::draw_statistics(nullptr, params, features, weight, bias, row_image, votes, sums,
                              squares, &bad_row);
    synchronize(stream);
    return check_bad_row(bad_row, params, row_image);
  }
  cpu::draw_statistics(cpu::best_instruction_set(), params, features, weight, bias, row_image,
                       votes, sums, squares);
}

std::unique_ptr<Prepared> prepare_conv2d(const Stream& stream, const Conv2dShape& shape,
                                         const float* weight, Activation activation,
                                         Precision precision) {
  if (is_emulated(stream))
    return emulated::prepare_conv2d(nullptr, shape, weight, activation, precision);
  return cpu::prepare_conv2d(shape, weight, activation);
}

std::unique_ptr<Prepared> prepare_dense(const Stream& stream, const DenseShape& shape,
                                        const float* weight, const float* bias,
                                        Activation activation, Precision precision) {
  if (is_emulated(stream))
    return emulated::prepare_dense(nullptr, shape, weight, bias, activation, precision);
  return cpu::prepare_dense(shape, weight, bias, activation);
}

void synchronize(const Stream& stream) {
  if (is_emulated(stream)) emulated::synchronize(nullptr);
}

}  // namespace pixeldp::kernels
