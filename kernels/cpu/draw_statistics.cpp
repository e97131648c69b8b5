#include "kernels/draw_statistics.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

#include "kernels/cpu/operations.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/formulas/statistics.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// Below this many multiplications, waking other threads costs more than it gains.
constexpr std::int64_t parallel_multiplications = 1 << 21;

/// One thread's logits and the sums of the image that it is at.
class Accumulator {
 public:
  Accumulator(std::int64_t classes, std::uint64_t* votes, std::uint64_t* sums,
              std::uint64_t* squares)
      : classes_(classes),
        stride_((classes + statistics_lanes - 1) / statistics_lanes * statistics_lanes),
        logits_(static_cast<std::size_t>(max_tile_rows * stride_)),
        local_(static_cast<std::size_t>(3 * stride_)),
        totals_{votes, sums, squares} {}

  std::int64_t stride() const { return stride_; }
  float* logits(int row = 0) { return logits_.data() + row * stride_; }

  /// False when one of the row's logits is not finite.
  bool add(const SimdKernels& kernels, int row, std::int64_t image) {
    if (image != image_) flush();
    image_ = image;
    const LocalStatistics local = {local_.data(), local_.data() + stride_,
                                   local_.data() + 2 * stride_};
    return kernels.add_scores(logits(row), classes_, local);
  }

  /// Adds the local sums to the totals, and zeroes them.
  void flush() {
    if (image_ < 0) return;
    for (int kind = 0; kind < 3; ++kind) {
      std::uint64_t* total = totals_[kind] + image_ * classes_;
      const std::uint64_t* local = local_.data() + kind * stride_;
      for (std::int64_t c = 0; c < classes_; ++c) {
        if (local[c] != 0) std::atomic_ref(total[c]).fetch_add(local[c], std::memory_order_relaxed);
      }
    }
    std::fill(local_.begin(), local_.end(), 0);
  }

 private:
  std::int64_t classes_, stride_;
  std::vector<float> logits_;
  std::vector<std::uint64_t> local_;
  std::uint64_t* totals_[3];
  std::int64_t image_ = -1;
};

}  // namespace

void draw_statistics(InstructionSet set, const DrawStatisticsParams& params, const float* features,
                     const float* weight, const float* bias, const std::int64_t* row_image,
                     std::uint64_t* votes, std::uint64_t* sums, std::uint64_t* squares) {
  const auto [rows, width, classes] = params;
  const SimdKernels& kernels = simd_kernels(set);
  const std::int64_t tiles = (rows + kernels.tile_rows - 1) / kernels.tile_rows;
  std::atomic<std::int64_t> bad_row = std::numeric_limits<std::int64_t>::max();

#pragma omp parallel if (rows * width * classes >= parallel_multiplications)
  {
    Accumulator accumulator(params.classes, votes, sums, squares);
    LogitsTile tile;
    tile.width = params.width;
    tile.classes = params.classes;
    tile.stride = accumulator.stride();
    tile.weight = weight;
    tile.bias = bias;
    tile.logits = accumulator.logits();
#pragma omp for schedule(static)
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t first = t * kernels.tile_rows;
      std::int64_t source[max_tile_rows];
      tile.rows = 0;
      for (std::int64_t r = first; r < std::min(first + kernels.tile_rows, params.rows); ++r) {
        if (row_image[r] < 0) continue;
        source[tile.rows] = r;
        tile.features[tile.rows++] = features + r * params.width;
      }
      kernels.logits(tile);
      for (int i = 0; i < tile.rows; ++i) {
        if (accumulator.add(kernels, i, row_image[source[i]])) continue;
        std::int64_t known = bad_row;
        while (source[i] < known && !bad_row.compare_exchange_weak(known, source[i])) {
        }
      }
    }
    accumulator.flush();
  }
  if (bad_row < rows) check_bad_row(static_cast<std::uint64_t>(bad_row), params, row_image);
}

void draw_statistics(const Stream&, const DrawStatisticsParams& params, const float* features,
                     const float* weight, const float* bias, const std::int64_t* row_image,
                     std::uint64_t* votes, std::uint64_t* sums, std::uint64_t* squares,
                     std::uint64_t*) {
  draw_statistics(best_instruction_set(), params, features, weight, bias, row_image, votes, sums,
                  squares);
}

}  // namespace pixeldp::kernels::cpu
