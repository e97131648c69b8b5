#include "kernels/real_output.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "engine/error.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/formulas/statistics.hpp"

namespace pixeldp::kernels {
namespace {

/// One lane of elementary.hpp, in the arithmetic of every processor.
struct ScalarLane {
  static constexpr int lanes = 1;
  using Floats = float;
  using Words = std::uint32_t;
  static float fma(float a, float b, float c) { return std::fma(a, b, c); }
  static float max(float a, float b) { return a > b ? a : b; }
};

void check_processor(const Stream& stream) {
  if (stream.device().kind != DeviceKind::cpu)
    fail_usage("device {}: regression networks are for processors; use 'cpu'",
               stream.device().name());
}

/// Adds what one output adds.
void add_output(const RealOutput& output, double u, OutputTotals& totals) {
  const double place = std::clamp(u, 0.0, 1.0), value = output.at(place);
  const auto add = [](double score, std::uint64_t& sum, std::uint64_t& squares) {
    sum += static_cast<std::uint64_t>(std::llrint(score / score_unit));
    squares += static_cast<std::uint64_t>(std::llrint(score * score / score_unit));
  };
  if (value > 0.0)
    add(std::min(value / output.high, 1.0), totals.positive, totals.positive_squares);
  if (value < 0.0) add(std::min(value / output.low, 1.0), totals.negative, totals.negative_squares);
  ++totals.counts[static_cast<std::size_t>(place * output_steps)];
}

/// The totals of one image on their way to those of all.
class ImageTotals {
 public:
  explicit ImageTotals(OutputTotals* totals) : totals_(totals) {}
  ~ImageTotals() { flush(); }
  ImageTotals(const ImageTotals&) = delete;
  ImageTotals& operator=(const ImageTotals&) = delete;

  OutputTotals& of(std::int64_t image) {
    if (image != image_) flush();
    image_ = image;
    return local_;
  }

 private:
  void flush() {
    if (image_ < 0) return;
    OutputTotals& to = totals_[image_];
    const auto add = [](std::uint64_t& sum, std::uint64_t part) {
      if (part != 0) std::atomic_ref(sum).fetch_add(part, std::memory_order_relaxed);
    };
    add(to.positive, local_.positive);
    add(to.positive_squares, local_.positive_squares);
    add(to.negative, local_.negative);
    add(to.negative_squares, local_.negative_squares);
    for (std::size_t i = 0; i < to.counts.size(); ++i) add(to.counts[i], local_.counts[i]);
    local_ = {};
  }

  OutputTotals* totals_;
  OutputTotals local_ = {};
  std::int64_t image_ = -1;
};

}  // namespace

double place_of(OutputKind kind, float z) {
  switch (kind) {
    case OutputKind::sigmoid: {
      const double small = exp_nonpositive<ScalarLane>(-std::abs(z));
      return (z < 0.0f ? small : 1.0) / (1.0 + small);
    }
    case OutputKind::truncated:
      return std::clamp(0.5 + z, 0.0, 1.0);
    case OutputKind::unbounded:
      return 0.5 + z;
  }
  fail("not a kind of output: {}", static_cast<int>(kind));
}

void output_statistics(const Stream& stream, const OutputStatisticsParams& params,
                       const float* features, const float* weight, const float* bias,
                       const std::int64_t* row_image, OutputTotals* totals) {
  check_processor(stream);
  if (params.rows < 0 || params.width < 0)
    fail("output statistics of {} rows of {} features", params.rows, params.width);
  const cpu::SimdKernels& kernels = cpu::simd_kernels(cpu::best_instruction_set());
  float logits[cpu::max_tile_rows * statistics_lanes];
  cpu::LogitsTile tile;
  tile.width = params.width;
  tile.classes = 1;
  tile.stride = statistics_lanes;
  tile.weight = weight;
  tile.bias = bias;
  tile.logits = logits;
  ImageTotals image_totals(totals);
  for (std::int64_t first = 0; first < params.rows; first += kernels.tile_rows) {
    tile.rows = static_cast<int>(std::min<std::int64_t>(kernels.tile_rows, params.rows - first));
    for (int i = 0; i < tile.rows; ++i) tile.features[i] = features + (first + i) * params.width;
    kernels.logits(tile);
    for (int i = 0; i < tile.rows; ++i) {
      const std::int64_t row = first + i;
      if (row_image[row] < 0) continue;
      const float z = logits[i * statistics_lanes];
      if (!std::isfinite(z))
        check_bad_row(static_cast<std::uint64_t>(row), {params.rows, params.width, 1}, row_image);
      add_output(params.output, place_of(params.output.kind, z), image_totals.of(row_image[row]));
    }
  }
}

LossResult squared_error(const Stream& stream, std::int64_t rows, const RealOutput& output,
                         const float* z, const float* targets, float* dz) {
  check_processor(stream);
  if (rows < 0) fail("the loss of {} rows", rows);
  const OutputKind kind =
      output.kind == OutputKind::truncated ? OutputKind::unbounded : output.kind;
  double loss = 0.0;
  for (std::int64_t r = 0; r < rows; ++r) {
    const double u = place_of(kind, z[r]);
    const double error = u - (targets[r] - output.low) / output.width();
    loss += error * error;
    dz[r] = static_cast<float>(2.0 * error * slope_of(kind, u) / static_cast<double>(rows));
  }
  return {loss / static_cast<double>(rows), 0};
}

}  // namespace pixeldp::kernels
