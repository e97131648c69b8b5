/// y[n, p, q, o] = epilogue(sum over r, s, c of x[n, p stride + r - pad, q stride + s - pad, c]
///                                              * weight[o, r, s, c])
///
/// by warpgroups of sm_90a: what convolution_gemm.cuh does on every GPU, in bf16 for the shapes
/// that choose_wgmma_channels takes, and in int8 for those of WgmmaInt8Time.
///
/// Layouts: x [batch, in_h, in_w, in_c] and weight [out_c, kernel_h, kernel_w, in_c] in bf16, in_c
/// a multiple of 16, aligned to 16 bytes; y in bf16 or single precision, its channels side by side,
/// its pixels anywhere. Where four channels always lie aligned they are written together. In int8
/// all as Int8Epilogue says.
///
/// Work: a block makes a box of up to 256 pixels, whole rows of one or several images, and n
/// channels. A step is 64 channels of one tap: of x the box shifted by the tap, whose pixels
/// outside of the image (padding), of images that are none and of channels beyond in_c come as
/// zeros, and the weight's rows of the tap. One thread of the first warpgroup asks for the two
/// copies of a step (tiled, no im2col mode; with stride 2, x is four tensors, by the parity of row
/// and column) to one of four slots; the two other warpgroups multiply, each half of the pixels by
/// all channels in two products of 64 x n x 16. Rows of a slot are 128 bytes, swizzled by the copy
/// as the products read them: no bank conflicts. What they wait for: warpgroups.cuh.
///
/// Two blocks are a cluster where they have pixels, or channels, in common (choose_wgmma_shared):
/// each brings half of these operands to both, so that a slot is empty when the consumers of both
/// blocks have read it. No block returns before all consumers are done with all slots.
///
/// The sums of an element run over (r, s, c) in ascending order, 16 products at a time: the order
/// of convolution_gemm.cuh. Its bits depend on nothing but its own operands. Sums of bytes are
/// exact.
///
/// In int8 a step is 128 channels of one tap and a product 64 x n x 32: the same bytes in the same
/// places. 160 channels take two steps, of whose eight products three are left out, while the
/// copies bring zeros.
///
/// A block makes one tile after the other, in a fixed order. The epilogue goes through shared
/// memory, where half of the ring was: a lane's sums are pairs of channels, and stores of 4 bytes,
/// 16 bytes to a row, would write every sector of y in halves. So each warp lays 16 of its rows
/// down (swizzled; no other warp has to do with them), writes 256 bytes of a row at a time, and
/// does the same with its other 16 rows. Residuals are read for eight rows before the first of
/// these is written, for a block has eight warps alone to hide their way from memory. The first two
/// steps of the next tile come to the other half of the ring meanwhile (ConvWgmmaPlan::blocks says
/// why so).
///
/// Fused: padding, gathering of patches, scale and shift of each channel, residual, activation,
/// rounding of y; batch norm and activation of what reads y next. Never written: patches, unscaled
/// sums, and y where only what follows it is asked for.
///
/// Bytes: x, weight, y, residual and next once from or to memory; from the L2 cache, x once for
/// each tap and each n channels, weight once for each tile of pixels, or, of what is shared, half
/// of that (wgmma_pair_bytes). Operations: 2 kernel_h kernel_w in_c per element of y; shared memory
/// gives 7168 (n = 160) or 6144 bytes to a product of 64 x n x 16. Machine instructions of the main
/// loop for each product, with what steps take that are not full: 14.8 (n = 160) or 15.3. Not timed
/// on a GPU.
///
///   n     registers     while they bring, multiply   shared memory
///   160   168           40, 232                      214016
///   128   168           40, 232                      197632
///
/// (nvcc --resource-usage for sm_90a; none spilt.)
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/cuda/current_arch.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/epilogues.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/cluster.cuh"
#include "kernels/cuda/ptx/store.cuh"
#include "kernels/cuda/ptx/tma.cuh"
#include "kernels/cuda/warpgroups.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using namespace warpgroups;

/// depth: of a row of a slot, in values of 16 bits.
constexpr int m = WgmmaTile::pixels, depth = WgmmaTile::depth, stages = WgmmaTile::stages;
static_assert(depth == step_products * product_depth && WgmmaTile::products == step_products);
constexpr int consumer_rows = m / consumers, row_products = consumer_rows / product_rows;
static_assert(consumer_rows % product_rows == 0);

struct Maps {
  TensorMap x[4], weight;
};

/// A slot of the ring.
template <int n>
union alignas(shared_alignment) Slot {
  struct {
    std::uint16_t a[m * depth], b[n * depth];
  } step;
  float sum[product_rows * n];  // of a consumer, between two tiles
};

