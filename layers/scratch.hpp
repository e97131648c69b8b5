#pragma once

#include <memory>

#include "engine/tensor.hpp"

namespace pixeldp::layers {

/// Memory in which a prepared layer calculates what it does not return. Layers share it: on a
/// processor each thread has its own, on another device each stream, where one layer follows the
/// other.
class Scratch {
 public:
  /// For `size` floats.
  Scratch(const Stream& stream, std::int64_t size);

  /// Of the calling thread; holds nothing that another layer, or an earlier call, left there.
  float* data() const;

 private:
  std::int64_t size_;
  std::shared_ptr<Tensor> of_stream_;  // null on a processor
};

}  // namespace pixeldp::layers
