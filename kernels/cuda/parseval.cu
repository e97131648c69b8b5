/// `loops` times W <- (1 + step) W - step W W^T W, W = scale * weight
///
/// as defined in kernels/parseval.hpp, by way of the Gram matrix G [n, n] of the smaller side, with
/// every sum in the order of kernels/cpu/parseval.cpp: the same bits.
///
/// Layouts: weight [rows, cols], dense, of any alignment. Matrices [n, n] are symmetric; their
/// upper triangles are calculated and mirrored.
///
/// Work is done in phases, each of which needs all of the one before:
///
///   first     G = scale^2 W W^T (or W^T W), P = (1 + step) I - step G; copies the weight
///   product   product <- product P, half = G P; a diagonal of G beyond 1 + 2 / step is noted
///   gram      G <- half P, and the next P
///   apply     weight = product W (or W product)
///
/// Small weights, such as those in front of the noise: one block of 512 threads does all phases,
/// with the six matrices in shared memory, in one launch, on devices that have as much. Larger
/// ones: a launch for each phase, with the matrices in global memory. A thread has an entry, and in
/// `first`, where the rows are the smaller side, a warp has one.
///
/// Bytes: each weight is read for n entries of G and for n of the result, which come from the L1
/// cache, and written once, and its copy too. Operations, in double precision: 3 n^3 additions and
/// multiplications per loop, 3 n rows cols around them.
///
/// The one block: 95 registers on sm_80, 99 on sm_90, 159744 bytes of shared memory. The others: up
/// to 48 and 58 registers.
#include "kernels/cuda/current_arch.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/parseval.hpp"
#include "kernels/cuda/stream_scratch.cuh"
#include "kernels/cuda/warp_sum.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int matrices = ParsevalPlan::matrices;

struct SharedStorage {
  double memory[matrices * ParsevalPlan::most_shared_side * ParsevalPlan::most_shared_side];
  float copy[ParsevalPlan::most_shared_size];
};
static_assert(sizeof(SharedStorage) == ParsevalPlan::shared_bytes);

/// The threads that share the work of a phase: a block's or a grid's, whole warps.
struct Workers {
  std::int64_t thread, threads;
};

struct Projection {
  ParsevalParams params;
  int n;
  bool wide;
  float* weight;
  unsigned long long* bad_loop;
  float* copy = nullptr;     // the weight as it was
  double* memory = nullptr;  // of the six matrices

  __device__ __forceinline__ double* matrix(int k) const {
    return memory + std::int64_t{k} * n * n;
  }
  __device__ __forceinline__ double* gram() const { return matrix(0); }
  __device__ __forceinline__ double* half() const { return matrix(1); }
  __device__ __forceinline__ double* p(int loop) const { return matrix(2 + loop % 2); }
  __device__ __forceinline__ double* product(int loop) const { return matrix(4 + loop % 2); }

  /// Calls visit(i, j), i <= j, for the entries of the upper triangle that fall to `worker`. Rows r
  /// and n - 1 - r have n + 1 entries together.
  template <class Visit>
  __device__ __forceinline__ void for_each_entry(std::int64_t worker, std::int64_t workers,
                                                 const Visit& visit) const {
    const std::int64_t entries = std::int64_t{(n + 1) / 2} * (n + 1);
    for (std::int64_t e = worker; e < entries; e += workers) {
      const int row = static_cast<int>(e) / (n + 1), k = static_cast<int>(e) % (n + 1);
      const int mirror = n - 1 - row;
      if (k < n - row)
        visit(row, row + k);
      else if (mirror != row)  // else it is the row in the middle, and done
        visit(mirror, mirror + k - (n - row));
    }
  }

  __device__ __forceinline__ void put(double* to, int i, int j, double value) const {
    to[std::int64_t{i} * n + j] = to[std::int64_t{j} * n + i] = value;
  }

  /// Entry of G, and with it that of P.
  __device__ __forceinline__ void put_gram(int loop, int i, int j, double value) const {
    put(gram(), i, j, value);
    double entry = -params.step * value;
    if (i == j) entry += 1.0 + params.step;
    put(p(loop), i, j, entry);
  }

  /// Entry (i, j) of a b.
  __device__ __forceinline__ double multiply(const double* a, const double* b, int i, int j) const {
    const double* x = a + std::int64_t{i} * n;
    const double* y = b + j;
    double sum = 0.0;
    int k = 0;
    for (; k + 4 <= n; k += 4, x += 4, y += 4 * std::int64_t{n}) {
      sum += (x[0] * y[0] + x[1] * y[n]) +
             (x[2] * y[2 * std::int64_t{n}] + x[3] * y[3 * std::int64_t{n}]);
    }
    for (; k < n; ++k, ++x, y += n) sum += *x * *y;
    return sum;
  }