template <int n>
struct alignas(shared_alignment) SharedStorage {
  Slot<n> ring[stages];
  std::uint64_t full[stages], empty[stages], done;
};

/// A tile, by its number.
struct Place {
  int image, p, o;  // the first of each

  __device__ __forceinline__ Place(const ConvWgmmaPlan& plan, int n, int number) {
    // Those of a cluster's blocks are neighbours.
    const int box_pair = plan.shared == WgmmaShared::weight ? 2 : 1, tile = number / box_pair;
    const int boxes = tile / plan.channel_tiles * box_pair + number % box_pair;
    o = tile % plan.channel_tiles * n;
    p = boxes % plan.tiles_h * plan.box.h;
    image = boxes / plan.tiles_h * plan.box.images;
  }
};

__device__ __forceinline__ int find_pixel(const ConvWgmmaPlan& plan, const Place& place, int row) {
  const int q = row % plan.box.w, rows = row / plan.box.w;
  const int p = rows % plan.box.h + place.p, n = rows / plan.box.h;
  const bool exists = n < plan.box.images && n < plan.images - place.image && p < plan.out_h;
  return exists ? n * static_cast<int>(plan.y_image) + p * plan.y_row + q * plan.y_column : -1;
}

/// Asks for the copies of all steps of a tile, as slots get empty.
template <int n>
__device__ __forceinline__ void bring_steps(const ConvWgmmaPlan& plan, const Maps& maps,
                                            const Place& place, RingSlot<stages>& slot,
                                            SharedStorage<n>& shared) {
  constexpr std::uint16_t both = 3;
  const int odd = plan.stride - 1;  // the bit that tells the parity; the shift that takes it away
  // Of what is shared, the second half is the second block's.
  const int second = static_cast<int>(ptx::cluster_rank());
  const bool half_images = plan.half.images < plan.box.images;
  const int own_image = place.image + (half_images ? second * plan.half.images : 0);
  const int own_p = place.p + (half_images ? 0 : second * plan.half.h);
  const int own_pixel = second * plan.half.pixels(), own_channel = second * (n / 2);
  for (int r = 0; r < plan.kernel_h; ++r) {
    for (int s = 0; s < plan.kernel_w; ++s) {
      const int h = r - plan.pad_h, w = s - plan.pad_w;
      const TensorMap& x = maps.x[(h & odd) * 2 + (w & odd)];
      for (int c = 0; c < plan.channels; c += plan.depth) {
        std::uint64_t* const full = &shared.full[slot.number];
        std::uint16_t* const a = shared.ring[slot.number].step.a;
        std::uint16_t* const b = shared.ring[slot.number].step.b;
        const int tap = r * plan.kernel_w + s;
        ptx::mbarrier_wait_for_peers(&shared.empty[slot.number], slot.parity ^ 1);
        ptx::mbarrier_arrive_expect(full, plan.step_bytes);
        if (plan.shared == WgmmaShared::x)
          ptx::multicast_box(a + own_pixel * depth, x, full, c, w >> odd, (h >> odd) + own_p,
                             own_image, both);
        else
          ptx::copy_box(a, x, full, c, w >> odd, (h >> odd) + place.p, place.image);
        if (plan.shared == WgmmaShared::weight)
          ptx::multicast_box(b + own_channel * depth, maps.weight, full, c, tap,
                             place.o + own_channel, both);
        else
          ptx::copy_box(b, maps.weight, full, c, tap, place.o);
        slot.next();
      }
    }
  }
}

/// By all lanes of a warp, which has read the slot, or written it, for the last time.
template <int n>
__device__ __forceinline__ void release(const ConvWgmmaPlan& plan, int slot,
                                        SharedStorage<n>& shared) {
  if (const unsigned lane = threadIdx.x % 32; lane < plan.cluster)
    ptx::mbarrier_arrive_in_peer(&shared.empty[slot], lane);
}

/// The sums of a warpgroup's pixels.
template <int n, class Sum>
__device__ __forceinline__ void multiply_pixels(const ConvWgmmaPlan& plan, int consumer,
                                                RingSlot<stages>& slot, SharedStorage<n>& shared,
                                                Sum (&sum)[row_products][n / 2]) {
  int chunk = 0;
  multiply_steps<false>(
      plan.kernel_h * plan.kernel_w * plan.chunks, shared.full,
      ptx::wgmma_step(product_rows / 8, 0), ptx::wgmma_step(0, 1),
      [&](int step) {
        // The last channels of a tap do not fill their step.
        const bool last = ++chunk == plan.chunks;
        const int left_out = last ? step_products - plan.last_products : 0;
        if (last) chunk = 0;
        const std::uint64_t skipped = ptx::wgmma_step(0, left_out);
        return StepOperands{
            ptx::wgmma_rows(shared.ring[step].step.a + consumer * consumer_rows * depth) - skipped,
            ptx::wgmma_rows(shared.ring[step].step.b) - skipped, left_out};
      },
      [&](int step) { release(plan, step, shared); }, slot, sum);
}

