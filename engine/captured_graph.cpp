#include "engine/captured_graph.hpp"

#include "engine/runtime.hpp"

namespace pixeldp {

CapturedGraph::CapturedGraph(const Stream& stream, const std::function<void()>& work)
    : stream_(stream) {
  const Runtime& of_device = runtime(stream.device().kind);
  of_device.begin_capture(stream.native());
  const auto own = [&of_device](void* graph) {
    return std::shared_ptr<void>(graph,
                                 [&of_device](void* owned) { of_device.destroy_graph(owned); });
  };
  try {
    work();
  } catch (...) {
    // The stream must leave its recording, whatever it recorded.
    try {
      own(of_device.end_capture(stream.native()));
    } catch (...) {
    }
    throw;
  }
  graph_ = own(of_device.end_capture(stream.native()));
}

void CapturedGraph::launch() const {
  runtime(stream_.device().kind).launch_graph(graph_.get(), stream_.native());
}

}  // namespace pixeldp
