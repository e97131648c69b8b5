/// velocity[i] = momentum * velocity[i] + (gradient_scale * gradient[i] + weight_decay * weight[i])
/// weight[i]  -= learning_rate * velocity[i]
///
/// for every parameter of a list; each product and sum is rounded on its own, as on a processor.
///
/// Layouts: dense arrays, of any alignment. Where the three of a parameter begin at multiples of 16
/// bytes, accesses are 16 bytes wide.
///
/// Work: one launch for up to 64 parameters. A block belongs to one of them; its threads do four
/// consecutive elements at a time, then the four as many blocks further as the parameter has. The
/// list is the kernel's argument, so nothing needs to be copied to the device first.
///
/// Bytes per element: 12 read, 8 written. Operations: 4 multiplications, 3 additions.
///
/// 29 registers on sm_80 and sm_90; no shared memory.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/four.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/sgd.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

__global__ void __launch_bounds__(SgdBatch::block_threads) sgd_kernel(const SgdBatch batch) {
  int k = 0;
  while (blockIdx.x >= batch.first_block[k + 1]) ++k;
  const SgdParams p = batch.steps[k].params;
  const float rate = p.rate != nullptr ? *p.rate : p.learning_rate;
  const std::int64_t size = batch.steps[k].size;
  const float* const gradient = batch.steps[k].gradient;
  float* const velocity = batch.steps[k].velocity;
  float* const weight = batch.steps[k].weight;
  const bool aligned =
      (reinterpret_cast<std::uintptr_t>(gradient) | reinterpret_cast<std::uintptr_t>(velocity) |
       reinterpret_cast<std::uintptr_t>(weight)) %
          16 ==
      0;
  const std::int64_t block = blockIdx.x - batch.first_block[k];
  const std::int64_t blocks = batch.first_block[k + 1] - batch.first_block[k];
  for (std::int64_t i = block * SgdBatch::block_elements + threadIdx.x * SgdBatch::thread_elements;
       i < size; i += blocks * SgdBatch::block_elements) {
    float g[4], v[4], w[4];
    load_four(gradient + i, size - i, aligned, g);
    load_four(velocity + i, size - i, aligned, v);
    load_four(weight + i, size - i, aligned, w);
    for (int j = 0; j < 4; ++j) {
      v[j] = p.momentum * v[j] + (p.gradient_scale * g[j] + p.weight_decay * w[j]);
      w[j] -= rate * v[j];
    }
    store_four(velocity + i, size - i, aligned, v);
    store_four(weight + i, size - i, aligned, w);
  }
}

}  // namespace

void sgd_steps(const Stream& stream, std::span<const SgdStep> steps) {
  while (!steps.empty()) {
    const SgdBatch batch = SgdBatch::plan(steps);
    steps = steps.subspan(static_cast<std::size_t>(batch.count));
    if (batch.blocks() == 0) continue;
    launch<sgd_kernel>(batch.blocks(), SgdBatch::block_threads, 0, native(stream), batch);
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
