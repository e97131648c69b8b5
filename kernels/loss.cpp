#include "kernels/loss.hpp"

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

void softmax_cross_entropy(const Stream& stream, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels, float* dlogits,
                           LossResult* result) {
  if (rows < 0 || classes < 0) fail("the loss of {} rows of {} classes", rows, classes);
  operations(stream).softmax_cross_entropy(stream, rows, classes, logits, labels, dlogits, result);
}

}  // namespace pixeldp::kernels
