/// y[n, p, q, o] = epilogue(sum over r, s, c of x[n, p stride + r - pad, q stride + s - pad, c]
///                                              * weight[o, r, s, c])
///
/// on tensor cores, in bf16 or tf32, for the forward convolution and for the gradient in x, which
/// is a convolution of dy by reversed kernels (ConvPass): a matrix product whose rows are pixels of
/// y, whose columns are its channels, and whose sums run over (r, s, c). The matrix of patches
/// exists only a step at a time, in shared memory.
///
/// Layouts: x [batch, in_h, in_w, in_c] and weight [out_c, kernel_h, kernel_w, in_c] in bf16 or
/// single precision, in_c whole chunks of 16 bytes, aligned to such; y in bf16 (of bf16) or single
/// precision, its channels side by side, its pixels anywhere. Where four channels always lie
/// aligned they are written together.
///
/// Work: a block makes ConvTile::m pixels of ConvTile::n channels. A step is 4 chunks of every sum,
/// 32 products of bf16 or 16 of tf32, where a chunk belongs to one tap and whole chunks, not whole
/// taps, make a step, so that no step is wasted on channel counts that are no multiple of it.
/// cp.async brings steps into a ring three ahead, with zeros for padding; chunk c of row i lies at
/// c xor (i/2 mod 4), which leaves ldmatrix and cp.async without bank conflicts. ldmatrix reads the
/// operands of the next two chunks while mma multiplies these (kernels/cuda/warp_products.cuh); the
/// fragments of m16n8k8 in tf32 are, in registers, those of m16n8k16 in bf16, so that only mma, and
/// the rounding to tf32 in front of it, differ. A thread finds its next tap by additions: positions
/// of its rows are kept, and a tap is an offset that they share.
///
/// The sums of an element run over (r, s, c) in ascending order, 16 products (tf32: 8) to an mma,
/// in every tile: its bits depend on nothing but its own operands.
///
/// Fused: padding, gathering of patches, rounding to tf32, scale and shift of each channel,
/// residual, activation, rounding of y; batch norm and activation of what reads y next. Never
/// written: patches, unscaled sums, and y where only what follows it is asked for.
///
/// Bytes: x, weight, y, residual and next once from or to memory; from the L2 cache, x once for
/// each tap and each n channels, weight once for each m pixels. Operations: 2 kernel_h kernel_w
/// in_c per element of y; shared memory gives 128 (tile 128 x 128), 192 (128 x 64) or 256 bytes per
/// mma of 2048 (tf32: 1024) products. Instructions of PTX in the main loop per mma (counted; not
/// timed on a GPU): 4 (128 x 128), 7 (128 x 64) or 10 (64 x 64) in bf16, of which the additions
/// that find the next chunks are half; 6, 10 or 14 in tf32, where rounding adds the rest.
///
///   tile        registers bf16 sm_80, sm_90   tf32 sm_80, sm_90   shared memory
///   128 x 128   254, 252                      254, 254            67072
///   128 x 64    166, 168                      166, 168            50688
///   128 x 32     96, 120                      100, 120            42496
///    64 x 64     96,  96                       96,  96            33536
///
/// (nvcc --resource-usage; none spilt.)
#include <iterator>

#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/warp_products.cuh"
#include "kernels/formulas/batch_norm.hpp"
#include "kernels/formulas/noise.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int row_chunks = ConvTile::chunks;  // a row is 64 bytes: two fill the 32 banks

/// conv_tiles[index] as a type. (nvcc 13 cannot launch kernels whose template argument is a
/// struct.)
template <std::size_t index>
struct TileOf {
  static constexpr ConvTile value = conv_tiles[index];
  static constexpr int m = value.m, n = value.n, stages = value.stages, m_warps = value.m_warps,
                       n_warps = value.n_warps, threads = value.threads();
};

template <class Tile>
struct Ring {
  Chunk a[Tile::stages][Tile::m * row_chunks], b[Tile::stages][Tile::n * row_chunks];
};

template <class Tile>
struct alignas(16) SharedStorage {
  union {
    Ring<Tile> ring;
    float sum[Tile::m * Tile::n];  // once the ring has done its work
  };
  // Of each row, that is, pixel of y: where its patch begins in x, in chunks from the tile's first
  // image; the same as h (upper half) and w, which may lie outside; where the pixel begins in y, in
  // elements from the tile's first image, or -1 beyond the last.
  int patch[Tile::m], corner[Tile::m], pixel[Tile::m];
};

