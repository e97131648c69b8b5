#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace pixeldp {

/// Which images are drawn next, where each goes from stage to stage and may leave after any. Images
/// that await the same stage wait until their draws fill a round, so that micro-batches are full
/// however many images have left, and new ones come as soon as nobody fills one. What an image
/// counts does not depend on the rounds.
class DrawPool {
 public:
  /// Images 0 ... images - 1, all at stage 0, and the draws that each makes in a stage.
  DrawPool(std::size_t images, std::vector<std::uint32_t> draws_of_stage);

  struct Round {
    std::size_t stage = 0;
    std::vector<std::size_t> images;
  };
  /// The images of the next round, all of one stage and of about so many draws, as far as there are
  /// so many: of the last stage that fills it, or new ones, or, where none are left, of the first
  /// stage at which any wait. Empty where none do.
  Round next(std::uint64_t rows);
  /// An image of a round was not enough: it waits for the next stage.
  void put_back(std::size_t image, std::size_t stage);

 private:
  Round take(std::size_t stage, std::uint64_t rows);

  std::size_t images_, next_new_ = 0;
  std::vector<std::uint32_t> draws_;
  std::vector<std::deque<std::size_t>> waiting_;  // by the stage that they await
};

}  // namespace pixeldp
