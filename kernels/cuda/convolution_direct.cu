/// y[n, p, q, o] = activation(sum over r, s, c of x[n, p stride + r - pad, q stride + s - pad, c]
///                                                * weight[o, c, r, s]
///                            + bias[o])
///
/// in single precision throughout, for what lies before the noise, whose sensitivity is proved for
/// this very sum: made for the convolution that reads the image, but able to do any. The order of
/// the products, and so every bit, is fixed: see kernels/cuda/convolution_direct.hpp.
///
/// Layouts: x [batch, in_h, in_w, in_c], weight [out_c, in_c, kernel_h, kernel_w], y
/// [batch, out_h, out_w, out_c], dense, aligned to 4 bytes. Where the pixels of y are multiples of
/// 16 bytes and begin at such, they are written 16 bytes at a time.
///
/// Work: a block makes 16 x 16 pixels of 16 channels, or 8 x 16 of 32, of one image. It keeps the
/// kernels of its channels, re-ordered to [r, s, c, o], and the patch of x under its pixels,
/// padding included, in shared memory: in both, the products of a kernel row are one run of
/// consecutive values, whatever in_c. Where all channels of x together do not fit, it takes one
/// chunk of them after the other. A thread makes 4 channels of 4 pixels below each other; the lanes
/// of a warp, all channels of 8 (4) neighbouring pixels. A dense layer is an image with a row to a
/// pixel.
///
/// Fused: padding, bias, activation. Never written: patches in the order of products.
///
/// Bytes: 4 per element of y, and x once for each block of channels, with the overlap of
/// neighbouring patches from the caches; the kernels once for each tile of pixels, from the caches.
/// Operations: 2 kernel_h kernel_w in_c per element of y; 5 reads of shared memory per 16
/// multiply-additions. No bank conflicts where the channels in a chunk are odd (several chunks
/// always are, but for the last) or where stride times channels is 2 or 6.
///
/// Registers of a thread: 48 (sm_80 and sm_90), none spilt (nvcc --resource-usage). Shared memory:
/// 7 KB for 3x3x3 kernels, 50 KB for 10x10x3 ones with stride 2, at most 80 KB where there are
/// several chunks of more than one channel.
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/current_arch.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/formulas/noise.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using Plan = DirectConvPlan;

/// weight[first_o ... first_o + block_c, first_c ... first_c + channels, r, s] to
/// shared[r, s, c, o]; zeros beyond out_c.
template <int block_c>
__device__ __forceinline__ void load_kernels(const Plan& plan, int first_o, int first_c,
                                             int channels, const float* __restrict__ weight,
                                             float* shared) {
  const int row_taps = plan.kernel_w * channels, taps = plan.kernel_h * row_taps;
  for (int i = static_cast<int>(threadIdx.x); i < taps * block_c; i += Plan::block_threads) {
    const int o = first_o + i % block_c, tap = i / block_c;
    const int r = tap / row_taps, s = tap % row_taps / channels, c = first_c + tap % channels;
    const std::int64_t from = (std::int64_t{o} * plan.in_c + c) * plan.kernel_h + r;
    store_shared(shared + i, o < plan.out_c ? weight[from * plan.kernel_w + s] : 0.0f);
  }
}

/// The same channels of the pixels of x from (first_h, first_w) on, a warp for each row; zeros
/// outside the image.
__device__ __forceinline__ void load_patch(const Plan& plan, int first_h, int first_w, int first_c,
                                           int channels, const float* __restrict__ image,
                                           float* shared) {
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int width = plan.patch_w * channels;
  for (int i = warp; i < plan.patch_h; i += Plan::block_threads / 32) {
    const int h = first_h + i;
    const bool row_inside = h >= 0 && h < plan.in_h;
    for (int j = lane; j < width; j += 32) {
      const int w = first_w + j / channels, c = first_c + j % channels;
      const bool inside = row_inside && w >= 0 && w < plan.in_w;
      shared[i * width + j] = inside ? image[(h * plan.in_w + w) * plan.in_c + c] : 0.0f;
    }
  }
}

