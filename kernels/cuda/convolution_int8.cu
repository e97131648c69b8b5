/// sum[n, p, q, o] = sum over r, s, c of x[n, p stride + r - pad, q stride + s - pad, c]
///                                       * weight[o, r, s, c]
/// value = activation(sum * scale[o] + shift[o] + residual),   bytes by its inverse scale
///
/// on tensor cores, of signed bytes with exact sums in 32 bits: a matrix product whose rows are
/// pixels of y, whose columns are its channels, and whose sums run over (r, s, c). The matrix of
/// patches exists only a step at a time, in shared memory. A dense layer is an image of one pixel.
///
/// Layouts: x [batch, in_h, in_w, in_c] and weight [out_c, kernel_h, kernel_w, in_c] in signed
/// bytes, in_c filled up with zeros to chunks of 16, aligned to such; residual and reals in single
/// precision, bytes of the results where these are wanted, all [batch, out_h, out_w, out_c].
///
/// Work: a block makes ConvTile::m pixels of n channels. A step is 4 chunks of every sum, 64
/// products, where a chunk belongs to one tap and whole chunks, not whole taps, make a step.
/// cp.async brings steps into a ring three ahead, with zeros for padding; chunk c of row i lies at
/// c xor (i/2 mod 4), which leaves ldmatrix and cp.async without bank conflicts. To ldmatrix a pair
/// of 16 bits is what four bytes are, so that its fragments are those of m16n8k32. A thread finds
/// its next tap by additions.
///
/// The order of the sums tells nothing, for they are exact. All behind them is the processor's
/// sequence of operations, each rounded once: the same bits.
///
/// Fused: padding, gathering of patches, scale, shift, residual, activation, rounding to bytes;
/// scale, shift and activation of what follows y, and its rounding. Never written: patches, sums,
/// and those of y and what follows it, real or in bytes, that are not asked for.
///
/// Bytes: x, weight, residual and what is written once from or to memory; from the L2 cache, x once
/// for each tap and each n channels, weight once for each m pixels. Operations: 2 kernel_h kernel_w
/// in_c per element of y; shared memory gives 192 (tiles 128 x 64), 256 (the others) bytes per mma
/// of 4096 products.
///
///   tile        registers sm_80, sm_90   shared memory
///   128 x 64    125, 124                 49152
///   128 x 32     80,  80                 40960
///    64 x 64     80,  80                 32768
///
/// (nvcc --resource-usage; none spilt.)
#include <iterator>

#include "kernels/cuda/convolution_epilogue.cuh"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/cuda/int8_epilogue.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/mma.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// 16 channels of a pixel.
using Bytes16 = uint4;
constexpr int row_chunks = ConvTile::chunks;  // a row is 64 bytes: two fill the 32 banks

/// int8_conv_tiles[index] as a type. (nvcc 13 cannot launch kernels whose template argument is a
/// struct.)
template <std::size_t index>
struct TileOf {
  static constexpr ConvTile value = int8_conv_tiles[index];
  static constexpr int m = value.m, n = value.n, stages = value.stages, m_warps = value.m_warps,
                       n_warps = value.n_warps, threads = value.threads();
};

template <class Tile>
struct Ring {
  Bytes16 a[Tile::stages][Tile::m * row_chunks], b[Tile::stages][Tile::n * row_chunks];
};

template <class Tile>
struct alignas(16) SharedStorage {
  union {
    Ring<Tile> ring;
    int sum[Tile::m * Tile::n];  // once the ring has done its work
  };
};

/// Where chunk c of a row of a step lies.
__device__ __forceinline__ int offset_of(int row, int c) {
  return row * row_chunks + (c ^ (row / 2 % row_chunks));
}

/// A thread's part in bringing steps: the same chunk of every few rows, at one tap.
template <class Tile>
class Loader {
  static constexpr int rows_at_once = Tile::threads / row_chunks;
  static constexpr int a_rows = Tile::m / rows_at_once, b_rows = Tile::n / rows_at_once;
  static_assert(Tile::m % rows_at_once == 0 && Tile::n % rows_at_once == 0);
  static_assert(rows_at_once % (2 * row_chunks) == 0);  // so that the swizzle is the same for all

 public:
  __device__ __forceinline__ Loader(const Int8ConvPlan& plan, std::int64_t first_pixel, int first_o,
                                    const Bytes16* __restrict__ x,
                                    const Bytes16* __restrict__ weight) {
    const int first = static_cast<int>(threadIdx.x) % row_chunks;
    const int row = static_cast<int>(threadIdx.x) / row_chunks;
    const std::int64_t first_image = first_pixel / plan.image_pixels;
    const int in_image = static_cast<int>(first_pixel - first_image * plan.image_pixels);
    for (int i = 0; i < a_rows; ++i) {
      const int in_images = in_image + row + i * rows_at_once;
      const int n = in_images / plan.image_pixels, rest = in_images % plan.image_pixels;
      const int h = rest / plan.out_w * plan.stride - plan.pad_h;
      w_[i] = rest % plan.out_w * plan.stride - plan.pad_w;
      from_[i] = n * static_cast<int>(plan.image_chunks) + (h * plan.in_w + w_[i]) * plan.in_chunks;
      // No tap leads from so low a position into the image.
      h_[i] = first_pixel + row + i * rows_at_once < plan.pixels ? h : -(1 << 30);
    }
    const int tap = first / plan.in_chunks;
    c_ = first % plan.in_chunks, s_ = tap % plan.kernel_w, r_ = tap / plan.kernel_w;
    weight_chunk_ = first;
    weight_rows_ = plan.out_c - first_o - row;
    target_ = offset_of(row, first);
    x_ = x + first_image * plan.image_chunks;
    weight_ = weight + (std::int64_t{first_o} + row) * plan.taps_chunks;
  }

