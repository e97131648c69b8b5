#include <utility>

#include "kernels/emulator/runtime_state.hpp"

// Graphs of recorded work.
namespace pixeldp::emulator {

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
  (*exec)->tasks = std::make_shared<const std::vector<Task>>(graph->tasks);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const std::lock_guard lock(runtime().mutex);
  if (!is_live(runtime().execs, exec)) return bad_handle("cudaGraphLaunch");
  ++runtime().tally.graph_launches;
  return enqueue(stream, "cudaGraphLaunch", [tasks = exec->tasks] {
    for (const Task& task : *tasks) task();
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return destroy(runtime().execs, exec, "cudaGraphExecDestroy");
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return destroy(runtime().graphs, graph, "cudaGraphDestroy");
}

}  // namespace pixeldp::emulator
