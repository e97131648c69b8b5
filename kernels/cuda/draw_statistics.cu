/// x = weight * features[r] + bias,  p = softmax(x),  i = row_image[r]
/// votes[i, argmax x] += 1,  sums[i, c] += round(p_c * 2^32),  squares[i, c] += round(p_c^2 * 2^32)
///
/// as defined in kernels/draw_statistics.hpp, with the order of every sum and the formulas of
/// kernels/formulas/statistics.hpp, which the processor's kernels share: the same integers.
///
/// Layouts: features [rows, width], weight [classes, width], bias [classes] or null, row_image
/// [rows], dense, of any alignment; votes, sums, squares [images, classes].
///
/// Work: a half-warp's lanes are the 16 partial sums of a dot product; a warp makes the logits of
/// four rows and ten classes (five a half) at a time, so a loaded weight serves four rows and a
/// loaded feature five classes, and then the scores of two rows at a time, one a half. What the
/// rows of a block add to one image, the highest one that it meets, is first summed in shared
/// memory; rows of other images add to the totals themselves. Additions are of integers, so their
/// order changes nothing.
///
/// Fused: dense layer, softmax, argmax, statistics. Never written to global memory: logits, scores.
///
/// Bytes: a warp reads its four rows of features and ten classes of weights, most of which come
/// from the caches: 4 * width * (rows * classes / 10 + rows * classes / 4), where neither divides,
/// rounded up. Added to the totals: 24 per class and block of up to 32 rows.
///
/// Operations: rows * width * classes multiply-additions in single precision; for each warp-wide
/// one 3.4 instructions of PTX (1024 rows, 640 features, 10 classes; counted, not timed on a GPU).
/// Per score, an exponential of 11 operations, and a division and 4 more in double precision.
#include <iterator>

#include "kernels/cuda/current_arch.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.cuh"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <int shape>
struct SharedStorage {
  static constexpr int classes = StatisticsGrid::shapes[shape].capacity;
  static constexpr int warps = StatisticsGrid::shapes[shape].warps;
  static constexpr int threads = 32 * warps, rows = warp_rows * warps;
  static_assert(rows <= 32, "each warp looks up the images of all rows of the block");

  BlockSums<classes> sums;
  float logits[warps][warp_rows][logits_stride(classes)];
};

struct Input {
  DrawStatisticsParams params;
  const float* features;
  const float* weight;
  const float* bias;
  const std::int64_t* row_image;
};

template <class Storage>
__global__ void __launch_bounds__(Storage::threads, 1)
    draw_statistics_kernel(Input input, Totals totals) {
  Storage& shared = shared_storage<Storage>();
  const int classes = static_cast<int>(input.params.classes);
  const int warp = threadIdx.y, thread = warp * 32 + threadIdx.x;
  const std::int64_t first_row = std::int64_t{blockIdx.x} * Storage::rows;

  std::int64_t image = -1;  // of row first_row + lane
  if (threadIdx.x < Storage::rows && first_row + threadIdx.x < input.params.rows)
    image = input.row_image[first_row + threadIdx.x];
  std::int64_t block_image = image;
  for (int bits = 16; bits > 0; bits /= 2) {
    const std::int64_t other = __shfl_xor_sync(whole_warp, block_image, bits);
    if (other > block_image) block_image = other;
  }
  if (block_image < 0) return;  // the whole block: padding only

  shared.sums.clear(classes, thread, Storage::threads);
  __syncthreads();

  const unsigned counts = __ballot_sync(whole_warp, image >= 0) >> (warp * warp_rows);
  if ((counts & ((1u << warp_rows) - 1)) != 0) {
    auto& logits = shared.logits[warp];
    const auto [rows, width, class_count] = input.params;
    const auto row = [&](int r) {  // past the end, the last one
      const std::int64_t wanted = first_row + warp * warp_rows + r;
      return input.features + (wanted < rows ? wanted : rows - 1) * width;
    };
    make_logits({input.weight, input.bias, width, class_count}, row, logits);
    const int lane = threadIdx.x % statistics_lanes, half = threadIdx.x / statistics_lanes;
    for (int pair = 0; pair < warp_rows; pair += 2) {
      const int r = warp * warp_rows + pair + half;
      const std::int64_t row_image = __shfl_sync(whole_warp, image, r);
      const auto add = [&](int kind, int c, Count value) {
        Count* const sum = row_image == block_image ? &shared.sums.kind[kind][c]
                                                    : totals.kind[kind] + row_image * classes + c;
        if (value != 0) atomicAdd(sum, value);
      };
      if (!score_rows(logits[pair + half], classes, row_image >= 0, add) && lane == 0)
        atomicMin(totals.bad_row, static_cast<Count>(first_row + r));
    }
  }
  __syncthreads();
  shared.sums.add_to(totals, block_image, classes, thread, Storage::threads);
}

template <int shape>
void run(cudaStream_t stream, const StatisticsGrid& grid, const Input& input,
         const Totals& totals) {
  using Storage = SharedStorage<shape>;
  static_assert(sizeof(Storage) == StatisticsGrid::shapes[shape].shared_bytes);
  if (grid.shape.capacity == Storage::classes) {
    launch<draw_statistics_kernel<Storage>>(grid.blocks, dim3(32, Storage::warps), sizeof(Storage),
                                            stream, input, totals);
  } else if constexpr (shape + 1 < std::size(StatisticsGrid::shapes)) {
    run<shape + 1>(stream, grid, input, totals);
  }
}

}  // namespace

void draw_statistics(const Stream& stream, const DrawStatisticsParams& params,
                     const float* features, const float* weight, const float* bias,
                     const std::int64_t* row_image, std::uint64_t* votes, std::uint64_t* sums,
                     std::uint64_t* squares, std::uint64_t* bad_row) {
  const StatisticsGrid grid = StatisticsGrid::plan(params, current_arch());
  if (params.rows == 0) return;
  const auto counts = [](std::uint64_t* values) { return reinterpret_cast<Count*>(values); };
  run<0>(native(stream), grid, {params, features, weight, bias, row_image},
         {{counts(votes), counts(sums), counts(squares)}, counts(bad_row)});
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
