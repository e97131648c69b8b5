#include "kernels/placement.hpp"

#include <algorithm>

namespace pixeldp::kernels {

std::int64_t Placement::take(std::int64_t bytes, std::size_t first, std::size_t last) {
  bytes = (bytes + alignment - 1) / alignment * alignment;
  std::int64_t begin = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (const Taken& t : taken_) {
      if (t.last < first || last < t.first || t.end <= begin || begin + bytes <= t.begin) continue;
      begin = t.end;
      moved = true;
    }
  }
  taken_.push_back({begin, begin + bytes, first, last});
  size_ = std::max(size_, begin + bytes);
  return begin;
}

}  // namespace pixeldp::kernels
