#pragma once

#include <cstdint>

#include "engine/device.hpp"

namespace pixeldp::kernels {

struct LossResult {
  double loss = 0.0;  ///< mean over the rows of -log softmax(logits)[label], in nats
  /// Rows whose largest logit is the label's; the lowest index wins a tie.
  std::int64_t correct = 0;
};

/// logits [rows, classes], labels [rows] in [0, classes); dlogits [rows, classes] receives the
/// gradient of the mean loss, (softmax(logits) - onehot(label)) / rows. dlogits may be the logits'
/// own memory. *result, in the stream's memory like everything else, is overwritten.
///
/// A row whose label is not in [0, classes) makes the loss NaN, so that it shows; its gradient is 0
/// and no other row's changes. A row whose loss is NaN is not a correct one.
/// Throws an Error for negative counts.
void softmax_cross_entropy(const Stream& stream, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels, float* dlogits,
                           LossResult* result);

}  // namespace pixeldp::kernels