  /// Starts the copies of the next step.
  __device__ __forceinline__ void bring(const Int8ConvPlan& plan, Ring<Tile>& ring, int slot) {
    const bool exists = weight_chunk_ < plan.taps_chunks;
    const int tap = (r_ * plan.in_w + s_) * plan.in_chunks + c_;
    for (int i = 0; i < a_rows; ++i) {
      const int h = h_[i] + r_, w = w_[i] + s_;
      const bool inside = exists && static_cast<unsigned>(h) < static_cast<unsigned>(plan.in_h) &&
                          static_cast<unsigned>(w) < static_cast<unsigned>(plan.in_w);
      ptx::cp_async<16>(ring.a[slot] + target_ + i * rows_at_once * row_chunks,
                        x_ + (inside ? from_[i] + tap : 0), inside ? 16 : 0);
    }
    for (int i = 0; i < b_rows; ++i) {
      const bool inside = exists && i * rows_at_once < weight_rows_;
      const int at = i * rows_at_once * plan.taps_chunks + weight_chunk_;
      ptx::cp_async<16>(ring.b[slot] + target_ + i * rows_at_once * row_chunks,
                        weight_ + (inside ? at : 0), inside ? 16 : 0);
    }
    weight_chunk_ += row_chunks;
    c_ += plan.step_chunk, s_ += plan.step_s, r_ += plan.step_r;
    if (c_ >= plan.in_chunks) c_ -= plan.in_chunks, ++s_;
    if (s_ >= plan.kernel_w) s_ -= plan.kernel_w, ++r_;
  }

 private:
  const Bytes16 *x_, *weight_;  // of the tile's first image; this thread's first row
  int h_[a_rows], w_[a_rows];   // where patches begin, perhaps outside the image
  int from_[a_rows];            // the same in chunks from the tile's first image
  int r_, s_, c_;               // the chunk of the next step that this thread brings
  int weight_chunk_;            // the same, counted through all taps
  int weight_rows_;             // below this, rows of the weight exist
  int target_;
};

/// The operands of a warp for one mma of each of its sums.
template <int m, int n>
struct Fragments {
  std::uint32_t a[m][4], b[n][2];

  /// a_row, b_row: of this lane; half: the first or second two chunks of a step.
  template <class Tile>
  __device__ __forceinline__ void load(const Ring<Tile>& ring, int slot, int half, int a_row,
                                       int b_row, int lane) {
    // Multiples of 16 rows do not change the swizzle.
    const Bytes16* const from_a = ring.a[slot] + offset_of(a_row, half * 2 + lane / 16);
    const Bytes16* const from_b = ring.b[slot] + offset_of(b_row, half * 2 + lane / 8 % 2);
    for (int i = 0; i < m; ++i) ptx::ldmatrix(a[i], from_a + i * 16 * row_chunks);
    for (int j = 0; j < n; j += 2) {
      std::uint32_t pair[4];
      ptx::ldmatrix(pair, from_b + j * 8 * row_chunks);
      b[j][0] = pair[0], b[j][1] = pair[1], b[j + 1][0] = pair[2], b[j + 1][1] = pair[3];
    }
  }
  __device__ __forceinline__ void multiply(std::int32_t (&sum)[m][n][4]) const {
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) ptx::mma_s8(sum[i][j], a[i], b[j]);
  }
};

