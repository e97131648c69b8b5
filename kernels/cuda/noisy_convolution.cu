/// x = activation(prefix + scale z), or with a batch norm and an activation after it;
/// y = epilogue(bf16(x) (*) weight), see noisy_convolution.hpp. Outside the image x is zero after
/// all.
///
/// Layouts: prefix [any, h, w, in_c], y [rows, h, w, out_c], x [rows, h, w, in_c], weight as in
/// fragments.hpp, all aligned to 16 bytes.
///
/// Work: a block does 16 x 16 pixels of one row. It makes the noise of these and of their margin
/// once, in bf16 in shared memory, where it serves all taps and all channels of y; neighbours make
/// that of the margin again (1.27 times the elements with 3 x 3, 1.56 with 5 x 5). A warp then does
/// 64 pixels of 32 channels at a time: ldmatrix at the tap's shift is all that there is of a matrix
/// of patches, and the weights come straight from the caches, those of the next step while mma
/// multiplies these. One block's noise goes on beside another's products.
///
/// The sum of an element runs over (r, s, c) in ascending order, 16 products to an mma, like that
/// of the convolution that reads x from memory: the same bits.
///
/// Fused: random words, noise, its addition, two activations, batch norm, padding, patches, and the
/// epilogue. Never written: noise, and x unless it is asked for (then once, in bf16, without
/// the margin).
///
/// Bytes of a block: 4 of the prefix for each element, of margins too, and all of the weights, from
/// the L2 cache; y to memory, and 2 for each element of x if it is asked for. For 16 mma a warp
/// takes 2 KB from shared memory and 1 KB of weights.
///
/// Computed, not measured, for 32 x 32 pixels, 16 to 160 channels, 3 x 3, in thousands of clocks of
/// an A100's multiprocessor for each row: tensor cores 23 (1024 products a clock; 28 with the half
/// of a step that 160 channels leave idle), noise 10 (128 lanes; 60 instructions an element),
/// shared memory and L1 17 (128 bytes a clock), y 32 if it goes to memory (10 bytes a clock). So
/// it is the writing of y that takes the time, and the noise hides behind it.
///
///   shared memory: 10368 (3 x 3, 16 channels), 20736 (32), 12800 (5 x 5, 16), 25600 (32)
///   registers: 124 to 126 (sm_80), 124 to 128 (sm_90), none spilt (nvcc --resource-usage)
#include <memory>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/fragments.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/noise.cuh"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/stream_scratch.cuh"
#include "kernels/formulas/batch_norm.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int threads = 256, side = NoisyConvPlan::side;
constexpr int m_warps = 4, n_warps = 2;   // a warp makes 4 x 16 pixels of 32 channels
constexpr int m = side / m_warps, n = 2;  // rows of the square, fragments of the weights
static_assert(side == 16 && 32 * m_warps * n_warps == threads);

template <int channels, int kernel_size>
struct Shape {
  static constexpr int in_c = channels, kernel = kernel_size;
  static constexpr int chunks = in_c / 8, quads = in_c / 4, steps = in_c / WeightFragment::k;
  static constexpr int margin = kernel / 2, halo = side + 2 * margin;  // pixels
  static_assert(threads % quads == 0);
};

template <class S>
struct alignas(16) SharedStorage {
  std::uint16_t x[S::halo * S::halo * S::in_c];
};

/// Where a block works.
struct Tile {
  std::int64_t row;
  int top, left;

  __device__ __forceinline__ explicit Tile(const NoisyConvPlan& plan) {
    const int block = static_cast<int>(blockIdx.x), tile = block % plan.tiles;
    row = block / plan.tiles;
    top = tile / plan.row_tiles * side, left = tile % plan.row_tiles * side;
  }
};

template <class V = Lane>  // nvcc takes the constexpr functions of templates only
__device__ __forceinline__ float activate(const Activation& activation, float value) {
  return AnyActivation{activation.slope}.apply<V>(value).value;
}

__device__ __forceinline__ void store(float* y, const float (&value)[4]) {
  *reinterpret_cast<float4*>(y) = make_float4(value[0], value[1], value[2], value[3]);
}
__device__ __forceinline__ void store(std::uint16_t* y, const float (&value)[4]) {
  *reinterpret_cast<uint2*>(y) =
      make_uint2(ptx::to_bf16x2(value[0], value[1]), ptx::to_bf16x2(value[2], value[3]));
}