/// Where chunk c of a row of a step lies.
__device__ __forceinline__ int offset_of(int row, int c) {
  return row * row_chunks + (c ^ (row / 2 % row_chunks));
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
    shared.patch[row] = n * static_cast<int>(plan.x_image) + (h * plan.in_w + w) * plan.in_chunks;
    // No tap leads from the lowest position back into the image.
    shared.corner[row] = exists ? static_cast<int>(static_cast<unsigned>(h) << 16) | (w & 0xffff)
                                : static_cast<int>(0x80000000u);
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

  int patch[a_rows], corner[a_rows];
  int r, s, c;       // the chunk of the next step that this thread brings
  int weight_chunk;  // the same, counted through all taps
  int weight_rows;   // below this, rows of the weight exist
  int target;

  __device__ __forceinline__ Loader(const ConvPlan& plan, int channels,
                                    const SharedStorage<Tile>& shared) {
    const int first = static_cast<int>(threadIdx.x) % row_chunks;
    const int row = static_cast<int>(threadIdx.x) / row_chunks;
    for (int i = 0; i < a_rows; ++i) {
      patch[i] = shared.patch[row + i * rows_at_once];
      corner[i] = shared.corner[row + i * rows_at_once];
    }
    const int tap = first / plan.in_chunks;
    c = first % plan.in_chunks, s = tap % plan.kernel_w, r = tap / plan.kernel_w;
    weight_chunk = first;
    weight_rows = channels - row;
    target = offset_of(row, first);
  }

  /// x: of the tile's first image; weight: this thread's row of the tile's first channels.
  __device__ __forceinline__ void bring(const ConvPlan& plan, Ring<Tile>& ring, int slot,
                                        const Chunk* __restrict__ x,
                                        const Chunk* __restrict__ weight) {
    const bool exists = weight_chunk < plan.taps_chunks;
    const int tap = (r * plan.in_w + s) * plan.in_chunks + c;
    for (int i = 0; i < a_rows; ++i) {
      const int h = (corner[i] >> 16) + r, w = static_cast<std::int16_t>(corner[i]) + s;
      const bool inside = exists && static_cast<unsigned>(h) < static_cast<unsigned>(plan.in_h) &&
                          static_cast<unsigned>(w) < static_cast<unsigned>(plan.in_w);
      ptx::cp_async<16>(ring.a[slot] + target + i * rows_at_once * row_chunks,
                        x + (inside ? patch[i] + tap : 0), inside ? 16 : 0);
    }
    for (int i = 0; i < b_rows; ++i) {
      const bool inside = exists && i * rows_at_once < weight_rows;
      const std::int64_t offset = i * rows_at_once * plan.taps_chunks + weight_chunk;
      ptx::cp_async<16>(ring.b[slot] + target + i * rows_at_once * row_chunks,
                        weight + (inside ? offset : 0), inside ? 16 : 0);
    }
    weight_chunk += row_chunks;
    c += plan.step_chunk, s += plan.step_s, r += plan.step_r;
    if (c >= plan.in_chunks) c -= plan.in_chunks, ++s;
    if (s >= plan.kernel_w) s -= plan.kernel_w, ++r;
  }
};

/// The warp's operands of two chunks of products. Matrices of 8 x 8 bf16 and of 8 x 4 tf32 are the
/// same to ldmatrix: a pair of bf16 is one register, and so is a tf32. a_row, b_row: of this lane;
/// half: the first or second two chunks.
template <class Tile, int m, int n>
__device__ __forceinline__ void load_fragments(Fragments<m, n>& f, const Ring<Tile>& ring, int slot,
                                               int half, int a_row, int b_row, int lane) {
  // Multiples of 16 rows do not change the swizzle.
  const Chunk* const from_a = ring.a[slot] + offset_of(a_row, half * 2 + lane / 16);
  const Chunk* const from_b = ring.b[slot] + offset_of(b_row, half * 2 + lane / 8 % 2);
  for (int i = 0; i < m; ++i) ptx::ldmatrix(f.a[i], from_a + i * 16 * row_chunks);
  for (int j = 0; j < n; j += 2) {
    std::uint32_t pair[4];
    ptx::ldmatrix(pair, from_b + j * 8 * row_chunks);
    f.b[j][0] = pair[0], f.b[j][1] = pair[1], f.b[j + 1][0] = pair[2], f.b[j + 1][1] = pair[3];
  }
}

struct Epilogue {
  ConvEpilogue params;

  template <class V>
  __device__ __forceinline__ float apply(float sum, float scale, float shift,
                                         float residual) const {
    const typename V::Floats value = V::fma(sum, scale, shift) + residual;
    if (params.activation.slope == 0.0f) return Relu(0.0f).apply<V>(value).value;
    return LeakyRelu(params.activation.slope).apply<V>(value).value;
  }
};

__device__ __forceinline__ float from_bf16(std::uint32_t bits) {
  return __uint_as_float(bits << 16);
}

