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
/// or 16 of tf32 a step. cp.async brings steps into a ring three ahead, as they lie in memory, a
/// pixel to a row; a thread brings one chunk of every few pixels: one channel chunk of dy, and one
/// chunk of x at one tap; it goes from pixel to pixel by additions. Sums run over rows, so operands
/// have to be transposed:
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
/// kernels/cuda/warp_products.cuh.
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
///   128 x 128   254, 254                      254, 254            65536
///    64 x 64    114, 118                      116, 120            32768
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

template <class Tile>
struct SharedStorage {
  Chunk a[Tile::stages][Tile::k * Tile::row_chunks], b[Tile::stages][Tile::k * Tile::row_chunks];
};

/// Where chunk c of a row (a pixel) of a step lies: a transposing ldmatrix reads one chunk of eight
/// rows of bf16 at once, and a quarter of a warp two chunks of four rows of tf32.
template <class Tile>
__device__ __forceinline__ int offset_of(int row, int c) {
  return row * Tile::row_chunks + (c ^ (Tile::chunk == 8 ? row % 8 : row % 4 * 2));
}

/// A thread's part in bringing steps: one chunk of every few pixels, in ascending order.
template <class Tile>
struct Loader {
  static constexpr int rows_at_once = Tile::threads / Tile::row_chunks;
  // So that the swizzle is the same for all, and a step comes out even.
  static_assert(rows_at_once % (Tile::chunk == 8 ? 8 : 4) == 0 && Tile::k % rows_at_once == 0);

  std::int64_t pixel, end;  // the next pixel, and where the split ends
  std::int64_t image;       // of x, in chunks
  int p, q;
  int r, s, c;  // of x; c in chunks
  int step_p, step_q, step_n;
  int o;                 // of dy, in chunks
  bool column, channel;  // exist
  int target;

  __device__ __forceinline__ Loader(const Plan& plan, int first_o, int first_column) {
    const int own = static_cast<int>(threadIdx.x) % Tile::row_chunks;
    const int row = static_cast<int>(threadIdx.x) / Tile::row_chunks;
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
    o = first_o / Tile::chunk + own, channel = o < plan.out_chunks;
    const int own_column = first_column / Tile::chunk + own, tap = own_column / plan.in_chunks;
    c = own_column % plan.in_chunks, column = tap < plan.taps;
    r = tap / plan.kernel_w - plan.pad_h, s = tap % plan.kernel_w - plan.pad_w;
    target = offset_of<Tile>(row, own);
  }

  __device__ __forceinline__ void bring(const Plan& plan, SharedStorage<Tile>& ring, int slot,
                                        const Chunk* __restrict__ x, const Chunk* __restrict__ dy) {
    for (int i = 0; i < Tile::k; i += rows_at_once) {
      const bool exists = pixel < end;
      const int h = p * plan.stride + r, w = q * plan.stride + s;
      const bool inside = exists && column &&
                          static_cast<unsigned>(h) < static_cast<unsigned>(plan.in_h) &&
                          static_cast<unsigned>(w) < static_cast<unsigned>(plan.in_w);
      const bool read = exists && channel;
      ptx::cp_async<16>(ring.a[slot] + target + i * Tile::row_chunks,
                        dy + (read ? pixel * plan.out_chunks + o : 0), read ? 16 : 0);
      ptx::cp_async<16>(ring.b[slot] + target + i * Tile::row_chunks,
                        x + (inside ? image + (h * plan.in_w + w) * plan.in_chunks + c : 0),
                        inside ? 16 : 0);
      pixel += rows_at_once;
      q += step_q, p += step_p, image += step_n * plan.x_image;
      if (q >= plan.out_w) q -= plan.out_w, ++p;
      if (p >= plan.out_h) p -= plan.out_h, image += plan.x_image;
    }
  }
};

/// load reads the operands of one mma, for_each_run calls write(channel, column, sums) for every
/// run of consecutive columns of which a lane then has sums. first_m, first_n: of the warp; half:
/// the first or second half of a step's pixels.
template <class Element>
struct Operands;

