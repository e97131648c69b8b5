/// Global average:  y[n, c] = (sum over p of x[n, p, c]) / pixels,     dx[n, p, c] = dy[n, c] /
/// pixels Shortcut:        y[n, p, q, before + c] = mean of the window of x at (p stride, q
/// stride),
///                  dx = dy / window where a window covers it, else 0
/// Sum:             y = activation(a + b)
///
/// as defined in kernels/pooling.hpp, with the processor's order of every sum: the same bits.
///
/// Layouts: NHWC, dense, of any alignment, in single precision; what the global average and the
/// shortcut read, and the shortcut's result, also in bf16, calculated with in single precision.
/// Where all numbers of channels are multiples of 4 and tensors are aligned to 16 bytes, a thread
/// has a vector of 4 channels, else one channel.
///
/// Work: of the global average, a block has 32 vectors and a thread to each of 8 lanes of pixels,
/// which are summed in shared memory; of its gradient, 2048 vectors of one image. Of a shortcut, a
/// block writes a row of pixels, its zeros too. Of a sum, a thread writes one vector.
///
/// Fused: mean and added channels of the shortcut; activation of the sum. Never written: pooled
/// tensors without the added channels.
///
/// Bytes: every tensor is read once and written once, which is the least: global average 4 per
/// element of x (2 in bf16), its gradient 4 per element of dx (dy comes from the caches); shortcut
/// 4 per element of x that a window covers and 4 per element of y (2 and 2 in bf16); its gradient 4
/// and 4 (dy from the caches where windows are larger than a pixel); sum 12 per element.
/// Operations: one addition per element read.
///
///   kernel                    registers sm_80, sm_90   (nvcc --resource-usage; none spilt)
///   global average            32, 36                   and 4096 bytes of shared memory
///   global average gradient   32, 32
///   shortcut                  34, 40
///   shortcut gradient         34, 34
///   sum                       15, 15
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/pooling.hpp"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/pooling.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using Grid = PoolingGrid;

template <int width>
struct Vector {
  float value[width] = {};

  __device__ __forceinline__ static Vector load(const float* from) {
    Vector result;
    if constexpr (width == 4) {
      const float4 v = *reinterpret_cast<const float4*>(from);
      result.value[0] = v.x, result.value[1] = v.y, result.value[2] = v.z, result.value[3] = v.w;
    } else {
      result.value[0] = *from;
    }
    return result;
  }
  __device__ __forceinline__ static Vector load(const std::uint16_t* from) {
    Vector result;
    if constexpr (width == 4) {
      const uint2 bits = *reinterpret_cast<const uint2*>(from);
      result.value[0] = __uint_as_float(bits.x << 16);
      result.value[1] = __uint_as_float(bits.x & 0xffff0000u);
      result.value[2] = __uint_as_float(bits.y << 16);
      result.value[3] = __uint_as_float(bits.y & 0xffff0000u);
    } else {
      result.value[0] = __uint_as_float(std::uint32_t{*from} << 16);
    }
    return result;
  }
  __device__ __forceinline__ void store(std::uint16_t* to) const {
    if constexpr (width == 4)
      *reinterpret_cast<uint2*>(to) =
          make_uint2(ptx::to_bf16x2(value[0], value[1]), ptx::to_bf16x2(value[2], value[3]));
    else
      *to = static_cast<std::uint16_t>(ptx::to_bf16x2(value[0], 0.0f));
  }
  __device__ __forceinline__ void store(float* to) const {
    if constexpr (width == 4)
      *reinterpret_cast<float4*>(to) = make_float4(value[0], value[1], value[2], value[3]);
    else
      *to = value[0];
  }
  __device__ __forceinline__ void add(const Vector& other) {
    for (int j = 0; j < width; ++j) value[j] += other.value[j];
  }
  __device__ __forceinline__ void divide(float divisor) {
    for (int j = 0; j < width; ++j) value[j] = value[j] / divisor;
  }
};

template <int width>
struct PoolStorage {
  Vector<width> sums[Grid::block_threads];
};

