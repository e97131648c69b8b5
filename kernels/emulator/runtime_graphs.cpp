#include <utility>

#include "kernels/emulator/runtime_state.hpp"

// Graphs of recorded work.
namespace pixeldp::emulator {

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr) return bad_handle("cudaStreamIsCapturing");
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
            : stream->capture_failed   ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (handle == nullptr || stream == nullptr) return bad_handle("cudaStreamBeginCapture");
  if (stream->capture != nullptr)
    return error(cudaErrorIllegalState, "cudaStreamBeginCapture: the stream is being captured");
  stream->capture = std::make_unique<Graph>();
  stream->capturer = std::this_thread::get_id();
  stream->capture_failed = false;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const std::lock_guard lock(runtime().mutex);
  *graph = nullptr;
  const auto stream = runtime().find(handle);
  if (stream == nullptr) return bad_handle("cudaStreamEndCapture");
  if (stream->capture == nullptr)
    return error(cudaErrorIllegalState, "cudaStreamEndCapture: the stream is not being captured");
  auto recorded = std::move(stream->capture);
  if (stream->capture_failed)
    return error(cudaErrorStreamCaptureUnsupported,
                 "cudaStreamEndCapture: a call that cannot be captured spoilt the capture");
  runtime().graphs.push_back(std::move(recorded));
  *graph = runtime().graphs.back().get();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  const std::lock_guard lock(runtime().mutex);
  if (!is_live(runtime().graphs, graph)) return bad_handle("cudaGraphInstantiate");
  runtime().execs.push_back(std::make_unique<GraphExec>());
  *exec = runtime().execs.back().get();
  (*exec)->nodes = std::make_shared<const std::vector<GraphNode>>(graph->nodes);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr || !is_live(runtime().execs, exec)) return bad_handle("cudaGraphLaunch");
  for (const GraphNode& node : *exec->nodes)
    if (node.event != nullptr && !is_live(runtime().events, node.event))
      return bad_handle("cudaGraphLaunch");
  ++runtime().tally.graph_launches;
  if (stream->capture != nullptr) {
    auto& nodes = stream->capture->nodes;
    nodes.insert(nodes.end(), exec->nodes->begin(), exec->nodes->end());
    return cudaSuccess;
  }
  // One by one, so that who waits for an event of a graph has no more of it done than that.
  for (const GraphNode& node : *exec->nodes) {
    if (node.event != nullptr)
      node.event->record(stream);
    else
      stream->give([nodes = exec->nodes, &node] { node.task(); });
  }
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return destroy(runtime().execs, exec, "cudaGraphExecDestroy");
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return destroy(runtime().graphs, graph, "cudaGraphDestroy");
}

}  // namespace pixeldp::emulator