/// 16 pixels of bf16, transposed by ldmatrix.
template <>
struct Operands<std::uint16_t> {
  template <class Tile, int m, int n>
  __device__ __forceinline__ static void load(Fragments<m, n>& f, const SharedStorage<Tile>& ring,
                                              int slot, int half, int first_m, int first_n,
                                              int lane) {
    const int a_row = half * 16 + lane % 8 + lane / 16 * 8, a_chunk = first_m / 8 + lane / 8 % 2;
    const int b_row = half * 16 + lane % 8 + lane / 8 % 2 * 8, b_chunk = first_n / 8 + lane / 16;
    for (int i = 0; i < m; ++i)
      ptx::ldmatrix<true>(f.a[i], ring.a[slot] + offset_of<Tile>(a_row, a_chunk + i * 2));
    for (int j = 0; j < n; j += 2) {
      std::uint32_t pair[4];
      ptx::ldmatrix<true>(pair, ring.b[slot] + offset_of<Tile>(b_row, b_chunk + j));
      f.b[j][0] = pair[0], f.b[j][1] = pair[1], f.b[j + 1][0] = pair[2], f.b[j + 1][1] = pair[3];
    }
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
  template <class Tile, int m, int n>
  __device__ __forceinline__ static void load(Fragments<m, n>& f, const SharedStorage<Tile>& ring,
                                              int slot, int half, int first_m, int first_n,
                                              int lane) {
    static_assert(m % 2 == 0 && n % 4 == 0);
    for (int k = 0; k < 2; ++k) {
      const int row = half * 8 + k * 4 + lane % 4;
      for (int i = 0; i < m; i += 2) {
        const Chunk four =
            load_shared(ring.a[slot] + offset_of<Tile>(row, first_m / 4 + i * 4 + lane / 4));
        f.a[i][2 * k] = four.x, f.a[i][2 * k + 1] = four.y;
        f.a[i + 1][2 * k] = four.z, f.a[i + 1][2 * k + 1] = four.w;
      }
      for (int j = 0; j < n; j += 4) {
        const Chunk four =
            load_shared(ring.b[slot] + offset_of<Tile>(row, first_n / 4 + j * 2 + lane / 4));
        f.b[j][k] = four.x, f.b[j + 1][k] = four.y, f.b[j + 2][k] = four.z, f.b[j + 3][k] = four.w;
      }
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
  auto& ring = shared_storage<SharedStorage<Tile>>();

  const int block = static_cast<int>(blockIdx.x);
  const int first_o = block / plan.column_tiles * Tile::m;
  const int first_column = block % plan.column_tiles * Tile::n;
  Loader<Tile> loader(plan, first_o, first_column);
  const std::int64_t first_pixel = blockIdx.y * plan.split_pixels;

  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int first_m = warp / Tile::n_warps * warp_m, first_n = warp % Tile::n_warps * warp_n;
  float sum[m][n][4] = {};
  add_products<Element, Tile::stages>(
      static_cast<int>((loader.end - first_pixel + Tile::k - 1) / Tile::k),
      [&](int slot) { loader.bring(plan, ring, slot, x, dy); },
      [&](Fragments<m, n>& fragments, int slot, int half) {
        Operands<Element>::load(fragments, ring, slot, half, first_m, first_n, lane);
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

/// dweight from the partial sums, one element to a thread, in the order of the latter, without the
/// channels that fill up chunks.
__global__ void __launch_bounds__(add_threads)
    add_splits_kernel(Plan plan, const float* __restrict__ partial, float* __restrict__ dweight) {
  const int i = static_cast<int>(blockIdx.x) * add_threads + static_cast<int>(threadIdx.x);
  const int o = i / plan.columns, column = i % plan.columns;
  const int filled = plan.columns / plan.taps, tap = column / filled, c = column % filled;
  if (o >= plan.out_c || c >= plan.in_c) return;
  const std::int64_t size = std::int64_t{plan.out_c} * plan.columns;
  float sum = partial[i];
  for (unsigned split = 1; split < plan.splits; ++split)
    sum = __fadd_rn(sum, partial[split * size + i]);
  dweight[(o * plan.in_c + c) * plan.taps + tap] = sum;
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

template <class Element>
void conv2d_gemm_backward_weight(void* stream, const Conv2dShape& shape, const Element* x,
                                 const Element* dy, float* workspace, float* dweight) {
  const Plan plan = Plan::make(shape, chunk_of<Element>, x, dy);
  const auto s = static_cast<cudaStream_t>(stream);
  plan.tile == 0 ? start<Element, 0>(s, plan, x, dy, workspace)
                 : start<Element, 1>(s, plan, x, dy, workspace);
  launch<add_splits_kernel>((plan.out_c * plan.columns + add_threads - 1) / add_threads,
                            add_threads, 0, s, plan, workspace, dweight);
}

template void conv2d_gemm_backward_weight(void*, const Conv2dShape&, const std::uint16_t*,
                                          const std::uint16_t*, float*, float*);
template void conv2d_gemm_backward_weight(void*, const Conv2dShape&, const float*, const float*,
                                          float*, float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
