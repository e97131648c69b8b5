#include "pixeldp/draw_pool.hpp"

#include <algorithm>

namespace pixeldp {

DrawPool::DrawPool(std::size_t images, std::vector<std::uint32_t> draws_of_stage)
    : images_(images), draws_(std::move(draws_of_stage)), waiting_(draws_.size()) {}

DrawPool::Round DrawPool::take(std::size_t stage, std::uint64_t rows) {
  Round round{.stage = stage, .images = {}};
  for (std::uint64_t taken = 0; taken < rows && !waiting_[stage].empty(); taken += draws_[stage]) {
    round.images.push_back(waiting_[stage].front());
    waiting_[stage].pop_front();
  }
  return round;
}

DrawPool::Round DrawPool::next(std::uint64_t rows) {
  // The last first: whoever has come far leaves soon, and few are under way.
  for (std::size_t stage = draws_.size(); stage-- > 0;)
    if (waiting_[stage].size() * draws_[stage] >= rows) return take(stage, rows);
  while (next_new_ < images_ && waiting_[0].size() * draws_[0] < rows)
    waiting_[0].push_back(next_new_++);
  for (std::size_t stage = 0; stage < draws_.size(); ++stage)
    if (!waiting_[stage].empty()) return take(stage, rows);
  return {};
}

void DrawPool::put_back(std::size_t image, std::size_t stage) {
  waiting_[stage + 1].push_back(image);
}

}  // namespace pixeldp