template <int block_c, class Activate>
__global__ void __launch_bounds__(Plan::block_threads, 5)
    conv2d_direct_kernel(Plan plan, Activate activate, const float* __restrict__ x,
                         const float* __restrict__ weight, const float* __restrict__ bias,
                         float* __restrict__ y) {
  constexpr int rows = Plan::thread_rows, channels = Plan::thread_channels;
  constexpr int channel_lanes = block_c / channels, warp_columns = 32 / channel_lanes;
  constexpr int column_warps = Plan::tile_w / warp_columns;

  // Kernels, then patch: as much of it as the plan says.
  auto* const kernels = reinterpret_cast<float*>(&shared_storage<float4>());

  const int image_tiles = plan.row_tiles * plan.column_tiles;
  const int image = static_cast<int>(blockIdx.x) / image_tiles;
  const int tile = static_cast<int>(blockIdx.x) % image_tiles;
  const int first_p = tile / plan.column_tiles * Plan::tile_h(block_c);
  const int first_q = tile % plan.column_tiles * Plan::tile_w;
  const int first_o = static_cast<int>(blockIdx.y) * block_c;
  const float* const image_x = x + std::int64_t{image} * (plan.in_h * plan.in_w * plan.in_c);

  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int o = lane % channel_lanes * channels;
  const int column = warp % column_warps * warp_columns + lane / channel_lanes;
  const int row = warp / column_warps * rows;
  float sum[rows][channels] = {};
  for (int first_c = 0; first_c < plan.in_c; first_c += plan.chunk_c) {
    const int rest = plan.in_c - first_c, chunk_c = rest < plan.chunk_c ? rest : plan.chunk_c;
    const int row_taps = plan.kernel_w * chunk_c;
    float* const patch = kernels + plan.kernel_h * row_taps * block_c;
    if (first_c > 0) __syncthreads();  // everybody has read the last chunk
    load_kernels<block_c>(plan, first_o, first_c, chunk_c, weight, kernels);
    load_patch(plan, first_p * plan.stride - plan.pad_top, first_q * plan.stride - plan.pad_left,
               first_c, chunk_c, image_x, patch);
    __syncthreads();

    const int patch_row = plan.patch_w * chunk_c, row_step = plan.stride * patch_row;
    const float* const corner = patch + row * row_step + column * plan.stride * chunk_c;
    for (int r = 0; r < plan.kernel_h; ++r) {
      const float* const values = corner + r * patch_row;
      const float* const kernel_row = kernels + r * row_taps * block_c + o;
      for (int t = 0; t < row_taps; ++t) {
        const float4 w = load_shared(reinterpret_cast<const float4*>(kernel_row + t * block_c));
        for (int i = 0; i < rows; ++i) {
          const float value = load_shared(values + i * row_step + t);
          sum[i][0] = __fmaf_rn(value, w.x, sum[i][0]);
          sum[i][1] = __fmaf_rn(value, w.y, sum[i][1]);
          sum[i][2] = __fmaf_rn(value, w.z, sum[i][2]);
          sum[i][3] = __fmaf_rn(value, w.w, sum[i][3]);
        }
      }
    }
  }

  const int q = first_q + column;
  if (q >= plan.out_w) return;
  float* const out = y + std::int64_t{image} * (plan.out_h * plan.out_w * plan.out_c);
  for (int i = 0; i < rows; ++i) {
    const int p = first_p + row + i;
    if (p >= plan.out_h) return;
    float* const pixel = out + (p * plan.out_w + q) * plan.out_c;
    float result[channels];
    for (int j = 0; j < channels; ++j) {
      if (bias != nullptr && first_o + o + j < plan.out_c)
        sum[i][j] = __fadd_rn(sum[i][j], bias[first_o + o + j]);
      result[j] = activate.template apply<Lane>(sum[i][j]).value;
    }
    if (plan.vectorised) {
      if (first_o + o < plan.out_c) {
        *reinterpret_cast<float4*>(pixel + first_o + o) =
            make_float4(result[0], result[1], result[2], result[3]);
      }
    } else {
      for (int j = 0; j < channels; ++j)
        if (first_o + o + j < plan.out_c) pixel[first_o + o + j] = result[j];
    }
  }
}

template <class Activate>
void run(void* stream, const Plan& plan, Activate activate, const float* x, const float* weight,
         const float* bias, float* y) {
  const auto start = [&]<int block_c>() {
    launch<conv2d_direct_kernel<block_c, Activate>>(
        dim3(plan.tiles, plan.channel_blocks), Plan::block_threads, plan.shared_bytes,
        static_cast<cudaStream_t>(stream), plan, activate, x, weight, bias, y);
  };
  plan.block_c == 16 ? start.template operator()<16>() : start.template operator()<32>();
}

}  // namespace

void conv2d_direct(void* stream, const Conv2dShape& shape, Activation activation, const float* x,
                   const float* weight, const float* bias, float* y) {
  const Plan plan = Plan::make(shape, y, current_arch());
  if (plan.tiles == 0) return;
  if (activation.is_identity())
    run(stream, plan, Identity(1.0f), x, weight, bias, y);
  else if (activation == Activation::relu())
    run(stream, plan, Relu(0.0f), x, weight, bias, y);
  else
    run(stream, plan, LeakyRelu(activation.slope), x, weight, bias, y);
}

void dense_direct(void* stream, const DenseShape& shape, Activation activation, const float* x,
                  const float* weight, const float* bias, float* y) {
  // Rows are the pixels of an image as wide as a tile, and the rest of one that is lower.
  const std::int64_t rest = shape.rows % Plan::tile_w, full = shape.rows - rest;
  Conv2dShape image = as_convolution(shape);
  image.batch = 1, image.in_h = full / Plan::tile_w, image.in_w = Plan::tile_w;
  if (full > 0) conv2d_direct(stream, image, activation, x, weight, bias, y);
  image.in_h = 1, image.in_w = rest;
  if (rest > 0)
    conv2d_direct(stream, image, activation, x + full * shape.in, weight, bias,
                  y + full * shape.out);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
