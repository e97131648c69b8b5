#pragma once

#include <cstdint>
#include <iterator>

#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/epilogues.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/store.cuh"
#include "kernels/cuda/warp_products.cuh"

/// y[n, p, q, o] = epilogue(sum over r, s, c of x[n, p stride + r - pad, q stride + s - pad, c]
///                                              * weight[o, r, s, c])
///
/// on tensor cores, in bf16, tf32 or int8, for the forward convolution and for the gradient in x,
/// which is a convolution of dy by reversed kernels (ConvPass): a matrix product whose rows are
/// pixels of y, whose columns are its channels, and whose sums run over (r, s, c). The matrix of
/// patches exists only a step at a time, in shared memory.
///
/// Layouts: x [batch, in_h, in_w, in_c] and weight [out_c, kernel_h, kernel_w, in_c] in bf16,
/// single precision or signed bytes, in_c whole chunks of 16 bytes, aligned to such; y in bf16 (of
/// bf16) or single precision, its channels side by side, its pixels anywhere; in int8 all targets
/// [batch, out_h, out_w, out_c] (Int8Epilogue). Where four channels always lie aligned they are
/// written together.
///
/// Work: a block makes ConvTile::m pixels of ConvTile::n channels. A step is 4 chunks of every sum,
/// 32 products of bf16, 16 of tf32 or 64 of bytes, where a chunk belongs to one tap and whole
/// chunks, not whole taps, make a step, so that no step is wasted on channel counts that are no
/// multiple of it. cp.async brings steps into a ring, with zeros for padding; chunk c of row i lies
/// at c xor (i/2 mod 4), which leaves ldmatrix and cp.async without bank conflicts. ldmatrix reads
/// the operands of the next two chunks while mma multiplies these (kernels/cuda/warp_products.cuh);
/// the fragments of m16n8k8 in tf32 and of m16n8k32 in bytes are, in registers, those of m16n8k16
/// in bf16, so that only mma, and the rounding to tf32 in front of it, differ.
///
/// A thread brings one chunk of every few rows. Of each it keeps where the patch begins, and a bit
/// for each row and column of the kernel that lies outside of x there; a tap is an offset and two
/// bits that all rows share, and the next one is found by additions and shifts. So a copy takes
/// three instructions: an address, a test and the copy. Longer steps would save little of what is
/// left, and take the registers of twice as many rows.
///
/// The sums of an element run over (r, s, c) in ascending order, 16 products (tf32: 8) to an mma,
/// in every tile: its bits depend on nothing but its own operands. Sums of bytes are exact.
///
/// Fused: padding, gathering of patches, rounding to tf32, scale and shift of each channel,
/// residual, activation, rounding of y; batch norm and activation of what reads y next, and its
/// rounding. Never written: patches, unscaled sums, and y where only what follows it is asked for.
///
/// Bytes: x, weight, y, residual and next once from or to memory; from the L2 cache, x once for
/// each tap and each n channels, weight once for each m pixels. Operations: 2 kernel_h kernel_w
/// in_c per element of y; ldmatrix reads 115 (tile 128 x 160), 128 (128 x 128), 192 (128 x 64) or
/// 256 bytes per mma of 2048 (tf32: 1024, int8: 4096) products. Machine instructions per mma are in
/// tests/kernel_budgets.txt; docs/roofline.md has what all that lets GPUs reach, computed and not
/// measured.
///
///   tile        registers bf16 sm_80, sm_90   tf32 sm_80, sm_90   shared memory
///   128 x 160   254, 255                      254, 255            55808
///   128 x 128   226, 226                      228, 228            49664
///   128 x 64    152, 154                      154, 154            49664
///   128 x 32     96,  96                       96,  94            31232
///    64 x 64     96,  96                       96,  96            24832
///
/// (nvcc --resource-usage; none spilt.)
namespace pixeldp::kernels::PIXELDP_DEVICE::convolution_gemm {

constexpr int row_chunks = ConvTile::chunks;  // a row is 64 bytes: two fill the 32 banks

/// conv_tiles[index] as a type. (nvcc 13 cannot launch kernels whose template argument is a
/// struct.)
template <std::size_t index>
struct TileOf {
  static constexpr ConvTile value = conv_tiles[index];
  static constexpr int m = value.m, n = value.n, stages = value.stages, m_warps = value.m_warps,
                       n_warps = value.n_warps, threads = value.threads();
};

/// What a step of products reads.
template <class Tile>
struct Step {
  Chunk a[Tile::m * row_chunks], b[Tile::n * row_chunks];
};

/// Sums are written in two parts, which take no more room than the ring does.
constexpr int parts = 2;

template <class Tile>
struct alignas(16) SharedStorage {
  // Of each row, that is, pixel of y: where its patch begins in x, in chunks from the tile's first
  // image; and which rows and columns of the kernel lie outside of x there (outside()).
  struct Rows {
    int patch[Tile::m];
    unsigned outside[Tile::m];
  };
  union {
    Rows rows;  // until all have read them
    Step<Tile> ring[Tile::stages];
    float sum[Tile::m / parts * Tile::n];  // once the ring has done its work
  };
  // Where the row's pixel begins in y, in elements from the tile's first image, or -1 beyond the
  // last.
  int pixel[Tile::m];
};

/// Where chunk c of a row of a step lies.
__device__ __forceinline__ int offset_of(int row, int c) {
  return row * row_chunks + (c ^ (row / 2 % row_chunks));
}

/// Bit k: position + k lies outside of 0 ... extent - 1, or `kernel` has no such place; of 16 bits,
/// the last of which is no place in any kernel.
__device__ __forceinline__ unsigned outside(int position, int extent, int kernel) {
  const int first = position < 0 ? -position : 0, end = extent - position;
  const int past = end < kernel ? end : kernel;
  return first < past ? 0xffffu & ~((1u << past) - (1u << first)) : 0xffffu;
}

template <class Tile>
__device__ __forceinline__ void find_rows(const ConvPlan& plan, std::int64_t first_pixel,
                                          int first_in_image, SharedStorage<Tile>& shared) {
  for (int row = static_cast<int>(threadIdx.x); row < Tile::m; row += Tile::threads) {
    const int in_images = first_in_image + row;
    const int n = in_images / plan.image_pixels, rest = in_images % plan.image_pixels;
    const int p = rest / plan.out_w, q = rest % plan.out_w;
    const int h = p * plan.stride - plan.pad_h, w = q * plan.stride - plan.pad_w;
    const bool exists = first_pixel + row < plan.pixels;
    shared.rows.patch[row] =
        n * static_cast<int>(plan.x_image) + (h * plan.in_w + w) * plan.in_chunks;
    shared.rows.outside[row] =
        exists ? outside(h, plan.in_h, plan.kernel_h) << 16 | outside(w, plan.in_w, plan.kernel_w)
               : 0xffffffffu;
    shared.pixel[row] =
        exists ? n * static_cast<int>(plan.y_image) + p * plan.y_row + q * plan.y_column : -1;
  }
}

/// A thread's part in bringing steps: the same chunk of every few rows, at one tap.
template <class Tile>
struct Loader {
  static constexpr int rows_at_once = Tile::threads / row_chunks;
  static constexpr int a_rows = Tile::m / rows_at_once, b_rows = Tile::n / rows_at_once;
  static_assert(Tile::m % rows_at_once == 0 && Tile::n % rows_at_once == 0);
  static_assert(rows_at_once % (2 * row_chunks) == 0);  // so that the swizzle is the same for all