/// 0 where there is none.
__device__ __forceinline__ float residual_of_one(const ConvEpilogue& epilogue,
                                                 std::int64_t offset) {
  if (epilogue.residual_fp32 != nullptr) return epilogue.residual_fp32[offset];
  return epilogue.residual != nullptr ? from_bf16(epilogue.residual[offset]) : 0.0f;
}
__device__ __forceinline__ float4 residual_of_four(const ConvEpilogue& epilogue,
                                                   std::int64_t offset) {
  if (epilogue.residual_fp32 != nullptr)
    return *reinterpret_cast<const float4*>(epilogue.residual_fp32 + offset);
  if (epilogue.residual == nullptr) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  const uint2 bits = *reinterpret_cast<const uint2*>(epilogue.residual + offset);
  return make_float4(from_bf16(bits.x), __uint_as_float(bits.x & 0xffff0000u), from_bf16(bits.y),
                     __uint_as_float(bits.y & 0xffff0000u));
}

__device__ __forceinline__ void store(float* y, const float (&value)[4]) {
  *reinterpret_cast<float4*>(y) = make_float4(value[0], value[1], value[2], value[3]);
}
__device__ __forceinline__ void store(std::uint16_t* y, const float (&value)[4]) {
  *reinterpret_cast<uint2*>(y) =
      make_uint2(ptx::to_bf16x2(value[0], value[1]), ptx::to_bf16x2(value[2], value[3]));
}
__device__ __forceinline__ void store(float* y, float value) { *y = value; }
__device__ __forceinline__ void store(std::uint16_t* y, float value) {
  *y = static_cast<std::uint16_t>(ptx::to_bf16x2(value, 0.0f));
}

/// Where columns 4 c ... 4 c + 3 of a row of sums begin: neither the writing of fragments nor the
/// reading of rows meets a bank twice.
template <class Tile>
__device__ __forceinline__ int sum_offset(int row, int c) {
  return row * Tile::n + (c ^ (row % 4 * 2)) * 4;
}

/// From shared.sum to y. A thread has four channels of every few rows.
template <class Tile, class Output>
__device__ __forceinline__ void write_tile(const ConvPlan& plan, const Epilogue& epilogue,
                                           const SharedStorage<Tile>& shared, int first_o,
                                           std::int64_t image, Output* __restrict__ y) {
  constexpr int row_threads = Tile::n / 4;
  static_assert(Tile::threads % row_threads == 0);
  const int column = static_cast<int>(threadIdx.x) % row_threads, o = first_o + column * 4;
  const int count = plan.out_c - o < 4 ? plan.out_c - o : 4;
  if (count <= 0) return;
  float scale[4] = {1.0f, 1.0f, 1.0f, 1.0f}, shift[4] = {};
  ScaleShift next[4] = {};
  const bool writes_y = y != nullptr, writes_next = epilogue.params.next != nullptr;
  const float next_slope = epilogue.params.next_activation.slope;
  for (int j = 0; j < 4; ++j) {
    if (j >= count) continue;
    if (epilogue.params.scale != nullptr) scale[j] = epilogue.params.scale[o + j];
    if (epilogue.params.shift != nullptr) shift[j] = epilogue.params.shift[o + j];
    if (writes_next)
      next[j] = {epilogue.params.next_scale[o + j], epilogue.params.next_shift[o + j]};
  }
  for (int row = static_cast<int>(threadIdx.x) / row_threads; row < Tile::m;
       row += Tile::threads / row_threads) {
    const int pixel = shared.pixel[row];
    if (pixel < 0) return;
    const std::int64_t offset = image + pixel + o;
    const float4 sum =
        load_shared(reinterpret_cast<const float4*>(shared.sum + sum_offset<Tile>(row, column)));
    const float sums[4] = {sum.x, sum.y, sum.z, sum.w};
    float value[4];
    if (plan.vectorised) {
      const float4 residual = residual_of_four(epilogue.params, offset);
      const float added[4] = {residual.x, residual.y, residual.z, residual.w};
      for (int j = 0; j < 4; ++j)
        value[j] = epilogue.apply<Lane>(sums[j], scale[j], shift[j], added[j]);
      if (writes_y) store(y + offset, value);
      if (writes_next) {
        for (int j = 0; j < 4; ++j) value[j] = normalised(next[j], value[j], next_slope);
        store(epilogue.params.next + offset, value);
      }
    } else {
      for (int j = 0; j < 4; ++j) {
        if (j >= count) continue;
        const float added = residual_of_one(epilogue.params, offset + j);
        const float one = epilogue.apply<Lane>(sums[j], scale[j], shift[j], added);
        if (writes_y) store(y + offset + j, one);
        if (writes_next)
          store(epilogue.params.next + offset + j, normalised(next[j], one, next_slope));
      }
    }
  }
}

