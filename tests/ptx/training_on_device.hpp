#pragma once

#include <cstdint>
#include <vector>

#include "kernels/activation.hpp"
#include "kernels/ball.hpp"
#include "kernels/loss.hpp"
#include "kernels/parseval.hpp"
#include "kernels/sgd.hpp"
#include "kernels/slice_norms.hpp"

/// The small operations of a training step, with all arrays in host memory.
namespace pixeldp::kernels::cuda {

/// `skip` floats away from alignment.
struct ActivationCase {
  Activation activation;
  std::size_t skip = 0;
  std::vector<float> y, gradient;  ///< are changed, gradient first

  void run();
};

struct LossCase {
  std::int64_t rows = 0, classes = 0;
  std::vector<float> logits;
  std::vector<std::int32_t> labels;
  std::vector<float> dlogits;  ///< is set
  LossResult result;           ///< is set

  void run();
};

/// One array of everything; the pointers of the steps are offsets into it, in floats.
struct SgdCase {
  struct Step {
    SgdParams params;
    std::int64_t size = 0;
    std::size_t gradient = 0, velocity = 0, weight = 0;
  };
  std::vector<Step> steps;
  std::vector<float> values;  ///< are changed

  /// The steps on the array at this address.
  std::vector<SgdStep> at(float* array) const;
  void run();
};

struct ParsevalCase {
  ParsevalParams params;
  std::vector<float> weight;             ///< is changed
  std::uint64_t bad_loop = no_bad_loop;  ///< is changed

  void run();
};

struct BallCase {
  BallStepParams params;
  std::vector<float> centre, gradient, x;  ///< x is changed

  void run();
};

std::vector<float> normalised_slices(const SliceNormParams& params,
                                     const std::vector<float>& weight);

std::vector<float> average_of_rows(std::int64_t rows, std::int64_t columns,
                                   const std::vector<float>& x);

std::vector<float> column_sums_of(std::int64_t rows, std::int64_t columns,
                                  const std::vector<float>& x);

}  // namespace pixeldp::kernels::cuda
