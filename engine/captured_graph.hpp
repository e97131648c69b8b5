#pragma once

#include <functional>

#include "engine/device.hpp"

namespace pixeldp {

/// Work of a stream that is recorded once and launched as often as one likes, as a whole. Not on
/// processors. Move-only.
class CapturedGraph {
 public:
  CapturedGraph() = default;
  /// Calls `work`, which gives its operations to the stream; they are recorded, not done. `work`
  /// must not wait, allocate or copy from or to host memory. What it reads when launched is what
  /// lies in the same memory then.
  CapturedGraph(const Stream& stream, const std::function<void()>& work);

  explicit operator bool() const { return graph_ != nullptr; }
  /// Gives the recorded work to the stream it was recorded from.
  void launch() const;

 private:
  Stream stream_;
  std::shared_ptr<void> graph_;
};

}  // namespace pixeldp
