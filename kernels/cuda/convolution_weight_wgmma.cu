/// dweight[o, c, r, s] = sum over n, p, q of dy[n, p, q, o]
///                                           * x[n, p stride + r - pad, q stride + s - pad, c]
///
/// in bf16 by warpgroups of sm_90a: what convolution_weight.cu does on every GPU, for the shapes
/// that choose_wgmma_weight_tile takes.
///
/// Layouts: x [batch, in_h, in_w, in_c] and dy [batch, out_h, out_w, out_c] in bf16, channels
/// filled up to multiples of 8, aligned to 16 bytes; partial sums [split, out_c, r, s, in_c] in
/// single precision, in_c filled up.
///
/// Work: a block makes 256 rows, which are channels of x at a tap, by n channels of dy, of one
/// split. A step is a box of up to 64 pixels, whole rows of one or several images. One thread of
/// the first warpgroup asks for its copies to one of four slots (tiled; with stride 2, x is four
/// tensors, by the parity of row and column): x is boxes of 64 or 32 channels, each shifted by its
/// tap, whose pixels outside of the image (padding), of images that are none and of channels beyond
/// in_c come as zeros; dy is boxes of as many channels. Sums run over pixels, so both operands lie
/// the wrong way, a pixel to a row of 128 or 64 bytes, and the products transpose them in place,
/// swizzled by the copy as they read them. Two warpgroups multiply, each half of the rows by all
/// channels in two products of 64 x n x 16. What they wait for: warpgroups.cuh.
///
/// Boxes of pixels that are no multiple of 16 are filled up with zeros, which threads write once,
/// for no copy touches them. Rows behind the last tap are channels that x has not: zeros that are
/// read from nowhere.
///
/// Sums are cut into splits of whole boxes, because there are many pixels and few results: a block
/// adds its boxes in ascending order, 16 products at a time, and add_weight_splits adds the splits
/// in theirs. No atomics; the bits depend on nothing but the shape.
///
/// Fused: padding, gathering of patches, transposition. Never written: patches.
///
/// Bytes: from the L2 cache, a step's boxes, 49152 to 57344 bytes for 16 products of 64 x n x 16;
/// partial sums, 4 bytes per split and element, written and read: eight lanes of a warp write 32
/// bytes that follow each other. Operations: 2 per pixel and element of the weight; machine
/// instructions of the main loop for each product, with what steps take that are not full: 14.8 (n
/// = 160) or 15.9. Not timed on a GPU.
///
///   n, channels of a box   registers   while they bring, multiply   shared memory
///   160, 64                168         40, 232                      230400
///   128, 64                168         40, 232                      197632
///   160, 32                168         40, 232                      214016
///   128, 32                168         40, 232                      197632
///
/// (nvcc --resource-usage for sm_90a; none spilt.)
#include <utility>

#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/tma.cuh"
#include "kernels/cuda/warpgroups.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using namespace warpgroups;
using Plan = ConvWgmmaWeightPlan;

constexpr int m = WgmmaWeightTile::rows, stages = WgmmaWeightTile::stages;
constexpr int consumer_rows = m / consumers, row_products = consumer_rows / product_rows;
static_assert(WgmmaWeightTile::pixels == step_products * product_depth);

/// wgmma_weight_tiles[index] as a type.
template <std::size_t index>
struct TileOf {
  static constexpr WgmmaWeightTile value = wgmma_weight_tiles[index];
  static constexpr int n = value.channels, box_channels = value.box_channels;
  static constexpr int x_boxes = value.x_boxes(), boxes = x_boxes + value.dy_boxes();
  /// Bytes of a pixel and of a box in a slot.
  static constexpr int pixel_bytes = box_channels * TensorBox::bf16_bytes;
  static constexpr int box_bytes = pixel_bytes * WgmmaWeightTile::pixels;
  static constexpr int chunk_bytes = sizeof(uint4), box_chunks = box_bytes / chunk_bytes;
  static_assert(product_rows % box_channels == 0);
};

struct Maps {
  TensorMap x[4], dy;
};

/// Where a box of x lies in the pixels (0, 0) of y, and in which tensor.
struct alignas(16) Source {
  int c, w, h, map;
};

