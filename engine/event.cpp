#include "engine/event.hpp"

#include "engine/runtime.hpp"

namespace pixeldp {

Event::Event(const Stream& stream) : stream_(stream) {
  const Runtime& of_device = runtime(stream.device().kind);
  of_device.use(stream.device().index);
  event_ = {of_device.create_event(),
            [&of_device](void* event) { of_device.destroy_event(event); }};
  again();
}

void Event::again() const {
  runtime(stream_.device().kind).record_event(event_.get(), stream_.native());
}

void Event::wait() const { runtime(stream_.device().kind).wait_for_event(event_.get()); }

void Event::hold(const Stream& stream) const {
  runtime(stream_.device().kind).wait_for_event(event_.get(), stream.native());
}

double Event::since(const Event& start) const {
  return runtime(stream_.device().kind).seconds_between(start.event_.get(), event_.get());
}

}  // namespace pixeldp