/// `width` times four channels of 16 rows of a warp to y, a lane the same four of every few rows.
/// `pixel`: where that of row `lane % 16` of two times 16 begins in y, in elements from the tile's
/// first image, or -1; `first_lane`: of the first row.
template <int width, int n, class Epilogue, class... Output>
__device__ __forceinline__ void write_columns(const ConvWgmmaPlan& plan, const Place& place,
                                              const Epilogue& epilogue, const float* sum, int pixel,
                                              int first_lane, int first_column,
                                              Output* __restrict__... y) {
  using Four = typename SumsOf<Epilogue>::Four;
  constexpr int rows = 16, at_once = 32 / width, batch = rows / at_once < 8 ? rows / at_once : 8;
  static_assert(rows % (at_once * batch) == 0);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int column = first_column + lane % width, o = place.o + column * 4;
  const Four four(epilogue, o, plan.out_c);
  const std::int64_t first = place.image * plan.y_image + plan.y_first + o;
#pragma unroll 1
  for (int done = lane / width; done < rows; done += at_once * batch) {
    typename Four::Residual residual[batch] = {};
    std::int64_t offset[batch];
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      const int to = __shfl_sync(~0u, pixel, first_lane + done + i * at_once);
      const bool exists = to >= 0 && four.exist();
      offset[i] = exists ? first + to : -1;
      if (exists) residual[i] = four.residual(epilogue, plan.vectorised, offset[i]);
    }
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      if (offset[i] < 0) continue;
      const float4 four_sums = load_shared(
          reinterpret_cast<const float4*>(sum + sum_offset<n>(done + i * at_once, column)));
      four.write(epilogue, plan.vectorised, four_sums, residual[i], offset[i], y...);
    }
  }
}

/// From registers through shared memory to y, the rows of one product after those of the other.
/// sums: of the consumer's slot.
template <int n, class Epilogue, class Sum, class... Output>
__device__ __forceinline__ void write_sums(const ConvWgmmaPlan& plan, const Place& place,
                                           const Epilogue& epilogue, int consumer,
                                           const Sum (&sum)[row_products][n / 2], float* sums,
                                           Output* __restrict__... y) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32 % 4);
  float* const own = sums + warp * 16 * n;
  static_assert(row_products * 16 == 32);
  const int pixel = find_pixel(
      plan, place, consumer * consumer_rows + lane / 16 * product_rows + warp * 16 + lane % 16);
#pragma unroll
  for (int i = 0; i < row_products; ++i) {
    for (int j = 0; j < n / 8; ++j) {
      // Multiples of 4 rows do not change where a row's columns are.
      const int column = j * 8 + lane % 4 * 2;
      auto* const to =
          reinterpret_cast<float2*>(own + sum_offset<n>(lane / 4, column / 4) + column % 4);
      for (int half = 0; half < 2; ++half)
        ptx::store_shared_pair(to + half * 4 * n,
                               make_float2(to_single(sum[i][j * 4 + half * 2]),
                                           to_single(sum[i][j * 4 + half * 2 + 1])));
    }
    __syncwarp();
    constexpr int whole = n / 128, rest = n % 128 / 4;  // 32 lanes take 128 channels
    for (int k = 0; k < whole; ++k)
      write_columns<32, n>(plan, place, epilogue, own, pixel, i * 16, k * 32, y...);
    if constexpr (rest > 0)
      write_columns<rest, n>(plan, place, epilogue, own, pixel, i * 16, whole * 32, y...);
    __syncwarp();
  }
}