/// The square of x and its margin, each element once. A thread makes the same four channels of
/// every few pixels.
template <class S, class Transform>
__device__ __forceinline__ void make_input(const NoisyConvPlan& plan, const Tile& tile,
                                           const NoisyInput& input, const NoiseRow& row,
                                           const float* prefix, SharedStorage<S>& shared,
                                           std::uint16_t* x) {
  const int quad = static_cast<int>(threadIdx.x) % S::quads;
  const NoisyScaling& scaling = input.scaling;
  const bool scales = scaling.scale != nullptr;
  ScaleShift channel[4];
  for (int j = 0; j < 4; ++j) {
    channel[j].scale = scales ? scaling.scale[quad * 4 + j] : 1.0f;
    channel[j].shift = scales && scaling.shift != nullptr ? scaling.shift[quad * 4 + j] : 0.0f;
  }
  const NoisyRow<Transform, Identity> noise = {input.noise.seed, input.noise.tag, row,
                                               input.noise.scale, Identity(1.0f)};
  const std::int64_t image = std::int64_t{plan.h} * plan.w * S::in_c;
  const auto* const from = reinterpret_cast<const uint4*>(prefix + row.source * image);
  for (int p = static_cast<int>(threadIdx.x) / S::quads; p < S::halo * S::halo;
       p += threads / S::quads) {
    const int i = p / S::halo - S::margin, j = p % S::halo - S::margin;
    const int h = tile.top + i, w = tile.left + j;
    uint2 bits = make_uint2(0, 0);
    if (h >= 0 && h < plan.h && w >= 0 && w < plan.w) {
      const int block = (h * plan.w + w) * S::quads + quad;
      const uint4 v = __ldg(from + block);
      const float value[4] = {__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                              __uint_as_float(v.w)};
      float y[4];
      noise.apply(static_cast<std::uint32_t>(block), value, y);
      for (int c = 0; c < 4; ++c) {
        y[c] = activate(input.noise.activation, y[c]);
        if (scales) y[c] = normalised(channel[c], y[c], scaling.activation.slope);
      }
      bits = make_uint2(ptx::to_bf16x2(y[0], y[1]), ptx::to_bf16x2(y[2], y[3]));
      if (x != nullptr && i >= 0 && i < side && j >= 0 && j < side)
        *reinterpret_cast<uint2*>(x + tile.row * image + std::int64_t{block} * 4) = bits;
    }
    store_shared(
        reinterpret_cast<uint2*>(shared.x + swizzled<S::chunks>(p, quad / 2) + quad % 2 * 4), bits);
  }
}

/// A warp's sums: m rows of 16 pixels, n fragments of 16 channels.
template <class S>
struct Products {
  float sum[m][n][2][4] = {};

  /// weight: this lane's part of the first fragment; next: from the first fragment to the second;
  /// tap: from tap to tap.
  __device__ __forceinline__ void add(const SharedStorage<S>& shared, int top, int lane,
                                      const uint4* weight, int next, int tap) {
    WeightFragment fragments[n];
    const auto load = [&](const uint4* at) {
      for (int j = 0; j < n; ++j) fragments[j].load(at + j * next);
    };
    load(weight);
#pragma unroll 1
    for (int r = 0; r < S::kernel; ++r) {
#pragma unroll 1
      for (int s = 0; s < S::kernel; ++s) {
#pragma unroll
        for (int step = 0; step < S::steps; ++step) {
          const WeightFragment now[n] = {fragments[0], fragments[1]};
          // Packed are [r, step, s]; the order of the sum is (r, s, step), conv2d_gemm's.
          const bool last = s + 1 == S::kernel && step + 1 == S::steps;
          const int to = last                  ? (r + 1) * S::steps * S::kernel
                         : step + 1 < S::steps ? (r * S::steps + step + 1) * S::kernel + s
                                               : r * S::steps * S::kernel + s + 1;
          if (!last || r + 1 < S::kernel) load(weight + to * tap);
          for (int i = 0; i < m; ++i) {
            const int pixel = (top + i + r) * S::halo + lane % 16 + s;
            std::uint32_t a[4];
            ptx::ldmatrix(a, shared.x + swizzled<S::chunks>(pixel, step * 2 + lane / 16));
            for (int j = 0; j < n; ++j)
              for (int half = 0; half < 2; ++half)
                ptx::mma_bf16(sum[i][j][half], a, now[j].b[half]);
          }
        }
      }
    }
  }
};

