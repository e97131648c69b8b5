#include "layers/scratch.hpp"

#include <map>

namespace pixeldp::layers {

Scratch::Scratch(const Stream& stream, std::int64_t size) : size_(size) {
  if (stream.device().kind == DeviceKind::cpu) return;
  // A larger demand gets new memory, for graphs may have recorded the old, which lives on as long
  // as there are layers that use it. A stream serves one thread.
  thread_local std::map<const void*, std::weak_ptr<Tensor>> latest;
  std::weak_ptr<Tensor>& known = latest[stream.native()];
  of_stream_ = known.lock();
  if (of_stream_ && of_stream_->device() == stream.device() && of_stream_->size() >= size_) return;
  of_stream_ = std::make_shared<Tensor>(Shape{size_}, stream.device());
  known = of_stream_;
}

float* Scratch::data() const {
  if (of_stream_) return of_stream_->data();
  thread_local Tensor of_thread;
  if (of_thread.size() < size_) of_thread = Tensor(Shape{size_});
  return of_thread.data();
}

}  // namespace pixeldp::layers
