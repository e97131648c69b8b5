/// dweight[o, c, r, s] = sum over n, p, q of dy[n, p, q, o]
///                                           * x[n, p stride + r - pad, q stride + s - pad, c]
///
/// on tensor cores: a matrix product whose rows are channels of dy, whose columns are (r, s, c),
/// and whose sums run over pixels.
///
/// Layouts: x [batch, in_h, in_w, in_c] and dy [batch, out_h, out_w, out_c] in bf16, channels
/// multiples of 8, aligned to 16 bytes; dweight OIHW in single precision; partial sums
/// [split, out_c, r, s, c].
///
/// Work: a block makes ConvTile::m channels by ConvTile::n columns of one split, 32 pixels a step.
/// cp.async brings steps into a ring three ahead, as they lie in memory, a pixel to a row: chunk c
/// of row i lies at c xor (i mod 8), which leaves cp.async and ldmatrix without bank conflicts.
/// ldmatrix transposes, because sums run over rows. A thread brings one chunk of every few pixels:
/// one channel chunk of dy, and one chunk of x at one tap; it goes from pixel to pixel by
/// additions.
///
/// Sums are cut into splits, because there are many pixels and few results. A second kernel adds
/// the splits in ascending order and re-orders: no atomics, the same bits every time.
///
/// Fused: padding, gathering of patches. Never written: patches.
///
/// Bytes: from the L2 cache, dy once for each n columns and x once for each tap and m channels;
/// partial sums, 4 bytes per split and element, written and read. Operations: 2 per pixel and
/// element of the weight.
///
///   tile        registers sm_80, sm_90   shared memory   (nvcc --resource-usage; none spilt)
///   128 x 128   254, 255              65536
///    64 x 64    114, 120              32768
#include "kernels/cuda/convolution_bf16_weight.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/mma.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using Plan = ConvWeightPlan;

constexpr int chunk = 8;  // elements in 16 bytes

/// ConvWeightPlan::tiles[index] as a type.
template <std::size_t index>
struct TileOf {
  static constexpr ConvTile value = Plan::tiles[index];
  static constexpr int m = value.m, n = value.n, k = ConvTile::k, stages = value.stages,
                       m_warps = value.m_warps, n_warps = value.n_warps, threads = value.threads();
  static_assert(m == n);  // so that a thread's chunk of dy and of x lie alike
};

template <class Tile>
struct SharedStorage {
  std::uint16_t a[Tile::stages][Tile::k * Tile::m], b[Tile::stages][Tile::k * Tile::n];
};

/// Where chunk c of a row (a pixel) of a step begins.
template <class Tile>
__device__ __forceinline__ int offset_of(int row, int c) {
  return row * Tile::n + (c ^ (row % 8)) * chunk;
}

/// A thread's part in bringing steps: one chunk of every few pixels, in ascending order.
template <class Tile>
struct Loader {
  static constexpr int row_chunks = Tile::n / chunk, rows_at_once = Tile::threads / row_chunks;
  static_assert(rows_at_once % 8 == 0);  // so that the swizzle is the same for all

  std::int64_t pixel, end;  // the next pixel, and where the split ends
  std::int64_t image;       // of x, in elements
  int p, q;
  int r, s, c;  // of x; c in elements
  int step_p, step_q, step_n;
  int o;                 // of dy, in elements
  bool column, channel;  // exist
  int target;

  __device__ __forceinline__ Loader(const Plan& plan, int first_o, int first_column) {
    const int own = static_cast<int>(threadIdx.x) % row_chunks * chunk;
    const int row = static_cast<int>(threadIdx.x) / row_chunks;
    const std::int64_t first = blockIdx.y * plan.split_pixels;
    end = first + plan.split_pixels < plan.pixels ? first + plan.split_pixels : plan.pixels;
    pixel = first + row;
    const int image_pixels = plan.out_h * plan.out_w;
    const std::int64_t n = pixel / image_pixels;
    const int rest = static_cast<int>(pixel - n * image_pixels);
    image = n * plan.x_image;
    p = rest / plan.out_w, q = rest % plan.out_w;
    step_q = rows_at_once % plan.out_w;
    step_p = rows_at_once / plan.out_w % plan.out_h;
    step_n = rows_at_once / image_pixels;
    o = first_o + own, channel = o < plan.out_c;
    const int tap = (first_column + own) / plan.in_c;
    c = (first_column + own) % plan.in_c, column = tap < plan.taps;
    r = tap / plan.kernel_w - plan.pad_h, s = tap % plan.kernel_w - plan.pad_w;
    target = offset_of<Tile>(row, own / chunk);
  }