/// The epilogue of 16 channels. Even lanes give their neighbours what they have of the second eight
/// channels, and get what those have of the first: then everybody has four channels in a row.
struct Ending {
  int channel, column;  // of this lane's four channels, and of its first pixel
  bool odd;
  float scale[4], shift[4];

  __device__ __forceinline__ Ending(const ConvEpilogue& epilogue, int lane, int o)
      : channel(o + lane % 2 * 8 + lane % 4 / 2 * 4), column(lane / 4), odd(lane % 2 != 0) {
    for (int c = 0; c < 4; ++c) {
      scale[c] = epilogue.scale != nullptr ? epilogue.scale[channel + c] : 1.0f;
      shift[c] = epilogue.shift != nullptr ? epilogue.shift[channel + c] : 0.0f;
    }
  }

  /// Writes those of 16 pixels that exist; `pixel`: the first.
  template <class Output>
  __device__ __forceinline__ void write(const ConvEpilogue& epilogue, const float (&sum)[2][4],
                                        int pixel, int exist, int out_c, Output* y) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float value[4];
      for (int c = 0; c < 2; ++c) {
        const float first = sum[0][2 * half + c], second = sum[1][2 * half + c];
        const float other = __shfl_xor_sync(0xffffffffu, odd ? first : second, 1);
        value[c] = odd ? other : first;
        value[2 + c] = odd ? second : other;
      }
      if (column + half * 8 >= exist) continue;
      const int offset = (pixel + column + half * 8) * out_c + channel;
      uint2 residual = make_uint2(0, 0);
      if (epilogue.residual != nullptr)
        residual = *reinterpret_cast<const uint2*>(epilogue.residual + offset);
      const float added[4] = {
          __uint_as_float(residual.x << 16), __uint_as_float(residual.x & 0xffff0000u),
          __uint_as_float(residual.y << 16), __uint_as_float(residual.y & 0xffff0000u)};
      for (int c = 0; c < 4; ++c)
        value[c] = activate(epilogue.activation,
                            __fadd_rn(__fmaf_rn(value[c], scale[c], shift[c]), added[c]));
      store(y + offset, value);
    }
  }
};

template <class S, class Transform, class Output>
__global__ void __launch_bounds__(threads, 2)
    noisy_conv2d_kernel(NoisyConvPlan plan, NoisyInput input, const NoiseRow* __restrict__ rows,
                        const float* __restrict__ prefix, const uint4* __restrict__ weight,
                        ConvEpilogue epilogue, Output* __restrict__ y,
                        std::uint16_t* __restrict__ x) {
  auto& shared = shared_storage<SharedStorage<S>>();
  const Tile tile(plan);
  make_input<S, Transform>(plan, tile, input, rows[tile.row], prefix, shared, x);
  __syncthreads();

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int top = warp / n_warps * m, fragments = plan.out_c / WeightFragment::n;
  if (tile.top + top >= plan.h) return;
  // Offsets within an image are 32 bits.
  const std::int64_t image = tile.row * (std::int64_t{plan.h} * plan.w * plan.out_c);
  if (epilogue.residual != nullptr) epilogue.residual += image;
  y += image;
  for (int fragment = warp % n_warps * n; fragment < fragments; fragment += n_warps * n) {
    const bool both =
        fragment + 1 < fragments;  // else the second is the first again, and not written
    Products<S> products;
    products.add(shared, top, lane, weight + fragment * 32 + lane, both ? 32 : 0, fragments * 32);
#pragma unroll
    for (int j = 0; j < n; ++j) {
      if (j > 0 && !both) continue;
      const Ending ending(epilogue, lane, (fragment + j) * WeightFragment::n);
#pragma unroll
      for (int i = 0; i < m; ++i) {
        const int h = tile.top + top + i;
        if (h >= plan.h) continue;
        const int pixel = h * plan.w + tile.left;
        ending.write(epilogue, products.sum[i][j], pixel, plan.w - tile.left, plan.out_c, y);
      }
    }
  }
}

template <class Output>
struct Request {
  void* stream;
  const NoisyConvPlan& plan;
  const NoisyInput& input;
  const NoiseRow* rows;
  const float* prefix;
  const std::uint16_t* weight;
  const ConvEpilogue& epilogue;
  Output* y;
  std::uint16_t* x;