  // Where each row's begins, maybe outside of x; as numbers, for of pointers compilers keep x and
  // an index, whose sum takes three instructions more each time.
  std::uintptr_t patch[a_rows];
  unsigned outside[a_rows];
  const Chunk* weight;   // the next chunk of this thread's first row
  int chunk;             // the same, counted from the row's first
  int weight_rows;       // below this, rows of the weight exist
  int offset;            // of the same tap and channels in a patch, in chunks
  int c;                 // channels of the tap, in chunks
  unsigned row, column;  // bits of the tap, as in `outside`
  int target;

  /// x: of the tile's first image; first_weight: of its first channel; channels: that there are.
  __device__ __forceinline__ Loader(const ConvPlan& plan, const SharedStorage<Tile>& shared,
                                    const Chunk* x, const Chunk* first_weight, int channels) {
    const int own = static_cast<int>(threadIdx.x) / row_chunks;
    chunk = static_cast<int>(threadIdx.x) % row_chunks;
    for (int i = 0; i < a_rows; ++i) {
      patch[i] = reinterpret_cast<std::uintptr_t>(x + shared.rows.patch[own + i * rows_at_once]);
      outside[i] = shared.rows.outside[own + i * rows_at_once];
    }
    weight = first_weight + std::int64_t{own} * plan.taps_chunks + chunk;
    weight_rows = channels - own;
    const int tap = chunk / plan.in_chunks, r = tap / plan.kernel_w, s = tap % plan.kernel_w;
    c = chunk % plan.in_chunks;
    offset = (r * plan.in_w + s) * plan.in_chunks + c;
    row = 0x10000u << r, column = 1u << s;
    target = offset_of(own, chunk);
  }

