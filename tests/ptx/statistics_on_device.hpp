#pragma once

#include <cstdint>
#include <vector>

#include "kernels/bounds.hpp"
#include "kernels/draw_statistics.hpp"

/// The statistics of draws and the bounds made of them, with all arrays in host memory.
namespace pixeldp::kernels::cuda {

struct StatisticsCase {
  DrawStatisticsParams params;
  std::vector<float> features, weight, bias;
  std::vector<std::int64_t> row_image;
  std::vector<std::uint64_t> votes, sums, squares;  ///< are added to
  std::uint64_t bad_row = 0;                        ///< is set

  void run();
};

struct BoundsCase {
  BoundsParams params;
  std::vector<std::uint64_t> draws, votes, sums, squares;
  std::vector<std::int64_t> selected;      ///< may be empty: no selection
  std::vector<BoundedPrediction> results;  ///< is set
  std::uint64_t bad_image = 0;             ///< is set

  void run();
};

}  // namespace pixeldp::kernels::cuda