  __device__ __forceinline__ void first(const Workers& workers) const {
    const std::int64_t rows = params.rows, cols = params.cols;
    const double scale = params.scale;
    for (std::int64_t e = workers.thread; e < rows * cols; e += workers.threads)
      copy[e] = weight[e];
    if (wide) {
      const int lane = static_cast<int>(workers.thread % 32);
      for_each_entry(workers.thread / 32, workers.threads / 32, [&](int i, int j) {
        const float *x = weight + i * cols, *y = weight + j * cols;
        double sum = 0.0;
        for (std::int64_t k = lane; k < cols; k += 32)
          sum += static_cast<double>(x[k]) * static_cast<double>(y[k]);
        sum = warp_sum(sum);
        if (lane == 0) put_gram(0, i, j, sum * scale * scale);
      });
    } else {
      for_each_entry(workers.thread, workers.threads, [&](int i, int j) {
        double sum = 0.0;
        for (std::int64_t k = 0; k < rows; ++k)
          sum +=
              static_cast<double>(weight[k * cols + i]) * static_cast<double>(weight[k * cols + j]);
        put_gram(0, i, j, sum * scale * scale);
      });
    }
  }

  __device__ __forceinline__ void next_product(const Workers& workers, int loop) const {
    const double limit = 1.0 + 2.0 / params.step;
    for_each_entry(workers.thread, workers.threads, [&](int i, int j) {
      const std::int64_t at = std::int64_t{i} * n + j;
      if (i == j && !(gram()[at] <= limit))
        atomicMin(bad_loop, static_cast<unsigned long long>(loop));
      put(product(loop), i, j, loop == 0 ? p(0)[at] : multiply(product(loop - 1), p(loop), i, j));
      if (loop + 1 < params.loops) put(half(), i, j, multiply(gram(), p(loop), i, j));
    });
  }

  __device__ __forceinline__ void next_gram(const Workers& workers, int loop) const {
    for_each_entry(workers.thread, workers.threads, [&](int i, int j) {
      put_gram(loop + 1, i, j, multiply(half(), p(loop), i, j));
    });
  }

  __device__ __forceinline__ void apply(const Workers& workers) const {
    if (*bad_loop != no_bad_loop) return;
    const std::int64_t cols = params.cols;
    const double* const by = product(params.loops - 1);
    for (std::int64_t e = workers.thread; e < params.rows * cols; e += workers.threads) {
      const std::int64_t i = e / cols, j = e % cols;
      double sum = 0.0;
      if (wide) {
        for (int k = 0; k < n; ++k) sum += by[i * n + k] * static_cast<double>(copy[k * cols + j]);
      } else {
        for (int k = 0; k < n; ++k)
          sum += static_cast<double>(copy[i * cols + k]) * by[std::int64_t{k} * n + j];
      }
      weight[e] = static_cast<float>(sum);
    }
  }
};

__global__ void __launch_bounds__(ParsevalPlan::block_threads, 1)
    parseval_kernel(Projection projection) {
  auto& shared = shared_storage<SharedStorage>();
  projection.memory = shared.memory;
  projection.copy = shared.copy;
  const Workers workers = {threadIdx.x, ParsevalPlan::block_threads};
  projection.first(workers);
  __syncthreads();
  for (int loop = 0; loop < projection.params.loops; ++loop) {
    projection.next_product(workers, loop);
    __syncthreads();
    if (loop + 1 == projection.params.loops) break;
    projection.next_gram(workers, loop);
    __syncthreads();
  }
  projection.apply(workers);
}

__device__ __forceinline__ Workers whole_grid() {
  constexpr std::int64_t threads = ParsevalPlan::grid_threads;
  return {blockIdx.x * threads + threadIdx.x, gridDim.x * threads};
}

__global__ void __launch_bounds__(ParsevalPlan::grid_threads) first_kernel(Projection projection) {
  projection.first(whole_grid());
}
__global__ void __launch_bounds__(ParsevalPlan::grid_threads)
    product_kernel(Projection projection, int loop) {
  projection.next_product(whole_grid(), loop);
}
__global__ void __launch_bounds__(ParsevalPlan::grid_threads)
    gram_kernel(Projection projection, int loop) {
  projection.next_gram(whole_grid(), loop);
}
__global__ void __launch_bounds__(ParsevalPlan::grid_threads) apply_kernel(Projection projection) {
  projection.apply(whole_grid());
}

}  // namespace

void parseval_project(const Stream& stream, const ParsevalParams& params, float* weight,
                      std::uint64_t* bad_loop) {
  const ParsevalPlan plan = ParsevalPlan::make(params.rows, params.cols, current_arch());
  if (params.loops == 0 || plan.side == 0) return;
  const auto cuda_stream = native(stream);
  Projection projection = {.params = params,
                           .n = plan.side,
                           .wide = plan.wide,
                           .weight = weight,
                           .bad_loop = reinterpret_cast<unsigned long long*>(bad_loop)};
  if (plan.one_block) {
    launch<parseval_kernel>(1, ParsevalPlan::block_threads, sizeof(SharedStorage), cuda_stream,
                            projection);
    return;
  }
  const std::int64_t side = plan.side;
  const StreamScratch<double> memory(cuda_stream, matrices * side * side);
  const StreamScratch<float> copy(cuda_stream, params.rows * params.cols);
  projection.memory = memory.data();
  projection.copy = copy.data();
  constexpr int threads = ParsevalPlan::grid_threads;
  launch<first_kernel>(plan.blocks, threads, 0, cuda_stream, projection);
  for (int loop = 0; loop < params.loops; ++loop) {
    launch<product_kernel>(plan.blocks, threads, 0, cuda_stream, projection, loop);
    if (loop + 1 < params.loops)
      launch<gram_kernel>(plan.blocks, threads, 0, cuda_stream, projection, loop);
  }
  launch<apply_kernel>(plan.blocks, threads, 0, cuda_stream, projection);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