template <class Tile, class Element, class Output>
__global__ void __launch_bounds__(Tile::threads)
    conv2d_gemm_kernel(ConvPlan plan, Epilogue epilogue, const Chunk* __restrict__ x,
                       const Chunk* __restrict__ weight, Output* __restrict__ y) {
  constexpr int warp_m = Tile::m / Tile::m_warps, warp_n = Tile::n / Tile::n_warps;
  constexpr int m = warp_m / 16, n = warp_n / 8;
  static_assert(warp_m % 16 == 0 && warp_n % 16 == 0);
  auto& shared = shared_storage<SharedStorage<Tile>>();

  const int block = static_cast<int>(blockIdx.x);
  const std::int64_t first_pixel = std::int64_t{block / plan.channel_tiles} * Tile::m;
  const int first_o = block % plan.channel_tiles * Tile::n;
  const std::int64_t first_image = first_pixel / plan.image_pixels;
  find_rows(plan, first_pixel, static_cast<int>(first_pixel - first_image * plan.image_pixels),
            shared);
  __syncthreads();
  Loader<Tile> loader(plan, plan.out_c - first_o, shared);
  const Chunk* const tile_x = x + first_image * plan.x_image;
  const Chunk* const tile_weight =
      weight + (std::int64_t{first_o} + threadIdx.x / row_chunks) * plan.taps_chunks;

  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int first_m = warp / Tile::n_warps * warp_m, first_n = warp % Tile::n_warps * warp_n;
  const int a_row = first_m + lane % 16, b_row = first_n + lane % 8 + lane / 16 * 8;
  float sum[m][n][4] = {};
  add_products<Element, Tile::stages>(
      (plan.taps_chunks + row_chunks - 1) / row_chunks,
      [&](int slot) { loader.bring(plan, shared.ring, slot, tile_x, tile_weight); },
      [&](Fragments<m, n>& fragments, int slot, int half) {
        load_fragments(fragments, shared.ring, slot, half, a_row, b_row, lane);
      },
      sum);
  __syncthreads();  // sums take the place of the ring, even of what was read ahead

  for (int j = 0; j < n; ++j) {
    // Multiples of 4 rows do not change where a row's columns are.
    const int column = first_n + j * 8 + lane % 4 * 2;
    float* const to = shared.sum + sum_offset<Tile>(first_m + lane / 4, column / 4) + column % 4;
    for (int i = 0; i < m; ++i)
      for (int half = 0; half < 2; ++half)
        store_shared(reinterpret_cast<float2*>(to + (i * 16 + half * 8) * Tile::n),
                     make_float2(sum[i][j][2 * half], sum[i][j][2 * half + 1]));
  }
  __syncthreads();
  write_tile<Tile>(plan, epilogue, shared, first_o, first_image * plan.y_image + plan.y_first, y);
}

/// Starts the kernel of conv_tiles[index] or, where that is not the tile, of a later one.
template <class Element, class Output, std::size_t index = 0>
void start(void* stream, const ConvPlan& plan, const ConvTile& tile, const Chunk* x,
           const Chunk* weight, const ConvEpilogue& epilogue, Output* y) {
  using Tile = TileOf<index>;
  static_assert(sizeof(SharedStorage<Tile>) <= least_shared_per_block);
  if (tile == Tile::value) {
    launch<conv2d_gemm_kernel<Tile, Element, Output>>(
        plan.blocks, Tile::threads, sizeof(SharedStorage<Tile>), static_cast<cudaStream_t>(stream),
        plan, Epilogue{epilogue}, x, weight, y);
  } else if constexpr (index + 1 < std::size(conv_tiles)) {
    start<Element, Output, index + 1>(stream, plan, tile, x, weight, epilogue, y);
  }
}

}  // namespace

template <class Element, class Output>
void conv2d_gemm(void* stream, const ConvPass& pass, const ConvTile& tile, const Element* x,
                 const Element* weight, const ConvEpilogue& epilogue, Output* y) {
  const ConvPlan plan =
      ConvPlan::make(pass, chunk_of<Element>, tile, x, weight, epilogue, y, sizeof(Output));
  if (plan.blocks == 0) return;
  start<Element>(stream, plan, tile, reinterpret_cast<const Chunk*>(x),
                 reinterpret_cast<const Chunk*>(weight + pass.weight_first), epilogue, y);
}

template void conv2d_gemm(void*, const ConvPass&, const ConvTile&, const std::uint16_t*,
                          const std::uint16_t*, const ConvEpilogue&, std::uint16_t*);
template void conv2d_gemm(void*, const ConvPass&, const ConvTile&, const std::uint16_t*,
                          const std::uint16_t*, const ConvEpilogue&, float*);
template void conv2d_gemm(void*, const ConvPass&, const ConvTile&, const float*, const float*,
                          const ConvEpilogue&, float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