template <int width, class T>
__global__ void __launch_bounds__(Grid::block_threads)
    global_average_kernel(GlobalPoolShape shape, const T* x, float* y) {
  auto& shared = shared_storage<PoolStorage<width>>();
  const int thread = static_cast<int>(threadIdx.x), lane = thread / Grid::pool_vectors;
  const std::int64_t first =
      (std::int64_t{blockIdx.x} * Grid::pool_vectors + thread % Grid::pool_vectors) * width;
  const bool exists = first < shape.batch * shape.channels;
  const std::int64_t n = first / shape.channels, c = first % shape.channels;
  Vector<width> sum;
  if (exists) {
    const T* const image = x + n * shape.pixels * shape.channels + c;
#pragma unroll 4
    for (std::int64_t p = lane; p < shape.pixels; p += pool_lanes)
      sum.add(Vector<width>::load(image + p * shape.channels));
  }
  shared.sums[thread] = sum;
  for (int step = pool_lanes / 2; step > 0; step /= 2) {
    __syncthreads();
    if (lane < step) {
      sum.add(shared.sums[thread + step * Grid::pool_vectors]);
      shared.sums[thread] = sum;
    }
  }
  if (lane != 0 || !exists) return;
  sum.divide(static_cast<float>(shape.pixels));
  sum.store(y + first);
}

template <int width>
__global__ void __launch_bounds__(Grid::block_threads)
    global_average_gradient_kernel(GlobalPoolShape shape, int image_blocks, const float* dy,
                                   float* dx) {
  const int n = static_cast<int>(blockIdx.x) / image_blocks;
  const int chunk = static_cast<int>(blockIdx.x) % image_blocks;
  const int vectors = static_cast<int>(shape.channels) / width;
  const int size = static_cast<int>(shape.pixels) * vectors;
  const float* const mean = dy + n * shape.channels;
  float* const image = dx + n * shape.pixels * shape.channels;
  const int first = chunk * Grid::gradient_vectors + static_cast<int>(threadIdx.x);
  const int last = (chunk + 1) * Grid::gradient_vectors;
  for (int i = first; i < last && i < size; i += Grid::block_threads) {
    auto gradient = Vector<width>::load(mean + i % vectors * width);
    gradient.divide(static_cast<float>(shape.pixels));
    gradient.store(image + std::int64_t{i} * width);
  }
}

/// A shortcut in 32 bits, as far as one image goes.
struct Shortcut {
  int in_h, in_w, in_c, out_h, out_w, out_c, before, stride, window;

  explicit Shortcut(const ShortcutShape& s)
      : in_h(static_cast<int>(s.in_h)),
        in_w(static_cast<int>(s.in_w)),
        in_c(static_cast<int>(s.in_c)),
        out_h(static_cast<int>(s.out_h())),
        out_w(static_cast<int>(s.out_w())),
        out_c(static_cast<int>(s.out_c)),
        before(static_cast<int>(s.channels_before())),
        stride(static_cast<int>(s.stride)),
        window(s.kind == ShortcutKind::average ? stride : 1) {}

  __device__ __forceinline__ float window_pixels() const {
    return static_cast<float>(std::int64_t{window} * window);
  }
};

template <int width, class T>
__global__ void __launch_bounds__(Grid::shortcut_threads)
    shortcut_kernel(Shortcut s, const T* x, T* y) {
  const int n = static_cast<int>(blockIdx.x) / s.out_h, p = static_cast<int>(blockIdx.x) % s.out_h;
  const T* const image = x + std::int64_t{n} * s.in_h * s.in_w * s.in_c;
  T* const row = y + std::int64_t{blockIdx.x} * s.out_w * s.out_c;
  const int vectors = s.out_c / width;
  for (int i = static_cast<int>(threadIdx.x); i < s.out_w * vectors; i += Grid::shortcut_threads) {
    const int q = i / vectors, c = i % vectors * width - s.before;
    Vector<width> mean;
    if (c >= 0 && c < s.in_c) {
      for (int r = 0; r < s.window; ++r) {
        for (int t = 0; t < s.window; ++t) {
          const int pixel = (p * s.stride + r) * s.in_w + q * s.stride + t;
          mean.add(Vector<width>::load(image + pixel * s.in_c + c));
        }
      }
      mean.divide(s.window_pixels());
    }
    mean.store(row + i * width);
  }
}

