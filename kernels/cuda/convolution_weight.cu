/// dweight[o, c, r, s] = sum over n, p, q of dy[n, p, q, o]
///                                           * x[n, p stride + r - pad, q stride + s - pad, c]
///
/// on tensor cores, in bf16 or tf32: a matrix product whose rows are channels of dy, whose columns
/// are (r, s, c), and whose sums run over pixels.
///
/// Layouts: x [batch, in_h, in_w, in_c] and dy [batch, out_h, out_w, out_c] in bf16 or single
/// precision, channels filled up to whole chunks of 16 bytes, aligned to such; dweight OIHW in
/// single precision; partial sums [split, out_c, r, s, c].
///
/// Work: a block makes ConvTile::m channels by ConvTile::n columns of one split, 32 pixels of bf16
/// or 16 of tf32 a step. cp.async brings steps into a ring, as they lie in memory, a pixel to a
/// row; a thread brings every few chunks of one of them: chunks of channels of dy, and of x at
/// their taps. From step to step two pointers and a position move by additions; at the end of a row
/// and of an image, by others. Sums run over rows, so operands have to be transposed:
///
/// - bf16: ldmatrix does it. Chunk c of row i lies at c xor (i mod 8).
/// - tf32: which ldmatrix cannot, for it transposes 16 bits. Lane 4 g + t reads chunk g of rows t
/// and
///   t + 4, and which four of the tile's channels (columns) make row (column) g of the fragments is
///   arbitrary, so these are the four of that chunk: one access of 16 bytes per four registers, as
///   by ldmatrix, and sums of four neighbouring columns in one lane. Chunk c of row i lies at c xor
///   2 (i mod 4).
///
/// Both leave cp.async and the reads without bank conflicts. The rest of the main loop is
/// kernels/cuda/warp_products.cuh: at 128 x 128 in bf16 2.69 machine instructions for each mma on
/// sm_80, 2.63 on sm_90.
///
/// Sums are cut into splits, because there are many pixels and few results. A second kernel adds
/// the splits in ascending order, drops what fills up chunks, and re-orders: no atomics, the same
/// bits every time.
///
/// Fused: padding, gathering of patches, rounding to tf32. Never written: patches.
///
/// Bytes: from the L2 cache, dy once for each n columns and x once for each tap and m channels;
/// partial sums, 4 bytes per split and element, written and read. Operations: 2 per pixel and
/// element of the weight.
///
///   tile        registers bf16 sm_80, sm_90   tf32 sm_80, sm_90   shared memory
///   128 x 128   244, 255                      251, 250            49152
///    64 x 64     96, 113                       96, 112            24576
///
/// (nvcc --resource-usage; none spilt; the sum of splits has 32.)
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/warp_products.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using Plan = ConvWeightPlan;

/// ConvWeightPlan::tiles[index] as a type.
template <std::size_t index, class Element>
struct TileOf {
  static constexpr ConvTile value = Plan::tiles[index];
  static constexpr int chunk = chunk_of<Element>, k = Plan::step_pixels(chunk);
  static constexpr int m = value.m, n = value.n, stages = value.stages, m_warps = value.m_warps,
                       n_warps = value.n_warps, threads = value.threads();
  static constexpr int row_chunks = n / chunk;
  static_assert(m == n);  // so that a thread's chunk of dy and of x lie alike
};

/// What a step of products reads.
template <class Tile>
struct Step {
  Chunk a[Tile::k * Tile::row_chunks], b[Tile::k * Tile::row_chunks];
};

template <class Tile>
struct SharedStorage {
  Step<Tile> ring[Tile::stages];
};

/// Where chunk c of a row (a pixel) of a step lies: a transposing ldmatrix reads one chunk of eight
/// rows of bf16 at once, and a quarter of a warp two chunks of four rows of tf32.
template <class Tile>
__device__ __forceinline__ int offset_of(int row, int c) {
  return row * Tile::row_chunks + (c ^ (Tile::chunk == 8 ? row % 8 : row % 4 * 2));
}

/// A thread's part in bringing steps: every few chunks of one pixel, of dy and of x at their taps.
template <class Tile>
struct Loader {
  static constexpr int apart = Tile::threads / Tile::k, chunks = Tile::row_chunks / apart;
  /// So many chunks further on, the swizzle is the same again.
  static constexpr int period = 8 / apart;
  static_assert((apart == 4 || apart == 8) && chunks % period == 0);

