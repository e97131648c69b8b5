#pragma once

#include <memory>

#include "engine/device.hpp"

namespace pixeldp {

/// The moment at which all work that a stream has been given so far is done. Not on processors.
///
/// Work that is being recorded into a graph (CapturedGraph) may have moments, too: each launch of
/// the graph makes its own of them, for other streams, and nobody asks for them before.
class Event {
 public:
  explicit Event(const Stream& stream);
  /// From here on it is the moment of what the same stream has been given until now.
  void again() const;
  /// Waits until it has come.
  void wait() const;
  /// What `stream`, of the same device, is given from now on starts after it.
  void hold(const Stream& stream) const;
  /// Seconds from `start`, a moment of the same device. Both must have come.
  double since(const Event& start) const;

 private:
  Stream stream_;
  std::shared_ptr<void> event_;
};

}  // namespace pixeldp