template <int width>
__global__ void __launch_bounds__(Grid::shortcut_threads)
    shortcut_gradient_kernel(Shortcut s, const float* dy, float* dx) {
  const int n = static_cast<int>(blockIdx.x) / s.in_h, h = static_cast<int>(blockIdx.x) % s.in_h;
  const float* const image = dy + std::int64_t{n} * s.out_h * s.out_w * s.out_c + s.before;
  float* const row = dx + std::int64_t{blockIdx.x} * s.in_w * s.in_c;
  const int vectors = s.in_c / width, p = h / s.stride;
  const bool row_used = p < s.out_h && h % s.stride < s.window;
  for (int i = static_cast<int>(threadIdx.x); i < s.in_w * vectors; i += Grid::shortcut_threads) {
    const int w = i / vectors, c = i % vectors * width, q = w / s.stride;
    Vector<width> gradient;
    if (row_used && q < s.out_w && w % s.stride < s.window) {
      gradient = Vector<width>::load(image + (p * s.out_w + q) * s.out_c + c);
      gradient.divide(s.window_pixels());
    }
    gradient.store(row + i * width);
  }
}

template <int width>
__global__ void __launch_bounds__(Grid::block_threads)
    add_kernel(std::int64_t size, float slope, const float* a, const float* b, float* y) {
  const std::int64_t i = (std::int64_t{blockIdx.x} * Grid::block_threads + threadIdx.x) * width;
  if (i >= size) return;
  auto sum = Vector<width>::load(a + i);
  sum.add(Vector<width>::load(b + i));
  for (int j = 0; j < width; ++j)
    sum.value[j] = sum.value[j] > 0.0f ? sum.value[j] : slope * sum.value[j];
  sum.store(y + i);
}

/// Calls start.operator()<width>() where there is anything to do.
template <class Start>
void run(const Grid& grid, Start start) {
  if (grid.blocks == 0) return;
  grid.vectorised ? start.template operator()<4>() : start.template operator()<1>();
}

template <class T>
void pool(const Stream& stream, const GlobalPoolShape& shape, const T* x, float* y) {
  const Grid grid = Grid::global(shape, x, y);
  run(grid, [&]<int width>() {
    launch<global_average_kernel<width, T>>(
        grid.blocks, Grid::block_threads, sizeof(PoolStorage<width>), native(stream), shape, x, y);
  });
}

template <class T>
void shorten(const Stream& stream, const ShortcutShape& shape, const T* x, T* y) {
  const Grid grid = Grid::shortcut(shape, x, y);
  run(grid, [&]<int width>() {
    launch<shortcut_kernel<width, T>>(grid.blocks, Grid::shortcut_threads, 0, native(stream),
                                      Shortcut(shape), x, y);
  });
}

}  // namespace

void global_average_pool(const Stream& stream, const GlobalPoolShape& shape, const float* x,
                         float* y) {
  pool(stream, shape, x, y);
}
void global_average_pool(const Stream& stream, const GlobalPoolShape& shape, const std::uint16_t* x,
                         float* y) {
  pool(stream, shape, x, y);
}

void global_average_pool_backward(const Stream& stream, const GlobalPoolShape& shape,
                                  const float* dy, float* dx) {
  const Grid grid = Grid::global_backward(shape, dy, dx);
  const int image_blocks = static_cast<int>(Grid::image_blocks(shape, grid.vectorised));
  run(grid, [&]<int width>() {
    launch<global_average_gradient_kernel<width>>(grid.blocks, Grid::block_threads, 0,
                                                  native(stream), shape, image_blocks, dy, dx);
  });
}

void shortcut_forward(const Stream& stream, const ShortcutShape& shape, const float* x, float* y) {
  shorten(stream, shape, x, y);
}
void shortcut_forward(const Stream& stream, const ShortcutShape& shape, const std::uint16_t* x,
                      std::uint16_t* y) {
  shorten(stream, shape, x, y);
}

void shortcut_backward(const Stream& stream, const ShortcutShape& shape, const float* dy,
                       float* dx) {
  const Grid grid = Grid::shortcut_backward(shape, dy, dx);
  run(grid, [&]<int width>() {
    launch<shortcut_gradient_kernel<width>>(grid.blocks, Grid::shortcut_threads, 0, native(stream),
                                            Shortcut(shape), dy, dx);
  });
}

void add(const Stream& stream, Activation activation, std::int64_t size, const float* a,
         const float* b, float* y) {
  const Grid grid = Grid::add(size, a, b, y);
  run(grid, [&]<int width>() {
    launch<add_kernel<width>>(grid.blocks, Grid::block_threads, 0, native(stream), size,
                              activation.slope, a, b, y);
  });
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