  template <class S, class Transform>
  void run() const {
    static_assert(sizeof(SharedStorage<S>) <= least_shared_per_block);
    launch<noisy_conv2d_kernel<S, Transform, Output>>(
        plan.blocks, threads, sizeof(SharedStorage<S>), static_cast<cudaStream_t>(stream), plan,
        input, rows, prefix, reinterpret_cast<const uint4*>(weight), epilogue, y, x);
  }
  template <class S>
  void run() const {
    // Without noise any transform does: scale 0 leaves the prefix as it is, up to the sign of zero.
    switch (input.noise.distribution) {
      case NoiseDistribution::none:
      case NoiseDistribution::gaussian:
        return run<S, GaussianTransform>();
      case NoiseDistribution::laplace:
        return run<S, LaplaceTransform>();
    }
  }
  template <int in_c>
  void run(std::int64_t kernel) const {
    if (kernel == 3)
      run<Shape<in_c, 3>>();
    else
      run<Shape<in_c, 5>>();
  }
};

}  // namespace

template <class Output>
void noisy_conv2d(void* stream, const Conv2dShape& shape, const NoisyInput& input,
                  const NoiseRow* rows, std::int64_t row_count, const float* prefix,
                  const std::uint16_t* weight, const ConvEpilogue& epilogue, Output* y,
                  std::uint16_t* x) {
  const NoisyConvPlan plan =
      NoisyConvPlan::make(shape, input, row_count, prefix, weight, epilogue, y, x);
  if (plan.blocks == 0) return;
  NoisyInput given = input;
  if (input.noise.distribution == NoiseDistribution::none) given.noise.scale = 0.0f;
  const Request<Output> request = {stream, plan, given, rows, prefix, weight, epilogue, y, x};
  if (shape.in_c == 16)
    request.template run<16>(shape.kernel_h);
  else
    request.template run<32>(shape.kernel_h);
}

template void noisy_conv2d(void*, const Conv2dShape&, const NoisyInput&, const NoiseRow*,
                           std::int64_t, const float*, const std::uint16_t*, const ConvEpilogue&,
                           std::uint16_t*, std::uint16_t*);
template void noisy_conv2d(void*, const Conv2dShape&, const NoisyInput&, const NoiseRow*,
                           std::int64_t, const float*, const std::uint16_t*, const ConvEpilogue&,
                           float*, std::uint16_t*);

namespace {

/// With the weight packed.
class PackedNoisyConv2d : public NoisyConv2d {
 public:
  PackedNoisyConv2d(void* stream, const Conv2dShape& shape, const float* weight,
                    const NoisyScaling& before, const NoisyScaling& after)
      : stream_(stream),
        shape_(shape),
        weight_(static_cast<cudaStream_t>(stream), shape.weight_size()),
        in_scale_(stream, before.scale, shape.in_c),
        in_shift_(stream, before.shift, shape.in_c),
        scale_(stream, after.scale, shape.out_c),
        shift_(stream, after.shift, shape.out_c),
        in_activation_(before.activation),
        activation_(after.activation) {
    pack_fragments(stream, static_cast<int>(shape.in_c), static_cast<int>(shape.kernel_h),
                   static_cast<int>(shape.out_c), weight, weight_.data());
  }

  void run(const NoiseParams& noise, const NoiseRow* rows, const float* prefix, std::uint16_t* y,
           std::uint16_t* x) const override {
    const NoisyInput input = {noise, {in_scale_.data(), in_shift_.data(), in_activation_}};
    const ConvEpilogue epilogue = {
        .scale = scale_.data(), .shift = shift_.data(), .activation = activation_};
    noisy_conv2d(stream_, shape_, input, rows, shape_.batch, prefix, weight_.data(), epilogue, y,
                 x);
  }

 private:
  void* stream_;
  Conv2dShape shape_;
  StreamScratch<std::uint16_t> weight_;
  StreamCopy in_scale_, in_shift_, scale_, shift_;
  Activation in_activation_, activation_;
};

}  // namespace

std::unique_ptr<NoisyConv2d> prepare_noisy_conv2d(void* stream, const Conv2dShape& shape,
                                                  const float* weight, const NoisyScaling& before,
                                                  const NoisyScaling& after) {
  NoisyConvPlan::check_supported(shape);
  return std::make_unique<PackedNoisyConv2d>(stream, shape, weight, before, after);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