  __device__ __forceinline__ void bring(const ConvPlan& plan, Step<Tile>& step) {
    const bool exists = chunk < plan.taps_chunks;
    const unsigned tap = exists ? row | column : 0x80000000u;
    const std::int64_t bytes = offset * std::int64_t{sizeof(Chunk)};
    for (int i = 0; i < a_rows; ++i)
      ptx::cp_async<16>(step.a + target + i * rows_at_once * row_chunks,
                        reinterpret_cast<const void*>(patch[i] + bytes),
                        (outside[i] & tap) == 0 ? 16 : 0);
    const std::int64_t weight_step = rows_at_once * plan.taps_chunks;
    for (int i = 0; i < b_rows; ++i)
      ptx::cp_async<16>(step.b + target + i * rows_at_once * row_chunks, weight + i * weight_step,
                        exists && i * rows_at_once < weight_rows ? 16 : 0);
    chunk += row_chunks, weight += row_chunks;
    // A step of channels beyond the last is the first of the next tap, which lies there too; a tap
    // beyond the row's last, that of the next row.
    c += plan.step_chunk, offset += plan.step_offset;
    column <<= plan.step_s, row <<= plan.step_r;
    if (c >= plan.in_chunks) c -= plan.in_chunks, column <<= 1;
    if (column >> plan.kernel_w != 0)
      column >>= plan.kernel_w, row <<= 1, offset += plan.row_offset;
  }
};

/// A warp's operands of two chunks of products. Matrices of 8 x 8 bf16 and of 8 x 4 tf32 are the
/// same to ldmatrix: a pair of bf16 is one register, as is a tf32, or four bytes. row: of this
/// lane, of which multiples of 16 do not change the swizzle; half: the first or second two chunks.
template <int m>
__device__ __forceinline__ void load_rows(RowFragments<m>& a, const Chunk* operands, int row,
                                          int half, int lane) {
  const Chunk* const from = operands + offset_of(row, half * 2 + lane / 16);
  for (int i = 0; i < m; ++i) ptx::ldmatrix(a[i], from + i * 16 * row_chunks);
}

/// Columns `first` and the 15 behind it.
template <int n>
__device__ __forceinline__ void load_columns(ColumnFragments<n>& b, int first,
                                             const Chunk* operands, int row, int half, int lane) {
  std::uint32_t pair[4];
  ptx::ldmatrix(pair, operands + offset_of(row, half * 2 + lane / 8 % 2) + first * 8 * row_chunks);
  b[first][0] = pair[0], b[first][1] = pair[1];
  b[first + 1][0] = pair[2], b[first + 1][1] = pair[3];
}

/// From shared.sum to y, one of the parts. A thread has four channels of every few rows.
template <class Tile, class Epilogue, class... Output>
__device__ __forceinline__ void write_part(const ConvPlan& plan, const Epilogue& epilogue,
                                           const SharedStorage<Tile>& shared, int part, int first_o,
                                           std::int64_t image, Output* __restrict__... y) {
  using Four = typename SumsOf<Epilogue>::Four;
  constexpr int row_threads = Tile::n / 4, rows_at_once = Tile::threads / row_threads;
  constexpr int rows = Tile::m / parts, warp_rows = rows / Tile::m_warps;
  if (Tile::threads % row_threads != 0 &&
      static_cast<int>(threadIdx.x) >= rows_at_once * row_threads)
    return;
  const int column = static_cast<int>(threadIdx.x) % row_threads, o = first_o + column * 4;
  const Four four(epilogue, o, plan.out_c);
  if (!four.exist()) return;
  // Residuals of a few rows are on their way at once: a store might change what a later load reads,
  // for all the compiler knows, so that none would pass it.
  constexpr int batch = 4;
  for (int first = static_cast<int>(threadIdx.x) / row_threads; first < rows;
       first += rows_at_once * batch) {
    int pixel[batch];
    typename Four::Residual residual[batch] = {};
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      const int row = first + b * rows_at_once;
      pixel[b] = row < rows
                     ? shared.pixel[(row / warp_rows * parts + part) * warp_rows + row % warp_rows]
                     : -1;
      if (pixel[b] >= 0)
        residual[b] = four.residual(epilogue, plan.vectorised, image + pixel[b] + o);
    }
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      if (pixel[b] < 0) continue;
      const float4 sum = load_shared(reinterpret_cast<const float4*>(
          shared.sum + sum_offset<Tile::n>(first + b * rows_at_once, column)));
      four.write(epilogue, plan.vectorised, sum, residual[b], image + pixel[b] + o, y...);
    }
  }
}