  const Chunk* dy;  // the next pixel's first chunk
  const Chunk* x;   // the same pixel of x at no tap and without padding
  int h, w;         // where that lies
  int left;         // pixels of the split that are still to come
  int dy_chunks;    // that dy has, maybe more than are brought
  int tap_h[chunks], tap_w[chunks], tap_x[chunks];  // from there to each chunk of x
  int target[period];

  /// pixels: of the split.
  __device__ __forceinline__ Loader(const Plan& plan, const Chunk* first_x, const Chunk* first_dy,
                                    int first_o, int first_column, int pixels) {
    const int own = static_cast<int>(threadIdx.x) % apart;
    const int group = static_cast<int>(threadIdx.x) / apart;
    // Eight lanes that write at once reach all banks: four have another pixel, four rows away.
    const int row = apart == 8 ? group : group / 8 * 8 + group % 2 * 4 + group / 2 % 4;
    const std::int64_t pixel = blockIdx.y * plan.split_pixels + row;
    const int image_pixels = plan.out_h * plan.out_w;
    const std::int64_t n = pixel / image_pixels;
    const int in_image = static_cast<int>(pixel - n * image_pixels);
    h = in_image / plan.out_w * plan.stride, w = in_image % plan.out_w * plan.stride;
    x = first_x + n * plan.x_image + std::int64_t{h * plan.in_w + w} * plan.in_chunks;
    left = pixels - row;
    const int o = first_o / Tile::chunk + own, dy_left = plan.out_chunks - o;
    dy = first_dy + pixel * plan.out_chunks + o;
    dy_chunks = dy_left > 0 ? (dy_left + apart - 1) / apart : 0;
    for (int j = 0; j < chunks; ++j) {
      const int column = first_column / Tile::chunk + own + j * apart,
                tap = column / plan.in_chunks;
      // Columns behind the last tap lie so far above the image that they are outside of it.
      constexpr int nowhere = -(1 << 17);
      const int r = tap / plan.kernel_w - plan.pad_h, s = tap % plan.kernel_w - plan.pad_w;
      tap_h[j] = tap < plan.taps ? r : nowhere, tap_w[j] = s;
      tap_x[j] =
          tap < plan.taps ? (r * plan.in_w + s) * plan.in_chunks + column % plan.in_chunks : 0;
    }
    for (int j = 0; j < period; ++j) target[j] = offset_of<Tile>(row, own + j * apart);
  }

  __device__ __forceinline__ void bring(const Plan& plan, Step<Tile>& step) {
    const bool exists = left > 0;
    const int own_dy = exists ? dy_chunks : 0;
    for (int j = 0; j < chunks; ++j) {
      const int to = target[j % period] + j / period * 8;
      ptx::cp_async<16>(step.a + to, dy + j * apart, own_dy > j ? 16 : 0);
      const bool inside = exists &&
                          static_cast<unsigned>(h + tap_h[j]) < static_cast<unsigned>(plan.in_h) &&
                          static_cast<unsigned>(w + tap_w[j]) < static_cast<unsigned>(plan.in_w);
      ptx::cp_async<16>(step.b + to, x + tap_x[j], inside ? 16 : 0);
    }
    const ConvWeightPlan::Move& move = plan.move;
    int x_move = move.x;
    h += move.h, w += move.w;
    if (w >= move.row_w) w -= move.row_w, h += plan.stride, x_move += move.row_x;
    if (h >= move.image_h) h -= move.image_h, x_move += move.image_x;
    dy += move.dy, x += x_move;
    left -= Tile::k;
  }
};

/// load_rows and load_columns read the operands of one mma, the latter of `group` columns of
/// fragments; for_each_run calls write(channel, column, sums) for every run of consecutive columns
/// of which a lane then has sums. first_m, first_n: of the warp; half: the first or second half of
/// a step's pixels.
template <class Element>
struct Operands;

/// 16 pixels of bf16, transposed by ldmatrix.
template <>
struct Operands<std::uint16_t> {
  static constexpr int group = 2;

