#include <algorithm>
#include <cmath>

#include "kernels/cpu/operations.hpp"

// The plain loops of training. They are memory-bound, so the compiler's vectorisation is enough;
// what a loop multiplies with is private to the thread, or the compiler would have to reload it
// after every store.
namespace pixeldp::kernels::cpu {

void activate(Activation activation, std::int64_t size, float* y) {
  if (activation.is_identity()) return;
  const float slope = activation.slope;
#pragma omp parallel for simd firstprivate(slope)
  for (std::int64_t i = 0; i < size; ++i) y[i] = y[i] > 0.0f ? y[i] : slope * y[i];
}

void activation_backward(Activation activation, std::int64_t size, const float* y,
                         float* gradient) {
  if (activation.is_identity()) return;
  const float slope = activation.slope;
#pragma omp parallel for simd firstprivate(slope)
  for (std::int64_t i = 0; i < size; ++i)
    gradient[i] = y[i] > 0.0f ? gradient[i] : slope * gradient[i];
}

void softmax_cross_entropy(std::int64_t rows, std::int64_t classes, const float* logits,
                           const std::int32_t* labels, float* dlogits, LossResult* to) {
  LossResult result;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* z = logits + r * classes;
    float* dz = dlogits + r * classes;
    const std::int64_t label = labels[r];
    const float* top = std::max_element(z, z + classes);
    const double highest = *top, label_logit = z[label];
    result.correct += top - z == label;
    double sum = 0.0;
    for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(z[c] - highest);
    result.loss += std::log(sum) + highest - label_logit;
    for (std::int64_t c = 0; c < classes; ++c) {
      const double score = std::exp(z[c] - highest) / sum;
      dz[c] = static_cast<float>((score - (c == label ? 1.0 : 0.0)) / static_cast<double>(rows));
    }
  }
  result.loss /= static_cast<double>(rows);
  *to = result;
}

void sgd_step(const SgdParams& params, std::int64_t size, const float* gradient, float* velocity,
              float* weight) {
  const SgdParams p = params;  // private to each thread: the stores below cannot change it
#pragma omp parallel for simd firstprivate(p)
  for (std::int64_t i = 0; i < size; ++i) {
    const float v =
        p.momentum * velocity[i] + (p.gradient_scale * gradient[i] + p.weight_decay * weight[i]);
    velocity[i] = v;
    weight[i] -= p.learning_rate * v;
  }
}

}  // namespace pixeldp::kernels::cpu