/// y: where the epilogue does not say that.
template <int n, class Epilogue, class... Output>
__global__ void __launch_bounds__(threads, 1)
    conv2d_wgmma_kernel(const __grid_constant__ Maps maps, ConvWgmmaPlan plan, Epilogue epilogue,
                        Output*... y) {
  auto& shared = shared_storage<SharedStorage<n>>();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    begin_ring(shared.full, shared.empty, plan.cluster);
    ptx::mbarrier_init(&shared.done, consumer_warps);
    ptx::fence_mbarrier_init();
    ptx::fence_proxy_async();
  }
  ptx::cluster_arrive();
  ptx::cluster_wait();

  const int first = static_cast<int>(blockIdx.x), blocks = static_cast<int>(gridDim.x);
  RingSlot<stages> slot;
  if (thread < warpgroup) {
    ptx::take_fewer_registers<producer_registers>();
    if (thread == 0)
      for (int tile = first; tile < plan.tiles; tile += blocks)
        bring_steps(plan, maps, Place(plan, n, tile), slot, shared);
  } else {
    ptx::take_more_registers<consumer_registers>();
    const int consumer = thread / warpgroup - 1;
    unsigned parity = 0;
#pragma unroll 1
    for (int tile = first; tile < plan.tiles; tile += blocks) {
      __syncwarp();  // or nvcc takes the warp for split, and has each product wait for the one
                     // before
      typename SumsOf<Epilogue>::Sum sum[row_products][n / 2] = {};
      multiply_pixels(plan, consumer, slot, shared, sum);
      // Sums take the place of the last two steps, a consumer's that of one, which all products
      // have read by now. Those of the next two steps are being filled.
      if (thread % 32 == 0) ptx::mbarrier_arrive(&shared.done);
      ptx::mbarrier_wait(&shared.done, parity);
      parity ^= 1;
      static_assert(stages == 4 && consumers == 2);
      const auto last_but = [&](int one) { return (slot.number + stages - 1 - one) % stages; };
      write_sums<n>(plan, Place(plan, n, tile), epilogue, consumer, sum,
                    shared.ring[last_but(consumer)].sum, y...);
      if (tile + blocks >= plan.tiles) break;
      ptx::fence_proxy_async();
      __syncwarp();
      for (int one = 0; one < consumers; ++one) release(plan, last_but(one), shared);
    }
  }
  ptx::cluster_arrive();
  ptx::cluster_wait();
}

template <int n, class Epilogue, class... Output>
void start(void* stream, const ConvWgmmaPlan& plan, const Maps& maps, const Epilogue& epilogue,
           Output*... y) {
  static_assert(sizeof(SharedStorage<n>) <= sm_90.shared_per_block);
  launch<conv2d_wgmma_kernel<n, Epilogue, Output...>>(
      Extent(plan.blocks).in_clusters_of(plan.cluster), threads, sizeof(SharedStorage<n>),
      static_cast<cudaStream_t>(stream), maps, plan, epilogue, y...);
}

template <class Epilogue, class... Output>
void start(void* stream, const ConvWgmmaPlan& plan, int channels, const ConvWgmmaBoxes& boxes,
           const Epilogue& epilogue, Output*... y) {
  Maps maps = {};
  for (int i = 0; i < 4; ++i)
    if (boxes.x.boxes[i].rank > 0) maps.x[i] = encode(boxes.x.boxes[i]);
  maps.weight = encode(boxes.weight);
  static_assert(std::size(WgmmaTile::channels) == 2);
  if (channels == WgmmaTile::channels[0])
    start<WgmmaTile::channels[0]>(stream, plan, maps, epilogue, y...);
  if (channels == WgmmaTile::channels[1])
    start<WgmmaTile::channels[1]>(stream, plan, maps, epilogue, y...);
}

}  // namespace

template <class Output>
void conv2d_wgmma(void* stream, const ConvPass& pass, int channels, const std::uint16_t* x,
                  const std::uint16_t* weight, const ConvEpilogue& epilogue, Output* y) {
  const auto plan =
      ConvWgmmaPlan::make(pass, channels, current_arch(), epilogue, y, sizeof(Output));
  if (plan.blocks == 0) return;
  start(stream, plan, channels,
        ConvWgmmaBoxes::make(pass, channels, plan.shared, TensorBox::bf16_bytes, x,
                             weight + pass.weight_first),
        epilogue, y);
}

template void conv2d_wgmma(void*, const ConvPass&, int, const std::uint16_t*, const std::uint16_t*,
                           const ConvEpilogue&, std::uint16_t*);
template void conv2d_wgmma(void*, const ConvPass&, int, const std::uint16_t*, const std::uint16_t*,
                           const ConvEpilogue&, float*);

void conv2d_int8_wgmma(void* stream, const Conv2dShape& shape, int channels, const std::int8_t* x,
                       const std::int8_t* weight, const Int8Epilogue& epilogue) {
  const auto plan = ConvWgmmaPlan::make(shape, channels, current_arch(), epilogue);
  if (plan.blocks == 0) return;
  start(stream, plan, channels,
        ConvWgmmaBoxes::make(ConvPass::forward(shape, int8_chunk), channels, plan.shared, 1, x,
                             weight),
        epilogue);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