  template <class Tile, int m>
  __device__ __forceinline__ static void load_rows(RowFragments<m>& a, const Step<Tile>& step,
                                                   int half, int first_m, int lane) {
    const int row = half * 16 + lane % 8 + lane / 16 * 8, chunk = first_m / 8 + lane / 8 % 2;
    for (int i = 0; i < m; ++i)
      ptx::ldmatrix<true>(a[i], step.a + offset_of<Tile>(row, chunk + i * 2));
  }

  template <class Tile, int n>
  __device__ __forceinline__ static void load_columns(ColumnFragments<n>& b, int first,
                                                      const Step<Tile>& step, int half, int first_n,
                                                      int lane) {
    const int row = half * 16 + lane % 8 + lane / 8 % 2 * 8, chunk = first_n / 8 + lane / 16;
    std::uint32_t pair[4];
    ptx::ldmatrix<true>(pair, step.b + offset_of<Tile>(row, chunk + first));
    b[first][0] = pair[0], b[first][1] = pair[1];
    b[first + 1][0] = pair[2], b[first + 1][1] = pair[3];
  }

  template <int m, int n, class Write>
  __device__ __forceinline__ static void for_each_run(const float (&sum)[m][n][4], int lane,
                                                      const Write& write) {
    for (int i = 0; i < m; ++i)
      for (int half = 0; half < 2; ++half)
        for (int j = 0; j < n; ++j)
          write(i * 16 + half * 8 + lane / 4, j * 8 + lane % 4 * 2,
                make_float2(sum[i][j][2 * half], sum[i][j][2 * half + 1]));
  }
};

/// 8 pixels of tf32, which ldmatrix cannot transpose. Lane 4 g + t reads chunk g of pixels t and
/// t + 4, and the four values are taken for row (or column) g of four matrices: row g of those is
/// not channel g but one of 4 g ... 4 g + 3.
template <>
struct Operands<float> {
  static constexpr int group = 4;

  template <class Tile, int m>
  __device__ __forceinline__ static void load_rows(RowFragments<m>& a, const Step<Tile>& step,
                                                   int half, int first_m, int lane) {
    static_assert(m % 2 == 0);
    for (int k = 0; k < 2; ++k)
      for (int i = 0; i < m; i += 2) {
        const Chunk four = load_shared(
            step.a + offset_of<Tile>(half * 8 + k * 4 + lane % 4, first_m / 4 + i * 4 + lane / 4));
        a[i][2 * k] = four.x, a[i][2 * k + 1] = four.y;
        a[i + 1][2 * k] = four.z, a[i + 1][2 * k + 1] = four.w;
      }
  }

  template <class Tile, int n>
  __device__ __forceinline__ static void load_columns(ColumnFragments<n>& b, int first,
                                                      const Step<Tile>& step, int half, int first_n,
                                                      int lane) {
    for (int k = 0; k < 2; ++k) {
      const Chunk four = load_shared(step.b + offset_of<Tile>(half * 8 + k * 4 + lane % 4,
                                                              first_n / 4 + first * 2 + lane / 4));
      b[first][k] = four.x, b[first + 1][k] = four.y;
      b[first + 2][k] = four.z, b[first + 3][k] = four.w;
    }
  }

  template <int m, int n, class Write>
  __device__ __forceinline__ static void for_each_run(const float (&sum)[m][n][4], int lane,
                                                      const Write& write) {
    for (int i = 0; i < m; ++i)
      for (int d = 0; d < 4; ++d)
        for (int j = 0; j < n; j += 4)
          write(i / 2 * 32 + lane / 4 * 4 + i % 2 * 2 + d / 2, j * 8 + lane % 4 * 8 + d % 2 * 4,
                make_float4(sum[i][j][d], sum[i][j + 1][d], sum[i][j + 2][d], sum[i][j + 3][d]));
  }
};