template <class Tile>
struct alignas(shared_alignment) SharedStorage {
  uint4 ring[stages][Tile::boxes][Tile::box_chunks];  // those of dy last
  std::uint64_t full[stages], empty[stages];
  Source source[Tile::x_boxes];
};

/// Box of channels number `box` of all taps.
template <class Tile>
__device__ __forceinline__ Source find_source(const Plan& plan, int box) {
  const int tap = box / plan.tap_boxes;
  if (tap >= plan.taps) return {plan.filled_c, 0, 0, 0};
  const int odd = plan.stride - 1;  // the bit that tells the parity; the shift that takes it away
  const int h = tap / plan.kernel_w - plan.pad_h, w = tap % plan.kernel_w - plan.pad_w;
  return {box % plan.tap_boxes * Tile::box_channels, w >> odd, h >> odd, (h & odd) * 2 + (w & odd)};
}

/// Zeros for what fills up the pixels of a box, in all slots.
template <class Tile>
__device__ __forceinline__ void fill_boxes(const Plan& plan, SharedStorage<Tile>& shared) {
  constexpr int pixel_chunks = Tile::pixel_bytes / Tile::chunk_bytes;
  const int first = plan.box.pixels() * pixel_chunks;
  const int count = plan.products * product_depth * pixel_chunks - first;
  uint4* const ring = shared.ring[0][0];
  for (int i = static_cast<int>(threadIdx.x); i < count * stages * Tile::boxes; i += threads)
    ring[i / count * Tile::box_chunks + first + i % count] = make_uint4(0, 0, 0, 0);
}

/// Asks for the copies of all steps, as slots get empty.
template <class Tile>
__device__ __forceinline__ void bring_steps(const Plan& plan, const Maps& maps, int first_o,
                                            int first_step, int steps,
                                            SharedStorage<Tile>& shared) {
  int p = first_step % plan.tiles_h * plan.box.h;
  int image = first_step / plan.tiles_h * plan.box.images;
  RingSlot<stages> slot;
  for (int step = 0; step < steps; ++step) {
    std::uint64_t* const full = &shared.full[slot.number];
    ptx::mbarrier_wait(&shared.empty[slot.number], slot.parity ^ 1);
    ptx::mbarrier_arrive_expect(full, plan.step_bytes);
#pragma unroll 1
    for (int i = 0; i < Tile::x_boxes; ++i) {
      const Source source = shared.source[i];
      ptx::copy_box(shared.ring[slot.number][i], maps.x[source.map], full, source.c, source.w,
                    source.h + p, image);
    }
#pragma unroll 1
    for (int i = Tile::x_boxes; i < Tile::boxes; ++i)
      ptx::copy_box(shared.ring[slot.number][i], maps.dy, full,
                    first_o + (i - Tile::x_boxes) * Tile::box_channels, 0, p, image);
    slot.next();
    p += plan.box.h;
    if (p == plan.box.h * plan.tiles_h) p = 0, image += plan.box.images;
  }
}

/// The sums of a warpgroup's rows.
template <class Tile>
__device__ __forceinline__ void multiply_rows(const Plan& plan, int consumer, int steps,
                                              SharedStorage<Tile>& shared,
                                              float (&sum)[row_products][Tile::n / 2]) {
  constexpr std::uint64_t next_depth = ptx::wgmma_bytes(product_depth * Tile::pixel_bytes);
  const int left_out = step_products - plan.products;
  const std::uint64_t skipped = static_cast<std::uint64_t>(left_out) * next_depth;
  const int first_box = consumer * (consumer_rows / Tile::box_channels);
  RingSlot<stages> slot;
  multiply_steps<true>(
      steps, shared.full, ptx::wgmma_bytes(product_rows / Tile::box_channels * Tile::box_bytes),
      next_depth,
      [&](int step) {
        const auto operand = [&](int box) {
          return ptx::wgmma_columns<Tile::pixel_bytes>(shared.ring[step][box], Tile::box_bytes);
        };
        return StepOperands{operand(first_box) - skipped, operand(Tile::x_boxes) - skipped,
                            left_out};
      },
      [&](int step) {
        if (threadIdx.x % 32 == 0) ptx::mbarrier_arrive(&shared.empty[step]);
      },
      slot, sum);
}