  __device__ __forceinline__ void bring(const Plan& plan, SharedStorage<Tile>& ring, int slot,
                                        const std::uint16_t* __restrict__ x,
                                        const std::uint16_t* __restrict__ dy) {
    for (int i = 0; i < Tile::k; i += rows_at_once) {
      const bool exists = pixel < end;
      const int h = p * plan.stride + r, w = q * plan.stride + s;
      const bool inside = exists && column &&
                          static_cast<unsigned>(h) < static_cast<unsigned>(plan.in_h) &&
                          static_cast<unsigned>(w) < static_cast<unsigned>(plan.in_w);
      const bool read = exists && channel;
      ptx::cp_async<16>(ring.a[slot] + target + i * Tile::m,
                        dy + (read ? pixel * plan.out_c + o : 0), read ? 16 : 0);
      ptx::cp_async<16>(ring.b[slot] + target + i * Tile::n,
                        x + (inside ? image + (h * plan.in_w + w) * plan.in_c + c : 0),
                        inside ? 16 : 0);
      pixel += rows_at_once;
      q += step_q, p += step_p, image += step_n * plan.x_image;
      if (q >= plan.out_w) q -= plan.out_w, ++p;
      if (p >= plan.out_h) p -= plan.out_h, image += plan.x_image;
    }
  }
};

/// The warp's operands of 16 pixels.
template <int m, int n>
struct Fragments {
  std::uint32_t a[m][4], b[n][2];

  /// first_m, first_n: of the warp; step: 0 or 1, the first or second 16 pixels.
  template <class Tile>
  __device__ __forceinline__ void load(const SharedStorage<Tile>& ring, int slot, int step,
                                       int first_m, int first_n, int lane) {
    const int a_row = step * 16 + lane % 8 + lane / 16 * 8, a_chunk = lane / 8 % 2;
    const int b_row = step * 16 + lane % 8 + lane / 8 % 2 * 8, b_chunk = lane / 16;
    for (int i = 0; i < m; ++i)
      ptx::ldmatrix<true>(a[i],
                          ring.a[slot] + offset_of<Tile>(a_row, first_m / chunk + i * 2 + a_chunk));
    for (int j = 0; j < n; j += 2) {
      std::uint32_t pair[4];
      ptx::ldmatrix<true>(pair,
                          ring.b[slot] + offset_of<Tile>(b_row, first_n / chunk + j + b_chunk));
      b[j][0] = pair[0], b[j][1] = pair[1], b[j + 1][0] = pair[2], b[j + 1][1] = pair[3];
    }
  }
};