template <class Tile, class Element>
__global__ void __launch_bounds__(Tile::threads)
    conv2d_gemm_weight_kernel(Plan plan, const Chunk* __restrict__ x, const Chunk* __restrict__ dy,
                              float* __restrict__ partial) {
  constexpr int warp_m = Tile::m / Tile::m_warps, warp_n = Tile::n / Tile::n_warps;
  constexpr int m = warp_m / 16, n = warp_n / 8;
  auto& shared = shared_storage<SharedStorage<Tile>>();

  const int block = static_cast<int>(blockIdx.x);
  const int first_o = block / plan.column_tiles * Tile::m;
  const int first_column = block % plan.column_tiles * Tile::n;
  const std::int64_t rest = plan.pixels - blockIdx.y * plan.split_pixels;
  const int pixels = static_cast<int>(rest < plan.split_pixels ? rest : plan.split_pixels);
  Loader<Tile> loader(plan, x, dy, first_o, first_column, pixels);

  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int first_m = warp / Tile::n_warps * warp_m, first_n = warp % Tile::n_warps * warp_n;
  float sum[m][n][4] = {};
  add_products<Element, Tile::stages, Operands<Element>::group, true>(
      (pixels + Tile::k - 1) / Tile::k, [&](int slot) { loader.bring(plan, shared.ring[slot]); },
      [&](RowFragments<m>& a, int slot, int half) {
        Operands<Element>::template load_rows<Tile, m>(a, shared.ring[slot], half, first_m, lane);
      },
      [&](ColumnFragments<n>& b, int first, int slot, int half) {
        Operands<Element>::template load_columns<Tile, n>(b, first, shared.ring[slot], half,
                                                          first_n, lane);
      },
      sum);

  float* const out = partial + std::int64_t{blockIdx.y} * plan.out_c * plan.columns;
  Operands<Element>::for_each_run(sum, lane, [&](int channel, int own_column, auto sums) {
    const int o = first_o + first_m + channel, column = first_column + first_n + own_column;
    if (o < plan.out_c && column < plan.columns)
      *reinterpret_cast<decltype(sums)*>(out + std::int64_t{o} * plan.columns + column) = sums;
  });
}

constexpr int add_threads = 256;

/// One element of dweight to a thread.
__global__ void __launch_bounds__(add_threads)
    add_splits_kernel(WeightSums sums, const float* __restrict__ partial,
                      float* __restrict__ dweight) {
  const int i = static_cast<int>(blockIdx.x) * add_threads + static_cast<int>(threadIdx.x);
  const int columns = sums.taps * sums.filled_c, o = i / columns, column = i % columns;
  const int tap = column / sums.filled_c, c = column % sums.filled_c;
  if (o >= sums.out_c || c >= sums.in_c) return;
  const std::int64_t size = std::int64_t{sums.out_c} * columns;
  float sum = partial[i];
  for (unsigned split = 1; split < sums.splits; ++split)
    sum = __fadd_rn(sum, partial[split * size + i]);
  dweight[(o * sums.in_c + c) * sums.taps + tap] = sum;
}

template <class Element, std::size_t index>
void start(cudaStream_t stream, const Plan& plan, const Element* x, const Element* dy,
           float* workspace) {
  using Tile = TileOf<index, Element>;
  static_assert(sizeof(SharedStorage<Tile>) <= least_shared_per_block);
  launch<conv2d_gemm_weight_kernel<Tile, Element>>(
      dim3(plan.tile_blocks, plan.splits), Tile::threads, sizeof(SharedStorage<Tile>), stream, plan,
      reinterpret_cast<const Chunk*>(x), reinterpret_cast<const Chunk*>(dy), workspace);
}

}  // namespace

void add_weight_splits(void* stream, const WeightSums& sums, const float* partial, float* dweight) {
  launch<add_splits_kernel>((sums.out_c * sums.columns() + add_threads - 1) / add_threads,
                            add_threads, 0, static_cast<cudaStream_t>(stream), sums, partial,
                            dweight);
}

template <class Element>
void conv2d_gemm_backward_weight(void* stream, const Conv2dShape& shape, const Element* x,
                                 const Element* dy, float* workspace, float* dweight) {
  const Plan plan = Plan::make(shape, chunk_of<Element>, x, dy);
  const auto s = static_cast<cudaStream_t>(stream);
  plan.tile == 0 ? start<Element, 0>(s, plan, x, dy, workspace)
                 : start<Element, 1>(s, plan, x, dy, workspace);
  add_weight_splits(stream, plan.sums(), workspace, dweight);
}

template void conv2d_gemm_backward_weight(void*, const Conv2dShape&, const std::uint16_t*,
                                          const std::uint16_t*, float*, float*);
template void conv2d_gemm_backward_weight(void*, const Conv2dShape&, const float*, const float*,
                                          float*, float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