/// From sums to the targets. A thread has four channels of every few rows.
template <class Tile>
__device__ __forceinline__ void write_tile(const Int8ConvPlan& plan, const Int8Epilogue& epilogue,
                                           const int* sum, std::int64_t first_pixel, int first_o) {
  constexpr int row_threads = Tile::n / 4;
  static_assert(Tile::threads % row_threads == 0);
  const int column = static_cast<int>(threadIdx.x) % row_threads, o = first_o + column * 4;
  const Int8FourChannels four(epilogue, o, plan.out_c);
  if (!four.exist()) return;
  for (int row = static_cast<int>(threadIdx.x) / row_threads; row < Tile::m;
       row += Tile::threads / row_threads) {
    if (first_pixel + row >= plan.pixels) return;
    const std::int64_t at = (first_pixel + row) * plan.out_c + o;
    const int4 sums =
        load_shared(reinterpret_cast<const int4*>(sum + sum_offset<Tile::n>(row, column)));
    four.write(epilogue, plan.vectorised,
               make_float4(__int2float_rn(sums.x), __int2float_rn(sums.y), __int2float_rn(sums.z),
                           __int2float_rn(sums.w)),
               four.residual(epilogue, plan.vectorised, at), at);
  }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::threads)
    conv2d_int8_kernel(Int8ConvPlan plan, Int8Epilogue epilogue, const Bytes16* __restrict__ x,
                       const Bytes16* __restrict__ weight) {
  constexpr int warp_m = Tile::m / Tile::m_warps, warp_n = Tile::n / Tile::n_warps;
  constexpr int m = warp_m / 16, n = warp_n / 8, ahead = Tile::stages - 1;
  static_assert(warp_m % 16 == 0 && warp_n % 16 == 0);
  auto& shared = shared_storage<SharedStorage<Tile>>();

  const int block = static_cast<int>(blockIdx.x);
  const std::int64_t first_pixel = std::int64_t{block / plan.channel_tiles} * Tile::m;
  const int first_o = block % plan.channel_tiles * Tile::n;
  Loader<Tile> loader(plan, first_pixel, first_o, x, weight);

  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int first_m = warp / Tile::n_warps * warp_m, first_n = warp % Tile::n_warps * warp_n;
  const int a_row = first_m + lane % 16, b_row = first_n + lane % 8 + lane / 16 * 8;
  const int steps = (plan.taps_chunks + row_chunks - 1) / row_chunks;
  std::int32_t sum[m][n][4] = {};
  for (int step = 0; step < ahead; ++step) {
    if (step < steps) loader.bring(plan, shared.ring, step);
    ptx::cp_async_commit();  // empty at the end, so that groups and steps stay in step
  }
  for (int step = 0; step < steps; ++step) {
    ptx::cp_async_wait<ahead - 1>();
    __syncthreads();  // everybody's part of this step has come, and nobody reads the last one
    if (step + ahead < steps) loader.bring(plan, shared.ring, (step + ahead) % Tile::stages);
    ptx::cp_async_commit();
    Fragments<m, n> fragments[2];
    for (int half = 0; half < 2; ++half)
      fragments[half].load(shared.ring, step % Tile::stages, half, a_row, b_row, lane);
    for (int half = 0; half < 2; ++half) fragments[half].multiply(sum);
  }
  __syncthreads();  // sums take the place of the ring

  for (int j = 0; j < n; ++j) {
    // Multiples of 4 rows do not change where a row's columns are.
    const int column = first_n + j * 8 + lane % 4 * 2;
    int* const to = shared.sum + sum_offset<Tile::n>(first_m + lane / 4, column / 4) + column % 4;
    for (int i = 0; i < m; ++i)
      for (int half = 0; half < 2; ++half)
        store_shared(reinterpret_cast<int2*>(to + (i * 16 + half * 8) * Tile::n),
                     make_int2(sum[i][j][2 * half], sum[i][j][2 * half + 1]));
  }
  __syncthreads();
  write_tile<Tile>(plan, epilogue, shared.sum, first_pixel, first_o);
}

/// Starts the kernel of int8_conv_tiles[index] or, where that is not the tile, of a later one.
template <std::size_t index = 0>
void start(void* stream, const Int8ConvPlan& plan, const ConvTile& tile, const Bytes16* x,
           const Bytes16* weight, const Int8Epilogue& epilogue) {
  using Tile = TileOf<index>;
  static_assert(sizeof(SharedStorage<Tile>) <= least_shared_per_block);
  if (tile == Tile::value) {
    launch<conv2d_int8_kernel<Tile>>(plan.blocks, Tile::threads, sizeof(SharedStorage<Tile>),
                                     static_cast<cudaStream_t>(stream), plan, epilogue, x, weight);
  } else if constexpr (index + 1 < std::size(int8_conv_tiles)) {
    start<index + 1>(stream, plan, tile, x, weight, epilogue);
  }
}

}  // namespace

void conv2d_int8(void* stream, const Conv2dShape& shape, const ConvTile& tile, const std::int8_t* x,
                 const std::int8_t* weight, const Int8Epilogue& epilogue) {
  const Int8ConvPlan plan = Int8ConvPlan::make(shape, tile, x, weight, epilogue);
  if (plan.blocks == 0) return;
  start(stream, plan, tile, reinterpret_cast<const Bytes16*>(x),
        reinterpret_cast<const Bytes16*>(weight), epilogue);
}

void conv2d_int8(void* stream, const Conv2dShape& shape, const Int8ConvKernel& kernel,
                 const std::int8_t* x, const std::int8_t* weight, const Int8Epilogue& epilogue) {
  if (kernel.wgmma_channels > 0)
    conv2d_int8_wgmma(stream, shape, kernel.wgmma_channels, x, weight, epilogue);
  else
    PIXELDP_DEVICE::conv2d_int8(stream, shape, kernel.tile, x, weight, epilogue);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
