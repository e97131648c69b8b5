#pragma once

#include <cstdint>
#include <vector>

#include "engine/io/dataset.hpp"
#include "engine/tensor.hpp"
#include "kernels/noise.hpp"
#include "trainers/augmentation.hpp"
#include "trainers/epoch_sampler.hpp"

namespace pixeldp {

/// What one step trains on, in host memory.
struct TrainingBatch {
  Tensor images;                        ///< [batch, H, W, C]
  std::vector<kernels::NoiseRow> rows;  ///< addresses of the noise
  std::vector<std::int32_t> labels;     ///< or none, where labels are real numbers:
  std::vector<float> targets;
};

/// Makes the batches of a training run, or one of several equal parts of each. A batch depends on
/// the data set, the seed and the step only. Images that lie in files are decoded by several
/// threads.
class BatchSource {
 public:
  struct Options {
    std::int64_t batch = 0;
    std::uint64_t seed = 0;
    float pixel_shift = 0.0f;
    Augmentation augmentation;
    int part = 0, parts = 1;  ///< which divide the batch
  };
  /// The data set must outlive the source.
  BatchSource(const Dataset& dataset, const Options& options);

  void prepare(std::int64_t step, TrainingBatch& batch);

 private:
  const Dataset& dataset_;
  Options options_;
  EpochSampler sampler_;
};

}  // namespace pixeldp
