/// x += step * direction of the gradient, then back into the ball around the centre
///
/// as defined in kernels/formulas/ball.hpp, with the processor's order of every sum: the same bits.
///
/// Layouts: centre, gradient, x [rows, values], dense, of any alignment.
///
/// Work: a block has a picture, of which a thread has every 256th value. Norms are the processor's
/// sums, in order (ordered_sum): one thread adds what all have made. A picture has few thousand
/// values, and a network goes through it forwards and backwards between two steps.
///
/// Never written: norms and distances.
///
/// Bytes per value: 12 read, 4 written, with the 1-norm and the 2-norm 16 more from the L1 cache
/// for each time that the picture is too far away, which is once or twice. Operations, in double
/// precision: up to 6 and a division, likewise.
///
/// 40 registers on sm_80 and sm_90, none spilt; 2056 bytes of shared memory.
#include "kernels/cuda/ball.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/ordered_sum.cuh"
#include "kernels/formulas/ball.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int threads = BallGrid::block_threads;

using SharedStorage = OrderedTerms<threads>;

__global__ void __launch_bounds__(threads)
    step_in_ball_kernel(BallStepParams p, const float* __restrict__ centres,
                        const float* __restrict__ gradients, float* pictures) {
  auto& shared = shared_storage<SharedStorage>();
  const std::int64_t first = blockIdx.x * p.values;
  const float *const centre = centres + first, *const gradient = gradients + first;
  float* const x = pictures + first;
  const auto norm_of_all = [&](const auto& at) {
    return ball::norm_of(
        p.norm, ordered_sum(
                    shared, p.values, [&](std::int64_t i) { return ball::term(p.norm, at(i)); },
                    [&](double sum, double term) { return ball::folded(p.norm, sum, term); }));
  };
  // A thread has the same values everywhere: only norms are for all.
  const auto each = [&](const auto& f) {
    for (std::int64_t i = threadIdx.x; i < p.values; i += threads) f(i);
  };

  const double of_gradient =
      norm_of_all([&](std::int64_t i) { return static_cast<double>(gradient[i]); });
  each([&](std::int64_t i) {
    if (of_gradient != 0.0) x[i] = ball::moved(p.norm, x[i], gradient[i], of_gradient, -p.step);
    x[i] = ball::clamped(x[i], p.lowest, p.highest);
    if (p.norm == BallNorm::linf) x[i] = ball::clipped(centre[i], p.size, x[i]);
  });
  if (p.norm == BallNorm::linf) return;
  double aimed_at = p.size;
  while (true) {
    const double now = norm_of_all(
        [&](std::int64_t i) { return static_cast<double>(centre[i]) - static_cast<double>(x[i]); });
    if (!(now > p.size)) return;
    each([&](std::int64_t i) { x[i] = ball::shortened(centre[i], aimed_at / now, x[i]); });
    aimed_at *= ball::closer;
  }
}

}  // namespace

void step_in_ball(const Stream& stream, const BallStepParams& params, const float* centre,
                  const float* gradient, float* x) {
  const BallGrid grid = BallGrid::plan(params);
  if (grid.blocks == 0) return;
  launch<step_in_ball_kernel>(grid.blocks, threads, sizeof(SharedStorage), native(stream), params,
                              centre, gradient, x);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