template <class Tile>
__global__ void __launch_bounds__(Tile::threads)
    conv2d_bf16_weight_kernel(Plan plan, const std::uint16_t* __restrict__ x,
                              const std::uint16_t* __restrict__ dy, float* __restrict__ partial) {
  constexpr int warp_m = Tile::m / Tile::m_warps, warp_n = Tile::n / Tile::n_warps;
  constexpr int m = warp_m / 16, n = warp_n / 8, ahead = Tile::stages - 1;
  auto& ring = shared_storage<SharedStorage<Tile>>();

  const int block = static_cast<int>(blockIdx.x);
  const int first_o = block / plan.column_tiles * Tile::m;
  const int first_column = block % plan.column_tiles * Tile::n;
  Loader<Tile> loader(plan, first_o, first_column);
  const std::int64_t first_pixel = blockIdx.y * plan.split_pixels;
  const int steps = static_cast<int>((loader.end - first_pixel + Tile::k - 1) / Tile::k);
  const auto bring = [&](int step) {
    if (step < steps) loader.bring(plan, ring, step % Tile::stages, x, dy);
    ptx::cp_async_commit();  // empty at the end, so that groups and steps stay in step
  };

  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int first_m = warp / Tile::n_warps * warp_m, first_n = warp % Tile::n_warps * warp_n;
  float sum[m][n][4] = {};
  Fragments<m, n> fragments[2];
  const auto multiply = [&](const Fragments<m, n>& f) {
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) ptx::mma_bf16(sum[i][j], f.a[i], f.b[j]);
  };

  for (int step = 0; step < ahead; ++step) bring(step);
  ptx::cp_async_wait<ahead - 1>();
  __syncthreads();
  fragments[0].load(ring, 0, 0, first_m, first_n, lane);
  for (int step = 0; step < steps; ++step) {
    fragments[1].load(ring, step % Tile::stages, 1, first_m, first_n, lane);
    bring(step + ahead);  // where everybody had read before the last barrier
    multiply(fragments[0]);
    ptx::cp_async_wait<ahead - 1>();
    __syncthreads();  // everybody's part of the next step has come
    // After the last step, of whatever lies there.
    fragments[0].load(ring, (step + 1) % Tile::stages, 0, first_m, first_n, lane);
    multiply(fragments[1]);
  }

  // Four lanes fill a sector of 32 bytes.
  const int columns = plan.taps * plan.in_c;
  float* const out = partial + std::int64_t{blockIdx.y} * plan.out_c * columns;
  for (int i = 0; i < m; ++i) {
    for (int half = 0; half < 2; ++half) {
      const int o = first_o + first_m + i * 16 + half * 8 + lane / 4;
      for (int j = 0; j < n; ++j) {
        const int column = first_column + first_n + j * 8 + lane % 4 * 2;
        if (o < plan.out_c && column < columns) {
          *reinterpret_cast<float2*>(out + std::int64_t{o} * columns + column) =
              make_float2(sum[i][j][2 * half], sum[i][j][2 * half + 1]);
        }
      }
    }
  }
}

constexpr int add_threads = 256;

/// dweight from the partial sums, one element to a thread, in the order of the latter.
__global__ void __launch_bounds__(add_threads)
    add_splits_kernel(Plan plan, const float* __restrict__ partial, float* __restrict__ dweight) {
  const int columns = plan.taps * plan.in_c, size = plan.out_c * columns;
  const int i = static_cast<int>(blockIdx.x) * add_threads + static_cast<int>(threadIdx.x);
  if (i >= size) return;
  float sum = partial[i];
  for (unsigned split = 1; split < plan.splits; ++split)
    sum = __fadd_rn(sum, partial[std::int64_t{split} * size + i]);
  const int o = i / columns, tap = i % columns / plan.in_c, c = i % plan.in_c;
  dweight[(o * plan.in_c + c) * plan.taps + tap] = sum;
}

template <std::size_t index>
void start(cudaStream_t stream, const Plan& plan, const std::uint16_t* x, const std::uint16_t* dy,
           float* workspace) {
  using Tile = TileOf<index>;
  launch<conv2d_bf16_weight_kernel<Tile>>(dim3(plan.tile_blocks, plan.splits), Tile::threads,
                                          sizeof(SharedStorage<Tile>), stream, plan, x, dy,
                                          workspace);
}

}  // namespace

void conv2d_bf16_backward_weight(void* stream, const Conv2dShape& shape, const std::uint16_t* x,
                                 const std::uint16_t* dy, float* workspace, float* dweight) {
  const Plan plan = Plan::make(shape, x, dy);
  const auto s = static_cast<cudaStream_t>(stream);
  plan.tile == 0 ? start<0>(s, plan, x, dy, workspace) : start<1>(s, plan, x, dy, workspace);
  launch<add_splits_kernel>((plan.out_c * plan.columns() + add_threads - 1) / add_threads,
                            add_threads, 0, s, plan, workspace, dweight);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
