#pragma once

#include <cstdint>

#include "kernels/bounds.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/bounds.cu is shared out: a warp for each image.
struct BoundsGrid {
  static constexpr int block_warps = 4;
  unsigned blocks = 0;

  /// Throws an Error for more images than one launch can do.
  static BoundsGrid plan(const BoundsParams& params);
};

// Bounds and radius of bound_predictions are those of a processor to within the last digits (1e-9
// of the noise scale per sensitivity, for up to a million draws; 2e-9 under pairwise, one-sided and
// anytime bounds, where both ends of the radius often rest on the label's bound), and never beyond
// them: lower and radius not larger, upper not smaller. There are two exceptions: gaussian_grid,
// whose search may stop one step (0.001 of epsilon) earlier where the processor's passes a test by
// less than 1e-14; and a pairwise test that the processor's passes by less than 2^-37, which
// certifies nothing here.
//
// Images of no draws are padding and get a BoundedPrediction as it stands. So does an image whose
// statistics no draws can have left (votes that do not add up to the draws, sums of more than 1 per
// draw, squares larger than sums, more draws than 2^32 - 1) or whose selected label is none of the
// classes; *bad_image, no_bad_image before, becomes the lowest such image (see check_bad_image).

}  // namespace pixeldp::kernels