/// y: where the epilogue does not say that.
template <class Tile, class Element, class Epilogue, class... Output>
__global__ void __launch_bounds__(Tile::threads)
    conv2d_gemm_kernel(ConvPlan plan, Epilogue epilogue, const Chunk* __restrict__ x,
                       const Chunk* __restrict__ weight, Output*... y) {
  constexpr int warp_m = Tile::m / Tile::m_warps, warp_n = Tile::n / Tile::n_warps;
  constexpr int m = warp_m / 16, n = warp_n / 8;
  static_assert(warp_m % (16 * parts) == 0 && warp_n % 16 == 0);
  auto& shared = shared_storage<SharedStorage<Tile>>();

  const int block = static_cast<int>(blockIdx.x);
  const std::int64_t first_pixel = std::int64_t{block / plan.channel_tiles} * Tile::m;
  const int first_o = block % plan.channel_tiles * Tile::n;
  const std::int64_t first_image = first_pixel / plan.image_pixels;
  find_rows(plan, first_pixel, static_cast<int>(first_pixel - first_image * plan.image_pixels),
            shared);
  __syncthreads();
  Loader<Tile> loader(plan, shared, x + first_image * plan.x_image,
                      weight + std::int64_t{first_o} * plan.taps_chunks, plan.out_c - first_o);
  __syncthreads();  // the ring takes the place of the rows

  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int warp_row = warp / Tile::n_warps, first_n = warp % Tile::n_warps * warp_n;
  const int a_row = warp_row * warp_m + lane % 16, b_row = first_n + lane % 8 + lane / 16 * 8;
  typename SumsOf<Epilogue>::Sum sum[m][n][4] = {};
  add_products<Element, Tile::stages, 2>((plan.taps_chunks + row_chunks - 1) / row_chunks,
                                         [&](int slot) { loader.bring(plan, shared.ring[slot]); },
                                         [&](RowFragments<m>& a, int slot, int half) {
                                           load_rows<m>(a, shared.ring[slot].a, a_row, half, lane);
                                         },
                                         [&](ColumnFragments<n>& b, int first, int slot, int half) {
                                           load_columns<n>(b, first, shared.ring[slot].b, b_row,
                                                           half, lane);
                                         },
                                         sum);

#pragma unroll
  for (int part = 0; part < parts; ++part) {
    __syncthreads();  // sums take the place of the ring, even of what was read ahead
    for (int j = 0; j < n; ++j) {
      // Multiples of 4 rows do not change where a row's columns are.
      const int column = first_n + j * 8 + lane % 4 * 2;
      float* const to = shared.sum +
                        sum_offset<Tile::n>(warp_row * (warp_m / parts) + lane / 4, column / 4) +
                        column % 4;
      for (int i = 0; i < m / parts; ++i)
        for (int half = 0; half < 2; ++half) {
          const auto& two = sum[part * (m / parts) + i][j];
          ptx::store_shared_pair(
              reinterpret_cast<float2*>(to + (i * 16 + half * 8) * Tile::n),
              make_float2(to_single(two[2 * half]), to_single(two[2 * half + 1])));
        }
    }
    __syncthreads();
    write_part<Tile>(plan, epilogue, shared, part, first_o,
                     first_image * plan.y_image + plan.y_first, y...);
  }
}

/// Starts the kernel of conv_tiles[index] or, where that is not the tile, of a later one.
template <class Element, std::size_t index = 0, class Epilogue, class... Output>
void start(void* stream, const ConvPlan& plan, const ConvTile& tile, const Element* x,
           const Element* weight, const Epilogue& epilogue, Output*... y) {
  using Tile = TileOf<index>;
  static_assert(sizeof(SharedStorage<Tile>) <= least_shared_per_block);
  if (tile == Tile::value) {
    launch<conv2d_gemm_kernel<Tile, Element, Epilogue, Output...>>(
        plan.blocks, Tile::threads, sizeof(SharedStorage<Tile>), static_cast<cudaStream_t>(stream),
        plan, epilogue, reinterpret_cast<const Chunk*>(x), reinterpret_cast<const Chunk*>(weight),
        y...);
  } else if constexpr (index + 1 < std::size(conv_tiles)) {
    start<Element, index + 1>(stream, plan, tile, x, weight, epilogue, y...);
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::convolution_gemm
