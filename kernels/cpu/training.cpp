#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/lane_sums.hpp"
#include "kernels/cpu/operations.hpp"

// The plain loops of training. They are memory-bound, so the compiler's vectorisation is enough;
// what a loop multiplies with is private to the thread, or the compiler would have to reload it
// after every store.
namespace pixeldp::kernels::cpu {

void activate(const Stream&, Activation activation, std::int64_t size, float* y) {
  if (activation.is_identity()) return;
  const float slope = activation.slope;
#pragma omp parallel for simd firstprivate(slope)
  for (std::int64_t i = 0; i < size; ++i) y[i] = y[i] > 0.0f ? y[i] : slope * y[i];
}

void activation_backward(const Stream&, Activation activation, std::int64_t size, const float* y,
                         float* gradient) {
  if (activation.is_identity()) return;
  const float slope = activation.slope;
#pragma omp parallel for simd firstprivate(slope)
  for (std::int64_t i = 0; i < size; ++i)
    gradient[i] = y[i] > 0.0f ? gradient[i] : slope * gradient[i];
}

void average_rows(const Stream&, std::int64_t rows, std::int64_t columns, const float* x,
                  float* y) {
  const auto count = static_cast<float>(rows);
#pragma omp parallel for simd firstprivate(count)
  for (std::int64_t j = 0; j < columns; ++j) {
    float sum = x[j];
    for (std::int64_t r = 1; r < rows; ++r) sum += x[r * columns + j];
    y[j] = sum / count;
  }
}

void softmax_cross_entropy(const Stream&, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels, float* dlogits,
                           LossResult* to) {
  double losses[warp_lanes] = {};
  std::int64_t correct = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* z = logits + r * classes;
    float* dz = dlogits + r * classes;
    const std::int64_t label = labels[r];
    if (label < 0 || label >= classes) {
      std::fill_n(dz, classes, 0.0f);
      losses[r % warp_lanes] += std::numeric_limits<double>::quiet_NaN();
      continue;
    }
    const float* top = std::max_element(z, z + classes);
    const bool hit = top - z == label;
    const double highest = *top, label_logit = z[label];
    double sums[warp_lanes] = {};
    for (std::int64_t c = 0; c < classes; ++c) sums[c % warp_lanes] += std::exp(z[c] - highest);
    const double sum = sum_of_lanes(sums);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double score = std::exp(z[c] - highest) / sum;
      dz[c] = static_cast<float>((score - (c == label ? 1.0 : 0.0)) / static_cast<double>(rows));
    }
    const double loss = std::log(sum) + highest - label_logit;
    losses[r % warp_lanes] += loss;
    correct += hit && !std::isnan(loss);
  }
  *to = {sum_of_lanes(losses) / static_cast<double>(rows), correct};
}

void sgd_steps(const Stream&, std::span<const SgdStep> steps) {
  for (const SgdStep& step : steps) {
    SgdStep s = step;  // private to each thread: the stores below cannot change it
    if (s.params.rate != nullptr) s.params.learning_rate = *s.params.rate;
#pragma omp parallel for simd firstprivate(s)
    for (std::int64_t i = 0; i < s.size; ++i) {
      const SgdParams& p = s.params;
      const float v = p.momentum * s.velocity[i] +
                      (p.gradient_scale * s.gradient[i] + p.weight_decay * s.weight[i]);
      s.velocity[i] = v;
      s.weight[i] -= p.learning_rate * v;
    }
  }
}

}  // namespace pixeldp::kernels::cpu