/// From registers to the partial sums of the split.
template <class Tile>
__device__ __forceinline__ void write_sums(const Plan& plan, int first_box, int first_o,
                                           int consumer,
                                           const float (&sum)[row_products][Tile::n / 2],
                                           float* __restrict__ partial) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32 % 4);
  const int own_o = first_o + lane % 4 * 2, columns = plan.taps * plan.filled_c;
#pragma unroll
  for (int i = 0; i < row_products; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = consumer * consumer_rows + i * product_rows + warp * 16 + half * 8 + lane / 4;
      const int box = first_box + row / Tile::box_channels, tap = box / plan.tap_boxes;
      const int c = box % plan.tap_boxes * Tile::box_channels + row % Tile::box_channels;
      if (tap >= plan.taps || c >= plan.filled_c) continue;
      float* to = partial + std::int64_t{own_o} * columns + tap * plan.filled_c + c;
#pragma unroll
      for (int j = 0; j < Tile::n / 8; ++j) {
        if (own_o + j * 8 < plan.out_c) to[0] = sum[i][j * 4 + half * 2];
        if (own_o + j * 8 + 1 < plan.out_c) to[columns] = sum[i][j * 4 + half * 2 + 1];
        to += std::int64_t{8} * columns;
      }
    }
  }
}

template <class Tile>
__global__ void __launch_bounds__(threads, 1)
    conv2d_wgmma_weight_kernel(const __grid_constant__ Maps maps, Plan plan,
                               float* __restrict__ partial) {
  auto& shared = shared_storage<SharedStorage<Tile>>();
  const int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  const int first_box = block / plan.channel_tiles * Tile::x_boxes;
  const int first_o = block % plan.channel_tiles * Tile::n;
  const int first_step = static_cast<int>(blockIdx.y) * plan.split_boxes;
  const int left = plan.boxes - first_step;
  const int steps = left < plan.split_boxes ? left : plan.split_boxes;
  if (thread == 0) begin_ring(shared.full, shared.empty);
  if (thread < Tile::x_boxes) shared.source[thread] = find_source<Tile>(plan, first_box + thread);
  fill_boxes(plan, shared);
  ptx::fence_proxy_async();
  __syncthreads();

  if (thread < warpgroup) {
    ptx::take_fewer_registers<producer_registers>();
    if (thread == 0) bring_steps(plan, maps, first_o, first_step, steps, shared);
  } else {
    ptx::take_more_registers<consumer_registers>();
    const int consumer = thread / warpgroup - 1;
    float sum[row_products][Tile::n / 2] = {};
    multiply_rows(plan, consumer, steps, shared, sum);
    const std::int64_t split = std::int64_t{plan.out_c} * plan.taps * plan.filled_c;
    write_sums<Tile>(plan, first_box, first_o, consumer, sum, partial + blockIdx.y * split);
  }
}

template <std::size_t index>
void start(void* stream, const Plan& plan, const Maps& maps, float* partial) {
  using Tile = TileOf<index>;
  static_assert(sizeof(SharedStorage<Tile>) <= sm_90.shared_per_block);
  launch<conv2d_wgmma_weight_kernel<Tile>>(dim3(plan.tile_blocks, plan.splits), threads,
                                           sizeof(SharedStorage<Tile>),
                                           static_cast<cudaStream_t>(stream), maps, plan, partial);
}

}  // namespace

void conv2d_wgmma_weight_sums(void* stream, const Conv2dShape& shape, const WgmmaWeightTile& tile,
                              const std::uint16_t* x, const std::uint16_t* dy, float* partial) {
  const Plan plan = Plan::make(shape, tile);
  const auto boxes = ConvWgmmaWeightBoxes::make(shape, tile, x, dy);
  Maps maps = {};
  for (int i = 0; i < 4; ++i)
    if (boxes.x.boxes[i].rank > 0) maps.x[i] = encode(boxes.x.boxes[i]);
  maps.dy = encode(boxes.dy);
  [&]<std::size_t... i>(std::index_sequence<i...>) {
    ((tile == wgmma_weight_tiles[i] ? start<i>(stream, plan, maps, partial) : void()), ...);
  }
  (std::make_index_sequence<std::size(wgmma_weight_tiles)>());
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
